"""Maintenance: switched by an operator, in force on all workers of the host with the answer, and over by itself when
its time is."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edge._fast import Slab, Switches
from edge.control.guard import admin
from edge.control.keys import asked
from edge.control.keys.changes import invalid
from edge.control.keys.keeper import Keeper
from edge.control.keys.routes import answer, deed
from edge.control.state import State
from edge.store.keys import moment
from edge.values.switches import FOREVER, Maintenance, maintenance, over

LONGEST = 366 * 86400           # seconds
MESSAGE = 500                   # bytes

log = logging.getLogger("edge")


class MaintenanceRoutes:
    """GET shows it, PUT begins it or changes it, DELETE ends it; each answers how it is then."""

    def __init__(self, state: Callable[[], State], keeper: Keeper) -> None:
        self.state = state
        self.keeper = keeper

    def routes(self) -> list[Route]:
        """All of them."""
        return [Route("/admin/maintenance", handler, methods=[method]) for method, handler in (
            ("GET", self.show), ("PUT", self.begin), ("DELETE", self.end))]

    @admin
    async def show(self, request: Request) -> Response:
        """Whether there is one, since when, until when, and why."""
        return told(maintenance(self.state().slab))

    @admin
    async def begin(self, request: Request) -> Response:
        """It lasts `until` a date, or `for` some seconds, or until it is ended; `message` is for clients."""
        said = await asked.body(request)
        slab, now = self.state().slab, time.time()
        until, message = end_of(said, now), text_of(said)
        before = maintenance(slab)
        switches = Switches(slab)
        switches.speak(switches.spoken._replace(
            until=until, since=int(now) if before is None else before.since, message=message))
        found = maintenance(slab)
        log.warning("maintenance begins" if before is None else "maintenance goes on", extra={"facts": {
            **(found.shown() if found is not None else {}), "by": request.state.who}})
        await self.keeper.note(deed(request, "begin maintenance", "maintenance"), shown(before), shown(found))
        return told(found)

    @admin
    async def end(self, request: Request) -> Response:
        """It is over."""
        slab = self.state().slab
        before = maintenance(slab)
        if before is not None:
            log.warning("maintenance is over", extra={"facts": {"by": request.state.who}})
        stop(slab)
        await self.keeper.note(deed(request, "end maintenance", "maintenance"), shown(before), shown(None))
        return told(None)


def end_of(said: Mapping[str, Any], now: float) -> int:
    """The Unix time at which it is to end. Refusal: that cannot be."""
    asked.only(said, ("until", "for", "message"))
    until, seconds = said.get("until"), said.get("for")
    if until is not None and seconds is not None:
        raise invalid("for", "stands beside until", "leave one out")
    if until is None and seconds is None:
        return FOREVER
    if until is not None:
        field, when = "until", moment_of(until)
    else:
        field, when = "for", now + number_of(seconds)
    if not now < when <= now + LONGEST:
        raise invalid(field, "is not within the next 366 days", "for example until: 2027-01-31T12:00:00Z, or "
                            "for: 3600; without both it lasts until it is ended")
    return math.ceil(when)


def moment_of(text: Any) -> float:
    """Of an ISO date."""
    try:
        return moment(text)
    except (ValueError, TypeError, OverflowError):
        raise invalid("until", "is no ISO date or time", "for example 2027-01-31T12:00:00Z") from None


def number_of(seconds: Any) -> float:
    """Of seconds."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise invalid("for", "must be a number of seconds", "for example 3600")
    return min(float(seconds), 2.0 * LONGEST) if seconds > 0 else 0.0


def text_of(said: Mapping[str, Any]) -> str:
    """What clients are told of why."""
    message = said.get("message", "")
    if not isinstance(message, str) or not message.isprintable() or len(message.encode("utf-8", "replace")) > MESSAGE:
        raise invalid("message", f"must be a text of up to {MESSAGE} printable bytes",
                            'for example "the database moves"')
    return message


def stop(slab: Slab) -> None:
    """Nothing is left of it."""
    switches = Switches(slab)
    switches.speak(switches.spoken._replace(until=0, since=0, message=""))


def settle(slab: Slab) -> None:
    """Ends one whose time has come; requests have been let in since then."""
    if over(Switches(slab).spoken):
        stop(slab)
        log.warning("maintenance is over", extra={"facts": {"by": "its time"}})


def shown(found: Maintenance | None) -> dict[str, Any]:
    """How it is."""
    said = {"since": None, "until": None, "message": ""} if found is None else found.shown()
    return {"on": found is not None, **said}


def told(found: Maintenance | None) -> Response:
    """The answer that says so."""
    return answer(shown(found))
