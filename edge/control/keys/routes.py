"""The routes of keys and of the audit."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edge.control.guard import admin
from edge.control.keys import asked, changes, show
from edge.control.keys.changes import Wanted, conflict, there
from edge.control.keys.keeper import Keeper
from edge.control.refusal import request_id
from edge.control.state import State
from edge.store import KEYS, Deed, Party, Row, Secrets, Store
from edge.values import directory, figures
from edge.values.snapshot import Key

PAGE, MOST = 100, 1000              # keys or entries of an answer
LAST = 10**15                       # number of an entry


class Keys:
    """The handlers. Who asks for a key names it by its id, or by its name."""

    def __init__(self, state: Callable[[], State], keeper: Keeper) -> None:
        self.state = state
        self.keeper = keeper

    def routes(self) -> list[Route]:
        """All of them."""
        one = "/admin/keys/{name}"
        return [Route("/admin/keys", self.keys, methods=["GET"]), Route("/admin/keys", self.create, methods=["POST"]),
                Route(one, self.key, methods=["GET"]), Route(one, self.patch, methods=["PATCH"]),
                Route(one, self.delete, methods=["DELETE"]), Route(f"{one}/limits", self.limits, methods=["GET"]),
                Route(f"{one}/rotate", self.rotate, methods=["POST"]),
                *(Route(f"{one}/{action}", self.move, methods=["POST"]) for action in changes.STATES),
                Route("/admin/audit", self.audit, methods=["GET"])]

    @admin
    async def keys(self, request: Request) -> Response:
        """The file's, then a page of the store's: `next` is what `after` is to be for the page behind it, or null."""
        after, limit = request.query_params.get("after", ""), asked.number(request, "limit", PAGE, MOST)
        found: list[Row] = []
        if self.state().snapshot.store is not None:
            found = await self.keeper.ask(lambda store: store.page(KEYS, after, limit + 1))
        own = [] if after else [show.key(key) for key in directory.file_keys(self.state().slab)]
        return answer({"keys": own + [show.row(row) for row in found[:limit]],
                       "next": found[limit - 1].id if len(found) > limit else None})

    @admin
    async def key(self, request: Request) -> Response:
        """One key."""
        name = request.path_params["name"]
        stored = self.state().snapshot.store is not None
        row = await self.keeper.ask(lambda store: store.find(KEYS, name)) if stored else None
        if row is None and (own := self.of_file(name)) is not None:
            return answer(show.key(own))
        return of_row(there(row, "key", name))

    @admin
    async def limits(self, request: Request) -> Response:
        """What its requests take from: its own limits, those of who stands behind it, the gateway's."""
        name, state = request.path_params["name"], self.state()
        if state.snapshot.store is not None:
            found = await self.keeper.ask(lambda store: store.find(KEYS, name))
            name = name if found is None else found.name
        row = there(directory.named(state.slab, name), "key", name)
        return answer({"limits": figures.behind_key(state.slab, state.registry, state.snapshot, row)})

    @admin
    async def create(self, request: Request) -> Response:
        """201, and the new key with its secret, which is shown this once."""
        said = await asked.body(request)
        name = asked.new(said)
        wanted = asked.wanted(name, Wanted({}, {}, ()), said)
        if self.of_file(name) is not None:
            raise conflict(f"There is a key named {name} in the configuration's file already: choose another name")
        secret, digest, masked = changes.fresh(self.state().snapshot.key_secret)
        now = time.time()
        new = Row(changes.identifier(), name, masked, Secrets(digest), policy=wanted.policy, metadata=wanted.metadata,
                  tags=wanted.tags, created=now, changed=now)

        def made(_: Row | None, store: Store) -> Row:
            changes.backed(new.policy, store)
            return new
        await self.keeper.change(KEYS, deed(request, "create", new.id), made)
        return of_row(new, 201, secret=secret)

    @admin
    async def patch(self, request: Request) -> Response:
        """The key after a merge patch."""
        said, versions = await asked.body(request), asked.versions(request)

        def patched(row: Row, store: Store) -> Row:
            changes.expected(row, versions)
            wanted = asked.wanted(row.name, Wanted(row.policy, row.metadata, row.tags), said)
            changes.backed(wanted.policy, store)
            return changes.changed(row, policy=wanted.policy, metadata=wanted.metadata, tags=wanted.tags)
        return of_row(await self.changed(request, "update", patched))

    @admin
    async def rotate(self, request: Request) -> Response:
        """The key with its new secret, and until when the one before works, too."""
        overlap, versions = asked.overlap(await asked.body(request)), asked.versions(request)
        secret, digest, masked = changes.fresh(self.state().snapshot.key_secret)

        def rotated(row: Row, _: Store) -> Row:
            changes.expected(row, versions)
            return changes.rotated(row, digest, masked, overlap)
        return of_row(await self.changed(request, "rotate", rotated), secret=secret, overlap=overlap)

    @admin
    async def move(self, request: Request) -> Response:
        """The key after an action of `changes.STATES`."""
        versions, action = asked.versions(request), request.scope["path"].rpartition("/")[2]

        def moved(row: Row, _: Store) -> Row:
            changes.expected(row, versions)
            return changes.moved(row, action)
        return of_row(await self.changed(request, action, moved))

    @admin
    async def delete(self, request: Request) -> Response:
        """The key is gone; the audit knows it."""
        versions, name = asked.versions(request), request.path_params["name"]

        def gone(row: Row | None, _: Store) -> Row | None:
            changes.expected(self.of_store(row, name), versions)
            return None
        await self.keeper.change(KEYS, deed(request, "delete", name), gone)
        return answer({"status": "deleted"})

    @admin
    async def audit(self, request: Request) -> Response:
        """What admins did, the newest first: `before` a number, of one `key`, at most `limit`."""
        limit, key = asked.number(request, "limit", PAGE, MOST), request.query_params.get("key")
        before = asked.number(request, "before", LAST, LAST)
        found = await self.keeper.ask(lambda store: store.audit(key, before, limit))
        return answer({"audit": [show.entry(each) for each in found]})

    async def changed(self, request: Request, action: str, change: Callable[[Row, Store], Row]) -> Row:
        """The key of the path after a change."""
        name = request.path_params["name"]
        row = await self.keeper.change(KEYS, deed(request, action, name),
                                       lambda row, store: change(self.of_store(row, name), store))
        return there(row, "key", name)

    def of_store(self, row: Row | None, name: str) -> Row:
        """The row, which must be there; a key of the file is not for admins to change."""
        if row is None and self.of_file(name) is not None:
            raise conflict(f"The key {name} stands in the configuration's file: change it there, and reload")
        return there(row, "key", name)

    def of_file(self, name: str) -> Key | None:
        """A key of the file, by its name."""
        row = directory.named(self.state().slab, name, (directory.FILE,))
        return None if row is None else directory.shown(row)


def deed(request: Request, action: str, name: str) -> Deed:
    """What the audit is to say. The answer bears the same id."""
    request.state.id = request_id()
    return Deed(request.state.who, action, request.state.id, name)


def of_row(row: Row | Party, status: int = 200, **more: Any) -> Response:
    """A key, or who stands behind some, with its version for If-Match."""
    response = answer({**show.row(row), **more}, status)
    response.headers["etag"] = f'"{row.version}"'
    response.headers["cache-control"] = "no-store"
    return response


def answer(content: dict[str, Any], status: int = 200) -> Response:
    """JSON."""
    return Response(orjson.dumps(content), status, media_type="application/json")
