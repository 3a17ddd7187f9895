"""The response cache as operators see it: what it holds and has answered, and answers that they put in or take out."""

from __future__ import annotations

import errno
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson
from prometheus_client.core import CounterMetricFamily as Counter
from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.core import Metric
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edge._fast import Cache, Condition, Party, Remembered, Slot
from edge.control.guard import admin
from edge.control.keys import asked
from edge.control.keys.changes import conflict, invalid, there
from edge.control.keys.routes import answer
from edge.control.refusal import Refusal
from edge.control.state import State
from edge.dialects.routes import ROUTES
from edge.dialects.routes import Route as Path
from edge.values import cache, directory
from edge.values.moments import moment

MEMBERS = ("key", "path", "request", "answer", "ttl")
LONGEST_TTL = 366 * 86400
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NAME = re.compile(r"[0-9a-f]{32}")
_PATHS = {route.path: route for route in ROUTES}

log = logging.getLogger("edge")


class CacheRoutes:
    """GET shows it, PUT puts an answer in, DELETE takes one out, or all."""

    def __init__(self, state: Callable[[], State], memory: Cache | OSError | None) -> None:
        self.state = state
        self.memory = memory

    def routes(self) -> list[Route]:
        """All of them."""
        return [Route("/admin/cache", self.show, methods=["GET"]), Route("/admin/cache", self.put, methods=["PUT"]),
                Route("/admin/cache", self.clear, methods=["DELETE"]),
                Route("/admin/cache/{name}", self.remove, methods=["DELETE"])]

    @admin
    async def show(self, request: Request) -> Response:
        """Whether there is one, of how many bytes, how many are in use, and what became of requests."""
        wanted = self.state().snapshot.cache
        if wanted is None or not isinstance(self.memory, Cache):
            return answer({"on": False, "reason": None if wanted is None else self.fault()})
        total = self.memory.total
        return answer({"on": True, "size": self.memory.size, "used": total.used, "longest": self.memory.longest,
                       "ttl": wanted.ttl, "folder": wanted.folder, "hits": total.hits, "misses": total.misses,
                       "kept": total.kept})

    @admin
    async def put(self, request: Request) -> Response:
        """201, and the name of the answer that a request of `key` gets from now on: 409 where there is one."""
        said, memory, now = await asked.body(request, depth=None), self.there(), int(time.time())
        name, ttl = self.named(said), lifetime(said, self.ttl)
        data = text(member(said, "answer"), "answer")
        if len(data) > memory.longest:
            raise invalid("answer", f"has {len(data)} bytes", f"this cache keeps up to {memory.longest}")
        if memory.find(name, now) is not None:
            raise conflict(f"There is an answer already: DELETE /admin/cache/{name.hex()} takes it out")
        if not memory.put(memory.areas - 1, name, Remembered(now, now + ttl, False, data)):
            raise conflict("A new version of the gateway takes over: put it in there, in a moment")
        self.note(request, "an answer was put into the response cache", name)
        return answer({"name": name.hex(), "until": moment(now + ttl)}, 201)

    @admin
    async def clear(self, request: Request) -> Response:
        """Nothing that is there now is answered any more, by any worker."""
        self.there().clear()
        self.note(request, "the response cache was cleared", None)
        return answer({"status": "cleared"})

    @admin
    async def remove(self, request: Request) -> Response:
        """The same of one answer."""
        text, memory = request.path_params["name"], self.there()
        found = _NAME.fullmatch(text) is not None and memory.drop(bytes.fromhex(text))
        there(found or None, "answer", text)
        self.note(request, "an answer was taken out of the response cache", bytes.fromhex(text))
        return answer({"status": "deleted"})

    @staticmethod
    def note(request: Request, what: str, name: bytes | None) -> None:
        """For the log."""
        log.warning(what, extra={"facts": {"name": name.hex() if name is not None else None, "by": request.state.who}})

    @property
    def ttl(self) -> int:
        """As the configuration has it."""
        wanted = self.state().snapshot.cache
        return wanted.ttl if wanted is not None else 0

    def fault(self) -> str:
        """Why there is none, though the configuration wants one."""
        return str(self.memory) if isinstance(self.memory, OSError) else "it comes with the next start"

    def there(self) -> Cache:
        """Or a Refusal: there is none, or it has no room on its disk, or cannot be had there for another reason."""
        if isinstance(self.memory, Cache) and self.state().snapshot.cache is not None:
            return self.memory
        if self.state().snapshot.cache is None:
            raise conflict("The configuration has no response cache: set cache_max_size: 500MB, for instance, and "
                           "restart")
        if isinstance(self.memory, OSError) and self.memory.errno in FULL:
            raise Refusal(Condition.disk_full)
        raise conflict(f"There is no response cache: {self.fault()}")

    def named(self, said: Mapping[str, Any]) -> bytes:
        """What the answer to such a request is called."""
        asked.only(said, MEMBERS)
        key, path, wanted = said.get("key"), said.get("path", ROUTES[0].path), member(said, "request")
        if not isinstance(path, str) or path not in _PATHS:
            raise invalid("path", "is none whose answers are kept", f"there are: {', '.join(_PATHS)}")
        if not isinstance(wanted.get("model"), str):
            raise invalid("request", "has no model", "it is what a client sends")
        if not isinstance(key, str):
            raise Refusal(Condition.field_missing, {Slot.S_FIELD: "key"})
        if wanted.get("stream") is True:
            raise invalid("request", "asks for a stream", "put in what answers a request without `stream`")
        if is_kept(_PATHS[path], wanted):
            raise invalid("request", "is about what a provider keeps, and answered by it alone",
                          "of /v1/responses those with `store: false` have answers here")
        row = there(directory.named(self.state().slab, key), "key", key)
        number = row.parties[Party.ACCOUNT]
        account = directory.party(self.state().slab, "account", number)
        whose = cache.owner(row.digest, None if account is None else (number, account.name))
        return cache.name(whose, _PATHS[path].name, wanted["model"].encode(), b"", text(wanted, "request"))


def is_kept(route: Path, wanted: Mapping[str, Any]) -> bool:
    """As the data plane has it: by a member that says so, or refers to something."""
    said = {rule.role: wanted.get(rule.name) for rule in route.fields if rule.role in ("keeps", "forgets")}
    return (said.get("keeps") is True or said.get("forgets", False) is not False
            or any(wanted.get(rule.name) is not None for rule in route.fields if rule.role == "refers"))


def text(given: dict[str, Any], name: str) -> bytes:
    """As JSON."""
    try:
        return orjson.dumps(given)
    except orjson.JSONEncodeError:
        raise invalid(name, "has more levels than are read here", "254 are the most") from None


def member(said: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object of the body's."""
    if name not in said:
        raise Refusal(Condition.field_missing, {Slot.S_FIELD: name})
    found = said[name]
    if not isinstance(found, dict):
        raise invalid(name, "must be an object", "it is what a client sends, or gets")
    return found


def lifetime(said: Mapping[str, Any], usual: int) -> int:
    """Seconds."""
    ttl = said.get("ttl", usual)
    if isinstance(ttl, bool) or not isinstance(ttl, int) or not 1 <= ttl <= LONGEST_TTL:
        raise invalid("ttl", f"must be a whole number of seconds from 1 to {LONGEST_TTL}", f"for example {usual}")
    return ttl


def metrics(memory: Cache) -> Iterator[Metric]:
    """Of the requests that want an answer of the cache, and of what it holds."""
    total = memory.total
    family = Counter("edge_cache_requests", "Requests that might be answered from the response cache, by whether they "
                     "were.", labels=["result"])
    for result, count in (("hit", total.hits), ("miss", total.misses)):
        family.add_metric([result], count)
    yield family
    yield Counter("edge_cache_answers", "Answers that were put into it.", total.kept)
    yield Gauge("edge_cache_used_bytes", "Bytes of it in use, for answers.", total.used)
    yield Gauge("edge_cache_size_bytes", "Bytes that it has in all.", memory.size)
