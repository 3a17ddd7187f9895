"""The way in one process: the compiled gateway against a clock, clients and providers of the program's own.

    .venv/bin/python tests/way/run.py [--seed 0] [--runs 10000]

Each run is made of its seed alone: a few clients and connections to providers, and some dozen steps in which any of
them goes on, breaks off, says something wrong or lets time pass. At the end of some everybody does what is awaited of
him, for less time than anybody waits: then nobody may wait for anything. At the end of all everything is closed, and
nothing may be left: no request, no slot, no place under a limit or in a queue, no retry, no byte of memory; each
request is counted once, and what each client has read are whole answers, one to a request at most, the last of which
may break off. A fault prints its seed and its steps; `--runs 1 --seed N` shows it again, if neither what was before it
nor the gateway's own chance matters.
"""

from __future__ import annotations

import argparse
import logging
import mmap
import os
import random
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from edge import _fast
from edge._fast import TRANSITIONS, Condition
from edge.config import load as configured
from edge.values import registry as values
from edge.values.registry import Registry
from edge.worker.notes import Notes
from edge.worker.own import OwnAnswers
from edge.worker.tables import Compiler

KEY = "sk-way-0123456789abcdef"
SECOND = 10**9
PROVIDERS = {
    "one": {"kind": "openai", "base_url": "http://127.0.0.1:1/v1", "key": "env:P", "max_connections": 2},
    "two": {"kind": "openai", "base_url": "http://127.0.0.1:2/v1", "keys": ["env:P", "env:Q"]},
    "far": {"kind": "anthropic", "base_url": "http://127.0.0.1:3", "key": "env:P", "max_connections": 1}}
CONFIG = {
    "port": 0, "listen_addr": "127.0.0.1", "workers": 1, "providers": PROVIDERS,
    "queue": {"queue_size": 1, "timeout": 5},
    "models": {"m": ["one/a", "two/b"], "lone": "one", "claude": "far"},
    "keys": [{"name": "k", "key": "env:K", "rate_limit": {
        "requests_per_second": 1e5, "tokens_per_minute": 10**8, "concurrent_requests": 4}}],
    "model_limits": {"m": {"concurrent_requests": 2}, "lone": {"concurrent_requests": 1, "shadow": True}},
    "rate_limit": {"concurrent_requests": 3},
    "limits": {"body_bytes": 4096, "head_timeout": 5, "body_timeout": 5}, "retry": {"max": 2, "budget": 1},
    "circuit_breaker": {"failures": 3, "open_time": 1}}
DATA = b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"x"}%b}]}\n\n'
EVENTS = (DATA % b"", DATA % b',"finish_reason":"stop"', b"data: [DONE]\n\n", b"data: {]\n\n",
          b'data: {"error":{"message":"no","type":"server_error"}}\n\n', b": ping\n\n", b"data: ")
PLAIN = orjson.dumps({"id": "c", "object": "chat.completion", "choices": [
    {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}})
LONG = PLAIN.replace(b"hi", b"h" * 700_000)            # more than a socket takes at once
ERROR = b'{"error":{"message":"no","type":"x"}}'


class Unwatched:
    """What looks like a connection until epoll is to watch it."""

    def detach(self) -> int:
        """A descriptor."""
        return os.open(os.devnull, os.O_RDONLY)


class Fault(Exception):
    """What must not be."""


def request(rng: random.Random) -> bytes:
    """A request: mostly a good one."""
    kind = rng.randrange(12)
    if kind == 0:
        return rng.choice((b"GET /health HTTP/1.1\r\nhost: e\r\n\r\n", b"G\x00T / HTTP/1.1\r\n\r\n", b"\r\n\r\n\r\n"))
    body: dict[str, Any] = {"model": rng.choice(("m", "m", "lone", "claude", "none")),
                            "messages": [{"role": "user", "content": "x" * rng.choice((1, 9, 3000))}]}
    if rng.random() < 0.5:
        body["stream"] = True
    if rng.random() < 0.3 or body["model"] == "claude":
        body["max_tokens"] = 10
    path = b"/v1/messages" if body["model"] == "claude" else b"/v1/chat/completions"
    if kind == 1:
        path = b"/v1/files"
    text = orjson.dumps(body)[:None if kind != 2 else -1]
    if kind == 1:
        text = b"f" * rng.choice((10, 9000, 700_000))
    more = b"expect: 100-continue\r\n" if kind == 3 else b""
    head = (b"POST %b HTTP/1.%d\r\nhost: e\r\ncontent-type: application/json\r\nauthorization: Bearer %b\r\n%b" % (
        path, kind != 4, KEY.encode() if kind != 5 else b"sk-wrong-0123456789abcdef", more))
    if kind == 6:
        return head + b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(text), text)
    return head + b"content-length: %d\r\n\r\n%b" % (len(text), text)


def answer(rng: random.Random) -> list[bytes]:
    """A provider's answer in pieces: good, bad, or broken off."""
    kind = rng.randrange(12)
    if kind < 3:
        whole = good(rng.choice((PLAIN, PLAIN, LONG)))
    elif kind < 7:
        events = [DATA % b""] * rng.randrange(3) + [rng.choice(EVENTS) for _ in range(rng.randrange(4))]
        if rng.random() < 0.6:
            events += EVENTS[1:3]
        whole = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n" + b"".join(
            b"%x\r\n%b\r\n" % (len(event), event) for event in events) + rng.choice((b"0\r\n\r\n", b"", b"zz\r\n"))
    elif kind < 10:
        status = rng.choice((b"400 B", b"401 U", b"404 N", b"429 T", b"500 I", b"503 S"))
        wait = rng.choice((b"", b"retry-after: 1\r\n", b"x-should-retry: true\r\n", b"x-should-retry: false\r\n"))
        whole = b"HTTP/1.1 %b\r\ncontent-length: %d\r\n%b\r\n%b" % (status, len(ERROR), wait, ERROR)
    else:
        whole = rng.choice((b"HTTP/1.1 2", b"rubbish\r\n\r\n", b"HTTP/1.1 204 N\r\n\r\n", b"HTTP/1.1 100 C\r\n\r\n",
                            b"HTTP/1.1 302 F\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n",
                            b"\x15\x03\x01\x00\x02\x02F"))
    return in_pieces(rng, whole)


def good(body: bytes) -> bytes:
    """A good plain answer."""
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def in_pieces(rng: random.Random, whole: bytes) -> list[bytes]:
    """The bytes, cut at up to three places."""
    cut = sorted(rng.randrange(len(whole)) for _ in range(rng.randrange(4)))
    return [whole[a:b] for a, b in zip([0, *cut], [*cut, len(whole)], strict=True) if a < b]


@dataclass
class End:
    """One end of a connection: what it has to send, in pieces; of a client, how many requests, and what it has read."""

    socket: socket.socket
    left: list[bytes]
    requests: int = 0
    read: bytearray = field(default_factory=bytearray)

    def send(self) -> None:
        """The next piece, as far as the other side takes it."""
        if self.left:
            try:
                self.left[0] = self.left[0][self.socket.send(self.left[0]):]
            except BlockingIOError:
                return
            except OSError:
                self.left.clear()
            if self.left and not self.left[0]:
                self.left.pop(0)

    def receive(self, most: int) -> bytes | None:
        """What has come; None: the other side has closed."""
        try:
            return self.socket.recv(most) or None
        except BlockingIOError:
            return b""
        except OSError:
            return None


def judge(client: End) -> None:
    """Fault: what a client has read is not one whole answer after the other."""
    rest, answers = bytes(client.read), 0
    while b"\r\n\r\n" in rest:
        head, _, rest = rest.partition(b"\r\n\r\n")
        if not re.match(rb"HTTP/1\.1 [1-5]\d\d [ -~]+(\r\n|$)", head):
            raise Fault(f"no answer: {head[:200]!r}")
        if head.startswith(b"HTTP/1.1 100 "):
            continue
        answers += 1
        if b"\r\nx-request-id: " not in head:
            raise Fault(f"an answer without an id: {head!r}")
        length = re.search(rb"\r\ncontent-length: (\d+)(\r\n|$)", head)
        if length is not None:
            rest = rest[int(length[1]):]
        elif b"\r\ntransfer-encoding: chunked" not in head:
            break
        else:
            while (size := re.match(rb"([0-9a-f]+)\r\n", rest)) and int(size[1], 16):
                rest = rest[size.end() + int(size[1], 16) + 2:]
            rest = rest.removeprefix(b"0\r\n\r\n")
            if re.match(rb"[^0-9a-f]", rest) and not rest.startswith(b"HTTP/1.1 "):
                raise Fault(f"no chunk: {rest[:200]!r}")
    if answers > client.requests:
        raise Fault(f"{answers} answers to {client.requests} requests")


class World:
    """The gateway, and what is around it."""

    def __init__(self, clock: mmap.mmap) -> None:
        self.clock = clock
        self.now = 10**12
        self.advance(0)
        with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
            file.write(orjson.dumps(CONFIG))
            file.flush()
            snapshot = configured(file.name, environ={"K": KEY, "P": "sk-provider-1", "Q": "sk-provider-2"})
        self.snapshot = snapshot
        self.slab, self.registry = _fast.Slab(1), Registry()
        values.apply(self.slab, self.registry, snapshot, values.prepare(self.slab, self.registry, snapshot))
        self.dialled: list[Any] = []
        self.faults: list[BaseException] = []
        self.gateway = _fast.Gateway(self.slab, 0, self.dialled.append, lambda error, name: self.faults.append(error))
        log = logging.getLogger("way")
        log.disabled = True
        notes = Notes(log, time.monotonic, debug=False)
        answers = OwnAnswers(self.gateway, lambda key: {}).answers(snapshot)
        self.version = 1
        self.compile = lambda version: Compiler(self.gateway, self.slab).compile(
            replace(snapshot, version=version), self.registry, answers, notes)
        self.gateway.load(self.compile(self.version))
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.listener.setblocking(False)
        self.gateway.listen(self.listener)

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

    def ended(self) -> int:
        """Requests that have been counted as ended."""
        return sum(sum(self.slab.series_total(index).outcomes) for index in set(self.registry.labels.values()))

    def advance(self, ns: int) -> None:
        """Lets time pass."""
        self.now += ns
        self.clock[:8] = struct.pack("q", self.now)


class Run:
    """One run: all that happens is drawn from its seed."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.rng = random.Random(seed)
        self.steps: list[str] = []
        self.clients: list[End] = []
        self.gone: list[End] = []
        self.providers: list[End] = []

    def turn(self) -> None:
        """The gateway sees what has happened."""
        self.world.gateway.turn()

    def new_client(self) -> None:
        """A client connects, with some requests to send in pieces."""
        if len(self.clients) < 4:
            sock = socket.create_connection(self.world.listener.getsockname())
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)      # the kernel's clock is not ours
            requests = [request(self.rng) for _ in range(self.rng.choice((1, 1, 1, 2, 5)))]
            self.clients.append(End(sock, in_pieces(self.rng, b"".join(requests)), len(requests)))
            self.client_sends()

    def client_sends(self) -> None:
        """A client's next piece goes out."""
        if self.clients:
            self.rng.choice(self.clients).send()

    def client_reads(self) -> None:
        """A client reads some of what has come."""
        if self.clients:
            client = self.rng.choice(self.clients)
            client.read += client.receive(self.rng.choice((10, 10_000, 1 << 20))) or b""

    def client_leaves(self) -> None:
        """A client closes."""
        if self.clients:
            client = self.clients.pop(self.rng.randrange(len(self.clients)))
            client.socket.close()
            self.gone.append(client)

    def dialled(self) -> None:
        """A connection that the gateway wants is there, or is not to be had."""
        if self.world.dialled:
            pool = self.world.dialled.pop(self.rng.randrange(len(self.world.dialled)))
            if self.rng.random() < 0.2:
                pool.failed(Condition.provider_unreachable, "Connection refused")
                return
            if self.rng.random() < 0.05:
                pool.opened(Unwatched())
                return
            self.open(pool)

    def open(self, pool: Any) -> None:
        """A connection to a provider."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        self.providers.append(End(theirs, []))
        pool.opened(ours)

    def provider_sends(self) -> None:
        """A provider reads some of what it is asked, and says the next piece of its answer."""
        if self.providers:
            provider = self.rng.choice(self.providers)
            if provider.receive(self.rng.choice((1000, 1 << 20, 1 << 20))) and not provider.left:
                provider.left += answer(self.rng)
            provider.send()

    def provider_leaves(self) -> None:
        """A provider closes a connection."""
        if self.providers:
            self.providers.pop(self.rng.randrange(len(self.providers))).socket.close()

    def time_passes(self) -> None:
        """A moment, or long."""
        seconds = self.rng.choice((0.001, 0.05, 1, 6, 31, 700))
        self.world.pass_time(int(seconds * SECOND))

    def reloads(self) -> None:
        """Sometimes a new version comes into force."""
        if self.rng.random() < 0.05:
            self.world.reload()

    STEPS: tuple[Callable[[Run], None], ...] = (
        *[new_client] * 3, *[client_sends] * 4, *[client_reads] * 3, client_leaves, *[dialled] * 5,
        *[provider_sends] * 8, provider_leaves, *[time_passes] * 2, reloads)

    def go(self) -> None:
        """All of it. Fault: something is wrong."""
        for _ in range(self.rng.randrange(5, 60)):
            step = self.rng.choice(self.STEPS)
            self.steps.append(step.__name__)
            step(self)
            self.turn()
            if self.world.faults:
                raise self.world.faults[0]
        if self.rng.random() < 0.2:
            self.steps.append("finish")
            self.finish()
        self.end()

    def finish(self) -> None:
        """Everybody does what is awaited of him, for less time than anybody waits."""
        for provider in self.providers:
            while provider.left:
                before = len(provider.left[0])
                provider.send()
                self.turn()
                if provider.left and len(provider.left[0]) == before and not self.client_catches_up():
                    break
            provider.socket.close()
        self.providers.clear()
        for _ in range(44):
            for _ in range(4):
                while self.world.dialled:
                    self.open(self.world.dialled.pop())
                self.turn()
                self.client_catches_up()
                for provider in self.providers:
                    if provider.receive(1 << 20) and not provider.left:
                        provider.left.append(good(PLAIN))
                    provider.send()
                self.turn()
            self.world.pass_some()
        if self.world.gateway.busy:
            raise Fault(f"{self.world.gateway.busy} still wait for something")

    def client_catches_up(self) -> bool:
        """All clients read all that has come, send what they have to, and close behind the gateway; did any read?"""
        some = False
        for client in tuple(self.clients):
            client.send()
            while piece := client.receive(1 << 20):
                client.read += piece
                some = True
            if piece is None:
                client.socket.close()
                self.clients.remove(client)
                self.gone.append(client)
        return some

    def end(self) -> None:
        """Everybody leaves, and nothing may stay."""
        world = self.world
        for end in self.clients + self.providers:
            end.socket.close()
        self.turn()
        for _ in range(30):             # a close comes behind what was sent before it, some requests maybe
            while world.dialled:
                world.dialled.pop().failed(Condition.provider_unreachable, "Connection refused")
            world.pass_time(100 * SECOND)
            self.turn()
            if not world.gateway.clients and not world.dialled:
                break
        world.pass_time(100 * SECOND)
        total = world.slab.worker_total(0)
        left = {"faults": world.faults, "busy": world.gateway.busy, "clients": world.gateway.clients,
                "in flight": total.in_flight, "retrying": total.retrying, "connections": total.connections,
                "upstream": total.upstream_connections, "memory": total.memory}
        for name in PROVIDERS:
            load = world.slab.load_total(world.registry.pool(name))
            left[f"{name} active"], left[f"{name} waiting"] = load.active, load.waiting
        for owner in values.concurrencies(world.snapshot):
            left[owner] = world.slab.concurrency(world.registry.bucket(owner))[1]
        ends = sum(count for row, count in world.gateway.taken.items() if TRANSITIONS[row] == "ended")
        left["uncounted"] = ends - world.ended()
        if any(left.values()):
            raise Fault(str({name: value for name, value in left.items() if value}))
        for client in self.clients + self.gone:
            judge(client)


def with_clock() -> int:
    """Runs this program again, with a clock of its own."""
    with tempfile.TemporaryDirectory() as folder:
        library, clock = Path(folder, "clock.so"), Path(folder, "clock")
        source = Path(__file__).parents[1] / "support/clock.c"
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, source], check=True)
        clock.write_bytes(bytes(8))
        preloaded = " ".join(filter(None, (os.environ.get("LD_PRELOAD"), str(library))))
        return subprocess.run([sys.executable, *sys.argv], check=False, env={
            **os.environ, "LD_PRELOAD": preloaded, "STILL_FILE": str(clock)}).returncode


def main() -> int:
    """Runs, one seed after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=int, default=10000)
    given = parser.parse_args()
    if "STILL_FILE" not in os.environ:
        return with_clock()
    with Path(os.environ["STILL_FILE"]).open("r+b") as file:
        world = World(mmap.mmap(file.fileno(), 8))
    for seed in range(given.seed, given.seed + given.runs):
        run = Run(world, seed)
        try:
            run.go()
        except Exception as error:
            print(f"seed {seed}: {type(error).__name__}: {error}\n  {' '.join(run.steps)}", file=sys.stderr)
            raise
        if seed % 10000 == 9999:
            print(f"{seed + 1 - given.seed} runs", flush=True)
    taken = world.gateway.taken
    print(f"{given.runs} runs, {world.ended()} requests, nothing left behind; {sum(map(bool, taken.values()))} of "
          f"{len(taken)} rows of the table taken")
    print("\n".join(f"  {count:9} {state}, {verdict}" for (state, verdict), count in taken.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
