"""The host's part in a fleet: one loop that speaks with Redis for all limits in use, and says how Redis is.

There is one call at a time, at most one a tick, unless a request waits for what it missed. Redis is `slow` when it has
not answered within a request's patience: nobody waits for it then. It is `away` when there is no answer at all: from
its last one on limits have their grace, and then their policies.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from dataclasses import dataclass, field
from typing import Any

import orjson

from edge import __version__
from edge._fast import Places, Purses, monotonic
from edge.control.fleet import allotment, purse
from edge.control.fleet.book import GROUPS, Batch, Book, batches
from edge.control.fleet.circuits import PROBE, TOLD, Circuits
from edge.control.fleet.concurrency import Concurrency
from edge.control.fleet.limits import Limits
from edge.control.fleet.names import Names
from edge.control.fleet.orders import Orders
from edge.control.fleet.reasons import Unavailable, reason
from edge.control.fleet.server import Call, Script, Server
from edge.control.fleet.unlike import Unlike
from edge.control.state import State
from edge.process import bell
from edge.values.snapshot import Redis

BEAT = 1.0                  # seconds between two words to the other hosts,
LIFE = 5.0                  # and how long one is good for
LOOK = 0.2                  # seconds between two looks at circuits: two of them and a call are less than half a second;
                            # and between two words to all limits that say that this host lives
LEAST = 0.001               # seconds between two calls
WAIT = 0.25                 # and between tries while Redis is away

RECLAIM = {Limits.script: purse.RECLAIM, Concurrency.script: allotment.RECLAIM}     # by script

log = logging.getLogger("edge")


@dataclass(slots=True)
class Host:
    """A host of the fleet, as Redis tells of it. `age` is seconds since its last word."""

    name: str
    age: float
    note: dict[str, Any]


@dataclass(slots=True)
class Talk:
    """How it goes with Redis. Times in seconds."""

    state: str = "unknown"          # then `answers` or `away`
    reason: str = ""
    since: float = field(default_factory=time.time)
    lag: float = 0.0                # of the last answer
    offset: float = 0.0             # of this host's clock from Redis's
    calls: int = 0
    failures: int = 0
    hosts: list[Host] = field(default_factory=list)
    heard: int = 0                  # when that was, ns of this host's clock
    faults: dict[str, str] = field(default_factory=dict)    # what is wrong with a key that all limits or circuits need


class Fleet:
    """One version of `redis:`; another one is another Fleet."""

    def __init__(self, redis: Redis, state: State) -> None:
        self.redis = redis
        self.purses = Purses(state.slab)
        self.purses.set_fleet(grace=int(redis.grace * 1e9))
        tick, patience = int(redis.tick * 1e9), int(redis.patience * 1e9)
        self.cluster = redis.kind == "cluster"
        self.limits = Limits(self.purses, tick, cluster=self.cluster)
        self.concurrency = Concurrency(Places(state.slab), self.purses, (tick, patience), cluster=self.cluster)
        self.books: tuple[Book[Any], ...] = (self.limits, self.concurrency)
        self.server = Server(redis, log.warning)
        self.talk = Talk()
        self.scripts = {name: Script("lives", name) for name in RECLAIM}
        self.word, self.breakers = Script("beat"), Script("circuits")
        self.host = f"{self.purses.fleet.host:x}"
        self.circuits, self.orders = Circuits(self.host), Orders()
        self.unlike = Unlike()
        self.own: dict[str, Any] = {}       # the note that was told last
        self.rung = asyncio.Event()
        self.beat_due = self.look_due = 0.0
        self.answered = monotonic()
        self.restarts = 0
        self.load(state)

    def load(self, state: State) -> None:
        """Another version of the configuration, with the same Redis."""
        self.state = state
        self.names = Names(state)
        self.share()
        self.circuits.load(state)
        self.orders.load(state)

    def share(self) -> None:
        """Limits are others: of keys, or of the configuration."""
        self.limits.load(self.state, self.names)
        self.concurrency.load(self.names, monotonic())

    async def run(self) -> None:
        """Until cancelled. Where another control of this host still speaks, its end is awaited first."""
        loop = asyncio.get_running_loop()
        heard = await self._hang()
        loop.add_reader(heard, self._ring, heard)
        self.rung.set()
        try:
            while True:
                begun = loop.time()
                self.rung.clear()
                await self._speak()
                await asyncio.sleep(max(LEAST, begun + (WAIT if self.talk.state == "away" else LEAST) - loop.time()))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(self._next(begun)):
                        await self.rung.wait()
        finally:
            loop.remove_reader(heard)
            heard.close()
            self.purses.set_fleet(slow=True)
            self.server.close()

    def _next(self, begun: float) -> float:
        """When there is something to do by the clock alone."""
        if self.limits.more:
            return begun
        due = min(self.beat_due, self.look_due)
        return min(due, begun + self.redis.tick) if any(book.active for book in self.books) else due

    async def _hang(self) -> socket.socket:
        while True:
            try:
                return bell.hang(self.purses.fleet.host)
            except OSError:
                await asyncio.sleep(self.redis.tick)

    def _ring(self, heard: socket.socket) -> None:
        bell.silence(heard)
        self.rung.set()

    async def _speak(self) -> None:
        """One round: all that has something to say."""
        loop = asyncio.get_running_loop()
        spoken: list[Batch] = []
        now = monotonic()
        beats = loop.time() >= self.beat_due
        if self.talk.state != "away" or beats:
            asking = self.purses.asking()
            spoken = [batch for book in self.books for batch in batches(book, asking, now, cluster=self.cluster)]
        calls = [self._call(batch.book, batch.group, batch) for batch in spoken]
        soon = loop.time() + (self.redis.tick if calls else 0.0)       # what is due by the next tick shares this call
        beats = soon >= self.beat_due
        looks = soon >= self.look_due and (self.talk.state != "away" or beats)
        if looks:
            found = [*self.circuits.words(now), *self.orders.words(now)]
            calls.append(Call(self.breakers, self._circuit_keys(),
                              [self.host, PROBE, TOLD, *(each for word in found for each in word)]))
            calls += [self._call(self.limits, group) for group in self._groups()]
        if beats:
            self.own = self._note()
            calls.append(Call(self.word, [self._key("hosts")], [self.host, int(LIFE * 1e6), orjson.dumps(self.own)]))
        if not calls:
            return
        slow = loop.call_later(self.redis.patience or LEAST, self._slow)
        sent = monotonic()
        try:
            answers = await self.server.call(calls)
            lag = monotonic() - sent
            for batch, answer in zip(spoken, answers, strict=False):
                self._hear(batch, answer)
            if looks:
                self.look_due = loop.time() + LOOK
                self._saw(answers[len(spoken)])
                for group, answer in zip(self._groups(), answers[len(spoken) + 1:], strict=False):
                    if not isinstance(answer, Exception):
                        for book in self.books:
                            book.renew(group, int(answer[0]), sent, monotonic())
            if beats:
                self.beat_due = loop.time() + BEAT
                self._heard(answers[-1])
            self._here(lag)
        except Exception as error:
            for batch in spoken:
                batch.fail("", monotonic())
            if not isinstance(error, Unavailable) and self.talk.state != "away":
                log.exception("speaking with Redis")
            self._away(str(error) or repr(error))
            self.circuits.forget()
            self.orders.forget()
            self.beat_due = self.look_due = loop.time() + WAIT
        finally:
            slow.cancel()

    def _key(self, name: str, group: int | None = None) -> str:
        """The part in braces decides on the slot of a cluster."""
        return f"{{{self.redis.prefix}}}:{name}" if group is None else f"{{{self.redis.prefix}:{group}}}:{name}"

    def _groups(self) -> range:
        """Of limits: each is told that this host lives."""
        return range(GROUPS if self.cluster else 1)

    def _circuit_keys(self) -> list[str]:
        return [self._key(name) for name in ("circuits", "rests", "orders")]

    def _call(self, book: Book[Any], group: int, batch: Batch | None = None) -> Call:
        names = [each.name for each, _ in batch.said] if batch else []
        keys = [self._key(name, group) for name in (*book.common, *(f"{book.key}:{name}" for name in names))]
        flat = batch.flat if batch else []
        return Call(self.scripts[book.script], keys, [self.host, None, *RECLAIM[book.script], *flat])

    def _hear(self, batch: Batch, answer: Any) -> None:
        now = monotonic()
        if self._fault("limits cannot be shared", self._key("epoch", batch.group), answer):
            batch.fail(reason(answer, self.redis), now)
            return
        for each in batch.hear(answer, now):
            key = self._key(f"{batch.book.key}:{each.name}", batch.group)
            log.error("a limit cannot be shared", extra={"facts": {
                "limit": each.name, "reason": each.fault, "key": key}})

    def _fault(self, message: str, key: str, answer: Any) -> bool:
        """Whether the answer is an error, which is said once."""
        before = self.talk.faults.pop(key, "")
        if not isinstance(answer, Exception):
            return False
        self.talk.faults[key] = reason(answer, self.redis)
        if self.talk.faults[key] != before:
            log.error(message, extra={"facts": {"key": key, "reason": self.talk.faults[key]}})
        return True

    def _saw(self, answer: Any) -> None:
        now = monotonic()
        if self._fault("circuits cannot be shared", " or ".join(self._circuit_keys()), answer):
            self.circuits.forget()
            self.orders.forget()
            return
        self.circuits.hear(answer, now)
        self.orders.hear(int(answer[0][0]), answer[2], now)

    def _note(self) -> dict[str, Any]:
        """What the others are told of this host."""
        restarts = sum(self.state.slab.worker_total(index).restarts for index in range(self.state.slab.workers))
        if restarts != self.restarts:
            # Whoever died had taken more than it used, perhaps: nobody will give it back.
            self.restarts, now = restarts, monotonic()
            for index in self.limits.active:
                self.purses.forget(index, now)
        return {
            "node": socket.gethostname(), "pid": os.getppid(), "version": __version__,
            "config_version": self.state.snapshot.version, "read_at": self.state.snapshot.read_at,
            "limits": sum(len(book.active) for book in self.books), "lag": round(self.talk.lag, 6),
            "limits_of": self.names.said}

    def _heard(self, answer: Any) -> None:
        if self._fault("the fleet's hosts cannot be listed", self._key("hosts"), answer):
            return
        self.talk.heard = monotonic()
        self.talk.offset = time.time() - int(answer[0]) / 1e6
        self.talk.hosts = [Host(name, int(age) / 1e6, _read(note))
                           for name, age, note in zip(answer[1::3], answer[2::3], answer[3::3], strict=True)]
        self.purses.set_fleet(hosts=max(1, len(self.talk.hosts)),
                              rank=sum(each.name < self.host for each in self.talk.hosts))
        others = [(host.name, host.note) for host in self.talk.hosts]
        for message, facts in self.unlike.look(self.own, others, asyncio.get_running_loop().time()):
            log.warning(message, extra={"facts": facts})

    def _here(self, lag: int) -> None:
        """Redis has answered."""
        self.answered = monotonic()
        self.limits.adapt(answered=True)
        self.talk.calls += 1
        self.talk.lag = lag / 1e9
        if self.talk.state != "answers":
            log.info("Redis answers", extra={"facts": {"after": round(time.time() - self.talk.since, 3)}})
            self.talk.state, self.talk.reason, self.talk.since = "answers", "", time.time()
        self.purses.set_fleet(slow=self.talk.lag > (self.redis.patience or LEAST), away=0)

    def _slow(self) -> None:
        """It has not answered in time for those who wait."""
        self.purses.set_fleet(slow=True)

    def _away(self, reason: str) -> None:
        """It does not answer."""
        self.talk.failures += 1
        self.limits.adapt(answered=False)
        self._slow()
        if self.talk.state != "away":
            log.warning("Redis does not answer: limits go on by themselves", extra={"facts": {
                "reason": reason, "outage": self.redis.outage, "grace": self.redis.grace,
                "hosts": self.purses.fleet.hosts}})
            self.talk.state, self.talk.since = "away", time.time()
            self.purses.set_fleet(away=self.answered)
        self.talk.reason = reason


def _read(note: str) -> dict[str, Any]:
    """Another host's note, which may be anything."""
    try:
        found = orjson.loads(note)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
