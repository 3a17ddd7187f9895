"""The routes of accounts, users, groups and workspaces: alike, but for what each may say of its keys."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edge.control.guard import admin
from edge.control.keys import asked, changes, show
from edge.control.keys.changes import conflict, there
from edge.control.keys.keeper import Keeper
from edge.control.keys.routes import MOST, PAGE, answer, deed, of_row
from edge.control.parties import rules
from edge.control.parties.rules import RULES
from edge.control.state import State
from edge.store import PARTIES, Party, Store
from edge.values.parties import PartyKind


class Parties:
    """The handlers of one kind. Who asks for a party names it by its name."""

    def __init__(self, kind: PartyKind, state: Callable[[], State], keeper: Keeper) -> None:
        self.kind = kind
        self.table = PARTIES[kind]
        self.state = state
        self.keeper = keeper

    @property
    def providers(self) -> list[str]:
        """Names of those that there are."""
        return [provider.name for provider in self.state().snapshot.providers]

    def routes(self) -> list[Route]:
        """All of them."""
        every, one = f"/admin/{self.table.name}", f"/admin/{self.table.name}/{{name}}"
        return [Route(every, self.parties, methods=["GET"]), Route(every, self.create, methods=["POST"]),
                Route(one, self.party, methods=["GET"]), Route(one, self.patch, methods=["PATCH"]),
                Route(one, self.delete, methods=["DELETE"]),
                *(Route(f"{one}/{action}", self.move, methods=["POST"]) for action in RULES[self.kind].actions)]

    @admin
    async def parties(self, request: Request) -> Response:
        """A page of them, by name: `next` is what `after` is to be for the page behind it, or null."""
        after, limit = request.query_params.get("after", ""), asked.number(request, "limit", PAGE, MOST)
        found = await self.keeper.ask(lambda store: store.page(self.table, after, limit + 1))
        return answer({self.table.name: [show.row(row) for row in found[:limit]],
                       "next": found[limit - 1].name if len(found) > limit else None})

    @admin
    async def party(self, request: Request) -> Response:
        """One of them."""
        name = request.path_params["name"]
        row = await self.keeper.ask(lambda store: store.find(self.table, name))
        return of_row(there(row, self.kind, name))

    @admin
    async def create(self, request: Request) -> Response:
        """201, and the new one."""
        said = await asked.body(request)
        name = asked.new(said)
        now = time.time()
        new = replace(rules.wanted(Party(self.kind, name), said, self.providers), version=1, created=now, changed=now)

        def made(row: Party | None, _: Store) -> Party:
            if row is not None:
                raise conflict(f"There is {changes.a(self.kind)} named {name} already: choose another name")
            return new
        row = await self.keeper.change(self.table, deed(request, f"create {self.kind}", name), made)
        return of_row(there(row, self.kind, name), 201)

    @admin
    async def patch(self, request: Request) -> Response:
        """It, after a merge patch."""
        said = await asked.body(request)
        return await self.changed(request, "update", lambda row: rules.wanted(row, said, self.providers))

    @admin
    async def move(self, request: Request) -> Response:
        """It, after one of its kind's actions."""
        action = request.scope["path"].rpartition("/")[2]
        return await self.changed(request, action, lambda row: rules.moved(row, action))

    @admin
    async def delete(self, request: Request) -> Response:
        """It is gone, if no key has it; the audit knows it."""
        versions, name = asked.versions(request), request.path_params["name"]

        def gone(row: Party | None, store: Store) -> None:
            changes.expected(there(row, self.kind, name), versions)
            if (key := store.key_of(self.kind, name)) is not None:
                raise conflict(f"The key {key} is of this {self.kind}: give it another one first, or none")
        await self.keeper.change(self.table, deed(request, f"delete {self.kind}", name), gone)
        return answer({"status": "deleted"})

    async def changed(self, request: Request, action: str, change: Callable[[Party], Party]) -> Response:
        """The one of the path after a change."""
        versions, name = asked.versions(request), request.path_params["name"]

        def expected(row: Party | None, _: Store) -> Party:
            known = there(row, self.kind, name)
            changes.expected(known, versions)
            return change(known)
        row = await self.keeper.change(self.table, deed(request, f"{action} {self.kind}", name), expected)
        return of_row(there(row, self.kind, name))


def routes(state: Callable[[], State], keeper: Keeper) -> list[Any]:
    """Of all kinds."""
    return [route for kind in RULES for route in Parties(kind, state, keeper).routes()]
