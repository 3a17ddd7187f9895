"""The gateway of seeded runs, and what is around it: a clock, an event loop, TLS and the program's memory."""

from __future__ import annotations

import logging
import mmap
import os
import random
import socket
import ssl
import struct
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import orjson

from edge import _fast
from edge._fast import TRANSITIONS
from edge.config import load as configured
from edge.values import registry as values
from edge.values.directory import all_limits
from edge.values.registry import Registry
from edge.worker.notes import Notes
from edge.worker.own import OwnAnswers
from edge.worker.tables import Compiler
from tests.way.messages import KEY

SECOND = 10**9
PROVIDERS = {
    "one": {"kind": "openai", "base_url": "http://127.0.0.1:1/v1", "key": "env:P", "max_connections": 2},
    "two": {"kind": "openai", "base_url": "http://127.0.0.1:2/v1", "keys": ["env:P", "env:Q"]},
    "far": {"kind": "anthropic", "base_url": "http://127.0.0.1:3", "key": "env:P", "max_connections": 1},
    "safe": {"kind": "openai", "base_url": "https://127.0.0.1:4/v1", "key": "env:P", "max_connections": 2}}
CONFIG = {
    "port": 0, "listen_addr": "127.0.0.1", "workers": 1, "providers": PROVIDERS,
    "cache_max_size": "1MB", "cache_ttl": 60,
    "queue": {"queue_size": 1, "timeout": 5},
    "models": {"m": ["one/a", "two/b"], "lone": "one", "claude": "far", "sealed": "safe"},
    "keys": [{"name": "k", "key": "env:K", "rate_limit": {
        "requests_per_second": 1e5, "tokens_per_minute": 10**8, "concurrent_requests": 4}}],
    "model_limits": {"m": {"concurrent_requests": 2}, "lone": {"concurrent_requests": 1, "shadow": True}},
    "rate_limit": {"concurrent_requests": 3},
    "limits": {"body_bytes": 4096, "head_timeout": 5, "body_timeout": 5}, "retry": {"max": 2, "budget": 1},
    "circuit_breaker": {"failures": 3, "open_time": 1}}


class Shortage(Protocol):
    """What makes allocations fail: the interpreter's own test module, where it has one."""

    def set_nomemory(self, start: int, stop: int = 0) -> None:
        """All but the first `start` allocations fail, up to the `stop`th."""

    def remove_mem_hooks(self) -> None:
        """None fails any more."""


def shortage() -> Shortage | None:
    """None: this interpreter cannot be made to run out of memory."""
    try:
        import _testcapi
    except ImportError:
        return None
    return _testcapi        # type: ignore[return-value]


class Loop:
    """As much of an event loop as the data plane asks for."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], object]] = []

    def call_soon(self, call: Callable[[], object]) -> None:
        """Its turn comes with the next."""
        self.soon.append(call)

    def turn(self) -> None:
        """All that had been asked for."""
        soon, self.soon = self.soon, []
        for call in soon:
            call()


class Tls:
    """A transport that says to the data plane what uvloop's says of TLS, over a plain socket."""

    def __init__(self, loop: Loop, protocol: Any, sock: socket.socket) -> None:
        self.loop, self.protocol, self.socket = loop, protocol, sock
        self.out = bytearray()
        self.paused = self.full = self.closed = self.ended = False
        protocol.connection_made(self)

    def write(self, data: bytes) -> None:
        """Takes all of it, as transports do."""
        self.out += data
        self.flush()

    def flush(self) -> None:
        """Sends what the other side takes."""
        try:
            while self.out and not self.closed:
                del self.out[:self.socket.send(self.out[:65536])]
        except BlockingIOError:
            pass
        except OSError:
            self.out.clear()
        if not self.closed and self.full != (len(self.out) > 65536):
            self.full = not self.full
            self.loop.call_soon(self.tell)

    def tell(self) -> None:
        """Whether it may write."""
        if not self.closed:
            (self.protocol.pause_writing if self.full else self.protocol.resume_writing)()

    def turn(self) -> None:
        """Reads what has come."""
        self.flush()
        while not self.paused and not self.closed:
            into = self.protocol.get_buffer(-1)
            try:
                count = self.socket.recv_into(into)
            except BlockingIOError:
                return
            except OSError as error:
                return self.lose(error)
            if count == 0:
                self.ended = True
                self.protocol.eof_received()
                return self.lose(None)
            self.protocol.buffer_updated(count)

    def lose(self, error: Exception | None) -> None:
        """The connection is no more."""
        if not self.closed:
            self.closed = True
            self.socket.close()
            self.loop.call_soon(lambda: self.protocol.connection_lost(error))

    def abort(self) -> None:
        """Closes at once."""
        self.lose(None)

    def pause_reading(self) -> None:
        """Nothing is read for now."""
        self.paused = True

    def resume_reading(self) -> None:
        """Reads again."""
        self.paused = False

    def get_extra_info(self, name: str) -> Tls:
        """The TLS object."""
        return self

    def read(self, most: int) -> bytes:
        """No bytes where TLS has ended as it should."""
        if self.ended:
            return b""
        raise ssl.SSLWantReadError


class World:
    """The gateway, and what is around it: made of nothing but `seed`."""

    def __init__(self, clock: mmap.mmap, snapshot: Any, seed: int) -> None:
        chance = random.Random(seed)
        os.urandom = chance.randbytes               # type: ignore[assignment]
        self.clock, self.snapshot = clock, snapshot
        self.now = 10**12
        self.advance(0)
        self.slab, self.registry = _fast.Slab(1), Registry()
        values.apply(self.slab, self.registry, snapshot, values.prepare(self.slab, self.registry, snapshot))
        self.healths = _fast.Healths(self.slab)
        self.cache = _fast.Cache(mmap.mmap(-1, 1 << 18), 2)
        self.loop = Loop()
        self.version = 0
        self.faults: list[BaseException] = []
        self.memory = shortage()
        self.short = False              # allocations have failed in this run
        self.begin()

    def begin(self) -> None:
        """A worker begins."""
        self.dialled: list[Any] = []
        self.tls: list[Tls] = []
        self.worn = False               # it has been told to end
        gateway = self.gateway = _fast.Gateway(self.slab, 0, self.dialled.append, self.note)
        log = logging.getLogger("way")
        log.disabled = True
        notes = Notes(log, time.monotonic, debug=False)
        answers = OwnAnswers(gateway, lambda key: {}).answers(self.snapshot)
        self.compile = lambda version: Compiler(gateway, self.slab, cache=self.cache).compile(
            replace(self.snapshot, version=version), self.registry, answers, notes)
        self.reload()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.listener.setblocking(False)
        self.gateway.listen(self.listener)
        self.before = self.ends() - self.ended()

    def end(self) -> None:
        """The worker has ended."""
        self.gateway.close()
        self.turn()
        self.listener.close()

    def note(self, error: BaseException, name: str | None) -> None:
        """A fault of the gateway's; that there is no memory is none."""
        if not (self.short and isinstance(error, MemoryError)):
            self.faults.append(error)

    def turn(self) -> None:
        """The gateway sees what has happened."""
        self.gateway.turn()
        for transport in tuple(self.tls):
            transport.turn()
        self.tls = [transport for transport in self.tls if not transport.closed]
        self.loop.turn()

    def shortly(self, call: Callable[[], object], first: int, last: int) -> None:
        """A call of the gateway, while there is no memory for some of what it allocates."""
        if self.memory is None:
            call()
            return
        self.short = True
        try:
            self.memory.set_nomemory(first, last)
            call()
        except MemoryError:
            pass
        finally:
            self.memory.remove_mem_hooks()

    def pass_time(self, ns: int) -> None:
        """Lets time pass. Two ticks in time follow the late one, lest the event loop be thought late from then on."""
        self.advance(ns)
        for _ in range(3):
            self.gateway.tick()
            self.advance(SECOND // 10)

    def pass_some(self) -> None:
        """A tick, in time."""
        self.advance(SECOND // 10)
        self.gateway.tick()

    def reload(self) -> None:
        """The next version of the same configuration comes into force."""
        self.version += 1
        self.gateway.load(self.compile(self.version))

    def ends(self) -> int:
        """How often any request has taken a row of the table that ends it."""
        return sum(count for row, count in self.gateway.taken.items() if TRANSITIONS[row] == "ended")

    def ended(self) -> int:
        """Requests that have been counted as ended."""
        return sum(sum(self.slab.series_total(index).outcomes) for index in set(self.registry.labels.values()))

    def left(self) -> dict[str, object]:
        """What is not as it was before any request, once all have ended."""
        total = self.slab.worker_total(0)
        left: dict[str, object] = {
            "faults": self.faults, "busy": self.gateway.busy, "clients": self.gateway.clients,
            "in flight": total.in_flight, "retrying": total.retrying, "connections": total.connections,
            "upstream": total.upstream_connections, "memory": total.memory,
            "uncounted": self.ends() - self.ended() - self.before}
        for name in PROVIDERS:
            load = self.slab.load_total(self.registry.pool(name))
            left[f"{name} active"], left[f"{name} waiting"] = load.active, load.waiting
        for owner in values.concurrencies(self.snapshot):
            left[owner] = self.slab.concurrency(self.registry.bucket(owner))[1]
        for each in all_limits(self.slab):
            left[each.name] = self.slab.concurrency(each.index)[1]
        return {name: value for name, value in left.items() if value}

    def advance(self, ns: int) -> None:
        """Lets time pass."""
        self.now += ns
        self.clock[:8] = struct.pack("q", self.now)


def snapshot_of() -> Any:
    """The configuration of all runs."""
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
        file.write(orjson.dumps(CONFIG))
        file.flush()
        return configured(file.name, environ={"K": KEY, "P": "sk-provider-1", "Q": "sk-provider-2"})
