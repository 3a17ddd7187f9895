"""Redis as control speaks with it: a connection to each server, one call at a time, no retries, every error's reason.

Scripts go by their hash; a server that does not know one is told it, and one that may not be told gets it each time.
Each connection asks for the server's run: with another one (a restart, a failover) a new epoch begins. So a call never
goes to a server by way of another one. Where one server of a cluster is away its calls fail alone, and at once: it is
tried beside the calls of the others, which must not wait for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import hiredis

from edge.control.fleet.link import Command, Link, Node, Ways, login
from edge.control.fleet.masters import Masters
from edge.control.fleet.reasons import Unavailable, of_server, reason
from edge.values.snapshot import Redis

TURNS = 4                   # of a call: a script is told, or a slot has moved
AGAIN = 0.25                # seconds between tries while a server of a cluster is away
FAILURES = (Unavailable, OSError, EOFError, MemoryError, ValueError, hiredis.HiredisError)     # of a whole server


class Script:
    """A file beside this one, or some behind each other."""

    def __init__(self, *names: str) -> None:
        self.text = "".join(files(__package__).joinpath(f"{name}.lua").read_text() for name in names)
        self.hash = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Call:
    """A script with its keys, which lie in one slot, and what it is given: of the server's run, `None` becomes that."""

    script: Script
    keys: Sequence[str]
    arguments: Sequence[object]


@dataclass(slots=True)
class Place:
    """A server that is spoken with."""

    link: Link
    run: str


class Server:
    """One Redis, whatever it is made of. `warn` is told what an operator should know, once."""

    def __init__(self, redis: Redis, warn: Callable[[str], None]) -> None:
        self.redis = redis
        self.tell = warn
        self.told: set[str] = set()
        self.ways = Ways(redis)
        self.masters = Masters(self.ways)
        self.places: dict[Node, Place] = {}
        self.lost: dict[Node, tuple[str, asyncio.Task[None]]] = {}      # of a cluster: why, and who looks for it
        self.plain = False

    async def call(self, calls: Sequence[Call]) -> list[Any]:
        """All answers; an error in the place of one that failed alone, or with its server. Unavailable: all have."""
        answers: list[Any] = [None] * len(calls)
        left = list(range(len(calls)))
        try:
            for _ in range(TURNS):
                left = await self._turn(calls, answers, left)
                if not left:
                    return answers
            raise Unavailable(reason(answers[left[0]], self.redis))
        except FAILURES as error:
            self.close()
            raise Unavailable(reason(error, self.redis)) from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """A connection that something may still come on is not used again, and masters may be others."""
        for place in self.places.values():
            place.link.close()
        for _, task in self.lost.values():
            task.cancel()
        self.places, self.lost = {}, {}
        self.masters.forget()
        self.ways.forget()

    async def _turn(self, calls: Sequence[Call], answers: list[Any], left: list[int]) -> list[int]:
        """Those of the calls that are to be said again."""
        by_node: dict[Node, list[int]] = {}
        for number in left:
            by_node.setdefault(await self.masters.of(calls[number].keys[0]), []).append(number)
        say = self._say_alone if self.redis.kind == "cluster" else self._say
        tasks = [asyncio.ensure_future(say(node, calls, answers, numbers)) for node, numbers in by_node.items()]
        try:
            return [number for found in await asyncio.gather(*tasks) for number in found]
        finally:
            for task in tasks:
                task.cancel()

    async def _say_alone(self, node: Node, calls: Sequence[Call], answers: list[Any], numbers: list[int]) -> list[int]:
        """To one server of a cluster, without which the others go on."""
        if node not in self.lost:
            try:
                return await self._say(node, calls, answers, numbers)
            except FAILURES as error:
                if node in self.places:
                    self.places.pop(node).link.close()
                why = f"{node[0]}:{node[1]}: {reason(error, self.redis)}"
                self.lost[node] = why, asyncio.ensure_future(self._find(node))
        if self.masters.all() <= self.lost.keys():
            raise Unavailable(self.lost[node][0])
        for number in numbers:
            answers[number] = Unavailable(self.lost[node][0])
        return []

    async def _find(self, node: Node) -> None:
        """Until it is there again. Another one may have its slots by then."""
        while node in self.lost:
            self.masters.doubt()
            await asyncio.sleep(AGAIN)
            with contextlib.suppress(*FAILURES):
                self.places[node] = await self._open(node)
                del self.lost[node]

    async def _say(self, node: Node, calls: Sequence[Call], answers: list[Any], numbers: list[int]) -> list[int]:
        """To one server."""
        if node not in self.places:
            self.places[node] = await self._open(node)
        place = self.places[node]
        found = await place.link.ask([self._words(calls[number], place.run) for number in numbers])
        again, unknown = [], set()
        for number, answer in zip(numbers, found, strict=True):
            answers[number] = answer
            word = str(answer).partition(" ")[0] if isinstance(answer, hiredis.ReplyError) else ""
            if word == "NOSCRIPT":
                unknown.add(calls[number].script)
            elif word == "MOVED" and self.redis.kind == "cluster":
                self.masters.moved(str(answer))
            elif of_server(answer):
                raise answer
            else:
                continue
            again.append(number)
        if unknown:
            await self._teach(place.link, unknown)
        return again

    def _words(self, call: Call, run: str) -> Command:
        arguments = [run if each is None else each for each in call.arguments]
        how = ("EVAL", call.script.text) if self.plain else ("EVALSHA", call.script.hash)
        return *how, len(call.keys), *call.keys, *arguments

    async def _teach(self, link: Link, scripts: set[Script]) -> None:
        """A server that does not know them."""
        for answer in await link.ask([("SCRIPT", "LOAD", script.text) for script in scripts]):
            if isinstance(answer, hiredis.ReplyError):
                self.plain = True
                self._warn("Redis lets us run scripts, but not load them: they are sent with each call (SCRIPT LOAD "
                           "would save that)")

    async def _open(self, node: Node) -> Place:
        """One round trip tells whether it knows us, which run it is, and whether it may throw limits away."""
        link = await self.ways.open(node)
        try:
            database = [("SELECT", self.redis.database)] if self.redis.database else []
            answers = await link.ask([*login(self.redis), *database, ("INFO", "server"), ("INFO", "memory")])
            for answer in answers:
                if isinstance(answer, hiredis.ReplyError):
                    raise answer
            server, memory = _read(answers[-2]), _read(answers[-1])
            if "redis_version" not in server:
                raise Unavailable("it does not speak as Redis does: check redis.url")
        except ConnectionResetError as error:
            link.close()
            hint = "" if self.redis.tls else "; does it want TLS (rediss in redis.url)?"
            raise Unavailable(f"it ends each connection{hint}") from error
        except BaseException:
            link.close()
            raise
        policy = memory.get("maxmemory_policy", "noeviction")
        if memory.get("maxmemory", "0") != "0" and policy != "noeviction":
            self._warn(f"Redis may throw limits away (maxmemory-policy {policy}): set noeviction there")
        return Place(link, server.get("run_id", "unknown"))

    def _warn(self, text: str) -> None:
        if text not in self.told:
            self.told.add(text)
            self.tell(text)


def _read(text: object) -> dict[str, str]:
    """What INFO says."""
    return dict(line.split(":", 1) for line in str(text).splitlines() if ":" in line)
