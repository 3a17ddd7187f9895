"""The routes of points: what was used and spent, by day or hour; accounts' balances, and credits."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edge._fast import Balances, Condition, Slot
from edge.control.guard import admin
from edge.control.keys import asked
from edge.control.keys.asked import LABEL
from edge.control.keys.changes import conflict, invalid, there
from edge.control.keys.keeper import Keeper
from edge.control.keys.routes import deed
from edge.control.refusal import Refusal
from edge.control.state import State
from edge.store import PARTIES, Party, Store, ledger
from edge.values.points import MICRO, balance, read, shown

DAYS = 30                           # that are told where nobody says since when
COLUMNS = (*ledger.TOTALS, "money")


class Points:
    """The handlers."""

    def __init__(self, state: Callable[[], State], keeper: Keeper) -> None:
        self.state = state
        self.keeper = keeper

    def routes(self) -> list[Route]:
        """All of them."""
        return [Route("/admin/usage", self.usage, methods=["GET"]),
                Route("/admin/accounts/{name}/balance", self.balance, methods=["GET"]),
                Route("/admin/accounts/{name}/credit", self.credit, methods=["POST"])]

    @admin
    async def balance(self, request: Request) -> Response:
        """What an account has, in points: its balance, what of that is reserved, and what requests may reserve."""
        name = request.path_params["name"]
        account = there(await self.keeper.ask(lambda store: store.find(PARTIES["account"], name)), "account", name)
        return self.shown(account)

    @admin
    async def credit(self, request: Request) -> Response:
        """The balance after a credit of `points`, in force on all workers. Below 0 it takes points back. A `reference`
        is a credit's own: one that comes again under it changes nothing."""
        said, name = await asked.body(request), request.path_params["name"]
        points, reference = credited(said)
        done = deed(request, "credit account", name)

        def change(store: Store) -> Party:
            with store.writing() as session:
                account = there(store.find(PARTIES["account"], name), "account", name)
                before, after = ledger.credit(
                    session, account.number, points, reference, time.time())
                if after != before:
                    store.note(done, account.id, *({"name": account.name, "balance": shown(each)}
                                                   for each in (before, after)))
            return account
        try:
            account = await self.keeper.ask(change)
        except (ledger.Overflow, ledger.Other) as error:
            raise conflict(f"Of {name} {error}") from None
        await self.keeper.granting([], [account.number])
        return self.shown(account)

    def shown(self, account: Party) -> Response:
        """An account's balance, as workers have it."""
        balances = Balances(self.state().slab)
        index = balances.find(balance(self.state().snapshot.store or "", ledger.owner(account.number)))
        left, held = (balances.left(index)[0] or 0, balances.held(index)) if index else (0, 0)
        worth = self.state().snapshot.worth
        return Response(orjson.dumps({
            "name": account.name, "number": account.number, "balance": shown(left + held), "reserved": shown(held),
            "left": shown(left), "money": shown((left + held) * worth // MICRO) if worth else None}),
            media_type="application/json")

    @admin
    async def usage(self, request: Request) -> Response:
        """Sums `by` any of account, key, model, day and hour, `since` a day `until` another (of UTC, both included), of
        one `account` (its number), `key` or `model`; as JSON, or with `format=csv`."""
        query = request.query_params
        by = [name for name in query.get("by", "day").split(",") if name]
        for name in by:
            if name not in ledger.GROUPS:
                raise invalid("by", f"knows no {name[:32]}", f"there are: {', '.join(ledger.GROUPS)}")
        today = datetime.now(UTC).date()
        since, until = day(query, "since", today - timedelta(DAYS - 1)), day(query, "until", today)
        only: dict[str, Any] = {name: query[name] for name in ("key", "model") if name in query}
        if "account" in query:
            only["account"] = number(query["account"])
        found = await self.keeper.ask(lambda store: ledger.usage(
            store, list(dict.fromkeys(by)), hour(since), hour(until) + 24, only))
        rows = [self.row(each) for each in found]
        if query.get("format") == "csv":
            return Response(as_csv([*dict.fromkeys(by)], rows), media_type="text/csv")
        snapshot = self.state().snapshot
        return Response(orjson.dumps({"usage": rows, "currency": snapshot.currency if snapshot.worth else None}),
                        media_type="application/json")

    def row(self, found: dict[str, Any]) -> dict[str, Any]:
        """With days and hours as people write them, points as they are shown, and what they are worth (or None)."""
        worth, points = self.state().snapshot.worth, found["points"]
        made = {**found, "points": shown(points), "money": shown(points * worth // MICRO) if worth else None}
        if "day" in made:
            made["day"] = datetime.fromtimestamp(found["day"] * 24 * ledger.HOUR, UTC).date().isoformat()
        if "hour" in made:
            made["hour"] = datetime.fromtimestamp(found["hour"] * ledger.HOUR, UTC).isoformat(timespec="minutes")
        return made


def credited(said: dict[str, Any]) -> tuple[int, str]:
    """Micro-points and the reference. Refusal: it is no credit."""
    asked.only(said, ("points", "reference"))
    if "points" not in said:
        raise Refusal(Condition.field_missing, {Slot.S_FIELD: "points"})
    reference = said.get("reference", "")
    if not isinstance(reference, str) or len(reference) > LABEL or not reference.isprintable():
        raise invalid("reference", f"must be a text of up to {LABEL} printable characters", "for example an invoice's")
    points = said["points"]
    if not isinstance(points, str) and (isinstance(points, bool) or not isinstance(points, int)):
        raise invalid("points", "must be a whole number, or a text with at most six places", 'for example "12.5"')
    try:
        return read(str(points)), reference
    except ValueError as error:
        raise invalid("points", str(error), "12.5, for example") from None


def day(query: Any, name: str, usual: date) -> date:
    """A day of the query."""
    try:
        return date.fromisoformat(query[name]) if name in query else usual
    except ValueError:
        raise invalid(name, "is no day", f"for example {name}={usual.isoformat()}") from None


def hour(when: date) -> int:
    """The first of a day, since 1970."""
    return (when - date(1970, 1, 1)).days * 24


def number(text: str) -> int:
    """Of an account."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise invalid("account", "must be an account's number", "for example account=1")
    return int(text)


def as_csv(by: list[str], rows: list[dict[str, Any]]) -> str:
    """RFC 4180. A text that a table's program would take for a formula begins with an apostrophe."""
    into = io.StringIO()
    writer = csv.writer(into)
    writer.writerow([*by, *COLUMNS])
    for row in rows:
        writer.writerow([plain(row[name]) for name in (*by, *COLUMNS)])
    return into.getvalue()


def plain(value: Any) -> Any:
    """See `as_csv`."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
