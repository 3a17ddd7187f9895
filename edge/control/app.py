"""Control's routes."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Awaitable, Callable, Iterable
from email.utils import formatdate
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge import __version__
from edge._fast import Condition, Slot
from edge.control import circuits, status
from edge.control.cache import CacheRoutes
from edge.control.guard import admin, owner
from edge.control.keys.keeper import Keeper
from edge.control.keys.routes import Keys
from edge.control.known import Known
from edge.control.maintenance import MaintenanceRoutes
from edge.control.metrics import SlabCollector, expose
from edge.control.models import ModelRoutes
from edge.control.parties import routes as parties
from edge.control.playground import Playground
from edge.control.points.clerk import Clerk
from edge.control.points.routes import Points
from edge.control.problems import refused
from edge.control.refusal import Refusal, request_id
from edge.control.requests import KEPT
from edge.control.state import State
from edge.process.channel import Reloaded
from edge.values import directory, figures
from edge.values.snapshot import Key, Snapshot
from edge.values.switches import maintenance

LAST = 20                   # requests that are told where nobody says how many
FRESH_SECONDS = 3.0         # a worker whose event loop has not turned for longer is not counted on


class Routes:
    """The handlers. `state` and `draining` are asked for at each request; `reload` asks the supervisor."""

    def __init__(self, state: Callable[[], State], draining: Callable[[], bool],
                 reload: Callable[[], Awaitable[Reloaded]], supervisor: int,
                 known: Known | None = None, keeper: Keeper | None = None) -> None:
        self.state = state
        self.known = known or Known()
        self.keeper = keeper or Keeper(state, lambda: None, Clerk(state).grant)
        self.supervisor = supervisor
        self.draining = draining
        self.ask_reload = reload
        self.collector = SlabCollector(state, self.known)

    def app(self) -> ASGIApp:
        """All routes as one application, whatever goes wrong in contract."""
        handlers: dict[Any, Any] = {Refusal: self.refused, HTTPException: self.missed, Exception: self.failed}
        app = Starlette(
            routes=[
                Route("/metrics", self.metrics),
                Route("/health", self.health),
                Route("/livez", self.livez),
                Route("/readyz", self.readyz),
                Route("/stats", self.stats),
                Route("/admin/workers", self.workers),
                Route("/admin/circuits", self.circuits, methods=["GET", "POST"]),
                Route("/admin/config", self.config),
                Route("/admin/fleet", self.fleet),
                Route("/admin/requests", self.requests),
                Route("/admin/reload", self.reload, methods=["POST"]),
                Route("/admin/status", self.status),
                Route("/admin/stop", self.stop, methods=["POST"]),
                *Keys(self.state, self.keeper).routes(), *parties.routes(self.state, self.keeper),
                *Points(self.state, self.keeper).routes(),
                *Playground(self.state, self.known.address).routes(),
                *CacheRoutes(self.state, self.known.cache).routes(),
                *MaintenanceRoutes(self.state, self.keeper).routes(), *ModelRoutes(self.state, self.keeper).routes(),
            ],
            exception_handlers=handlers)
        app.router.redirect_slashes = False
        return dated(app)

    async def metrics(self, request: Request) -> Response:
        """For Prometheus."""
        body, content_type = expose(self.collector, request.headers.get("accept", ""))
        return Response(body, headers={"content-type": content_type})

    async def health(self, request: Request) -> Response:
        """What a person wants to know first."""
        state = self.state()
        found = maintenance(state.slab)
        return answer({"status": "draining" if self.draining() else "ok" if found is None else "maintenance",
                       "version": __version__, "config_version": state.snapshot.version, "workers": self.alive(),
                       **({} if found is None else {"until": found.shown()["until"]})})

    async def livez(self, request: Request) -> Response:
        """This process answers."""
        return answer({"status": "ok"})

    async def readyz(self, request: Request) -> Response:
        """The gateway takes requests: it is not draining, and a worker is alive. In a maintenance it answers, too."""
        if self.draining():
            raise Refusal(Condition.draining, {Slot.S_RETRY_AFTER_MS: 1000})
        if not self.alive():
            said = {Slot.S_RETRY_AFTER_MS: 1000, Slot.S_REASON: "no worker is alive"}
            raise Refusal(Condition.gateway_overloaded, said)
        return answer({"status": "ok"})

    @admin
    async def stats(self, request: Request) -> Response:
        """All figures, also those of single keys."""
        state = self.state()
        everything = state.slab, state.registry, state.snapshot
        return answer({**figures.collect(*everything), "limits": figures.limits(*everything),
                       "concurrent_requests": figures.concurrencies(*everything),
                       "keys": figures.of_keys(state.slab, state.snapshot)})

    @admin
    async def workers(self, request: Request) -> Response:
        """What each worker has and has had."""
        return answer({"workers": figures.workers(self.state().slab)})

    @admin
    async def circuits(self, request: Request) -> Response:
        """All targets; or, with POST, one of them after an operator's word."""
        state = self.state()
        if request.method == "POST":
            return answer(circuits.force(state, await circuits.order(request)))
        return answer({"circuits": figures.targets(state.slab, state.registry, state.snapshot)})

    @admin
    async def fleet(self, request: Request) -> Response:
        """The hosts that share limits, and those limits; `redis` is null where there are none."""
        fleet = self.known.fleet()
        if fleet is None:
            return answer({"redis": None})
        from edge.control.fleet.report import report

        return answer(report(fleet))

    @admin
    async def requests(self, request: Request) -> Response:
        """Of the last requests that failed, or were refused, or needed another attempt: one by its `id`, or `last`."""
        known, name = self.known.requests, request.query_params.get("id")
        if name is not None:
            return answer({"request": known.find(name) if known is not None else None})
        count = request.query_params.get("last", str(LAST))
        if not (count.isascii() and count.isdigit()):
            raise Refusal(Condition.field_value, {Slot.S_FIELD: "last", Slot.S_EXPECTED: "a number",
                                                  Slot.S_GOT: circuits.shown(count)})
        last = min(int(count[:circuits.SHOWN]), KEPT)
        return answer({"requests": known.last(last) if known is not None and last else []})

    @admin
    async def config(self, request: Request) -> Response:
        """The version in force, secrets masked."""
        state = self.state()
        return answer(masked(state.snapshot, directory.keys(state.slab)))

    @owner
    async def reload(self, request: Request) -> Response:
        """Read the configuration again: 200 and the version in force; or the first problem in contract, and all beside.

        Each of `problems` has code, file, line, column, key, message and way_out; what there is not is null.
        """
        done = await self.ask_reload()
        if done.version is not None:
            return answer({"version": done.version})
        raise refused(done.problems)

    @admin
    async def status(self, request: Request) -> Response:
        """What runs: `status.status`."""
        return answer(status.status(self.state(), self.supervisor, draining=self.draining()))

    @owner
    async def stop(self, request: Request) -> Response:
        """202, and the gateway drains and ends; with ?now=true it ends without a drain."""
        now = request.query_params.get("now") == "true"
        if os.getppid() != self.supervisor:     # it has died, and so do we
            raise Refusal(Condition.draining, {Slot.S_RETRY_AFTER_MS: 1000})
        os.kill(self.supervisor, signal.SIGINT if now else signal.SIGTERM)
        return answer({"status": "stopping", "drain_timeout": 0.0 if now else self.state().snapshot.drain_timeout}, 202)

    def alive(self) -> int:
        """Workers whose event loop turns."""
        ages = [worker["heartbeat_age"] for worker in figures.workers(self.state().slab)]
        return sum(age is not None and age <= FRESH_SECONDS for age in ages)

    # An error's way out

    async def refused(self, request: Request, error: Refusal) -> Response:
        """A Refusal."""
        return self.state().refusals.response(error)

    async def missed(self, request: Request, error: HTTPException) -> Response:
        """What Starlette itself refuses: a path that is not there, or not with this method."""
        condition = Condition.method_not_allowed if error.status_code == 405 else Condition.endpoint_unknown
        said = {Slot.S_METHOD: request.method, Slot.S_PATH: request.url.path}
        return self.state().refusals.response(Refusal(condition, said), dict(error.headers or {}))

    async def failed(self, request: Request, error: Exception) -> Response:
        """A fault of ours; the server logs the traceback, the client learns nothing of it."""
        return self.state().refusals.response(Refusal(Condition.internal_error))


def masked(snapshot: Snapshot, keys: Iterable[Key]) -> dict[str, Any]:
    """The snapshot's fields; `Secret` prints as `***`, and digests of keys are nobody's business either."""
    fields = {field.name: getattr(snapshot, field.name) for field in dataclasses.fields(snapshot)
              if field.name != "wording"}
    fields["keys"] = [{field.name: getattr(key, field.name) for field in dataclasses.fields(key)
                       if field.name not in ("digest", "former")} for key in keys]
    return fields


def answer(content: dict[str, Any], code: int = 200) -> Response:
    """A status and JSON."""
    return Response(orjson.dumps(content, default=str), code, media_type="application/json")


def date() -> bytes:
    """The value of a Date field (RFC 9110 section 6.6.1)."""
    return formatdate(usegmt=True).encode()


def dated(app: ASGIApp) -> ASGIApp:
    """Adds Date and an id to every response."""
    async def with_date(scope: Scope, receive: Receive, send: Send) -> None:
        async def begin(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"date", date())]
                if not any(name == b"x-request-id" for name, _ in message["headers"]):
                    name = scope.get("state", {}).get("id", request_id()).encode()
                    message["headers"] += [(b"x-request-id", name), (b"request-id", name)]
            await send(message)

        await app(scope, receive, begin)
    return with_date
