"""The way in one process: the compiled gateway against a clock, clients and providers of the program's own.

    .venv/bin/python -m tests.way.run [--seed N] [--runs 10000] [--memory]

Each run is made of its seed alone: a few clients and connections to providers, and some dozen steps in which any of
them goes on, breaks off, says something wrong, or lets time pass, bodies come compressed, TLS ends, breakers are told,
the worker winds down. At the end of some everybody does what is awaited of him, for less time than anybody waits: then
nobody may wait for anything. At the end of all everything is closed, and nothing may be left: no request, no slot, no
place under a limit or in a queue, no retry, no byte of memory; each request is counted once, and what each client has
read are whole answers, one to a request at most, the last of which may break off.

A fault prints its seed and its steps; `--seed N` alone shows it again: a world is made anew for each hundred seeds, and
those before N among them run first.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import mmap
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, is_dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zlib import crc32

from edge._fast import Condition
from tests.way.messages import PLAIN, answer, good, in_pieces, request
from tests.way.world import SECOND, Tls, World, snapshot_of

BLOCK = 100             # seeds that share a world


# orjson 3.13 ends the process where there is no memory.
CAREFUL = SimpleNamespace(
    OPT_SORT_KEYS=1, JSONDecodeError=json.JSONDecodeError,
    loads=lambda data: json.loads(data if isinstance(data, str) else bytes(data)),
    dumps=lambda value, default=sorted, option=0: json.dumps(
        value, sort_keys=option == 1,
        default=lambda each: asdict(each) if is_dataclass(each) else default(each)).encode())


class Unwatched:
    """What looks like a connection until epoll is to watch it."""

    def detach(self) -> int:
        """A descriptor."""
        return os.open(os.devnull, os.O_RDONLY)


class Fault(Exception):
    """What must not be."""


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


class Run:
    """One run: all that happens is drawn from its seed."""

    def __init__(self, world: World, seed: int, *, memory: bool) -> None:
        self.world = world
        self.steps_of = (*self.STEPS, Run.memory_ends) if memory else self.STEPS
        self.seed, self.rng = seed, random.Random(seed)
        self.steps: list[str] = []
        self.clients: list[End] = []
        self.gone: list[End] = []
        self.providers: list[End] = []

    def turn(self) -> None:
        """The gateway sees what has happened."""
        self.world.turn()

    def new_client(self) -> None:
        """A client connects, with some requests to send in pieces."""
        if len(self.clients) < 4 and not self.world.worn:
            sock = socket.create_connection(self.world.listener.getsockname())
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)      # the kernel's clock is not ours
            requests = [request(self.rng, self.seed) for _ in range(self.rng.choice((1, 1, 1, 2, 5)))]
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
            if self.rng.random() < 0.05 and pool.name != "safe":
                pool.opened(Unwatched())
                return
            self.open(pool)

    def open(self, pool: Any, opened: Callable[[Any, socket.socket], object] = lambda pool, sock: pool.opened(sock),
             ) -> None:
        """A connection to a provider."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        self.providers.append(End(theirs, []))
        if pool.name == "safe":
            self.world.tls.append(Tls(self.world.loop, pool.connection(), ours))
        else:
            opened(pool, ours)

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

    def winds_down(self) -> None:
        """Seldom the worker is told to drain, to retire, or to end."""
        if self.rng.random() < 0.03:
            self.world.worn = True
            self.rng.choice((self.world.gateway.drain, self.world.gateway.retire, self.world.gateway.close))()

    def breaker_hears(self) -> None:
        """An operator, a health check or another host speaks of a target."""
        world = self.world
        target = self.rng.choice(sorted(world.registry.targets.values()))
        self.rng.choice((
            lambda: world.healths.force(target, self.rng.choice(("open", "closed", "auto"))),
            lambda: world.healths.ail(target, self.rng.random() < 0.5),
            lambda: world.healths.open(target, world.now + self.rng.choice((0, 1, 30)) * SECOND, world.now),
            lambda: world.healths.close(target, world.now),
            lambda: world.healths.put_off(target, world.now + self.rng.choice((-1, 5)) * SECOND)))()

    def memory_ends(self) -> None:
        """Something happens, and for some of what the gateway allocates then there is no memory."""
        first = self.rng.choice((0, 1, 2, 3, 5, 8, 13, self.rng.randrange(100)))
        last = first + self.rng.choice((1, 1, 1, 4, 50))
        if self.world.dialled and self.rng.random() < 0.3:
            self.open(self.world.dialled.pop(), lambda pool, sock: self.world.shortly(
                partial(pool.opened, sock), first, last))
            return
        self.rng.choice((Run.new_client, Run.client_sends, Run.client_reads, Run.client_leaves, Run.dialled,
                         Run.provider_sends, Run.provider_sends, Run.provider_leaves))(self)
        self.world.shortly(self.world.gateway.turn, first, last)

    STEPS: tuple[Callable[[Run], None], ...] = (
        *[new_client] * 3, *[client_sends] * 4, *[client_reads] * 3, client_leaves, *[dialled] * 5,
        *[provider_sends] * 8, provider_leaves, *[time_passes] * 2, reloads, winds_down, breaker_hears)

    def go(self) -> None:
        """All of it. Fault: something is wrong."""
        for _ in range(self.rng.randrange(5, 60)):
            step = self.rng.choice(self.steps_of)
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
            raise Fault(f"{self.world.gateway.stuckage} still wait for something")

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
        for target in world.registry.targets.values():
            world.healths.force(target, "auto")
            world.healths.ail(target, False)
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
        if left := world.left():
            raise Fault(str(left))
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
        return subprocess.run([sys.executable, "-m", "tests.way.run", *sys.argv[1:]], check=False, env={
            **os.environ, "LD_PRELOAD": preloaded, "STILL_FILE": str(clock), "PYTHONHASHSEED": "0"}).returncode


def run_all(clock: mmap.mmap, first: int, runs: int, *, memory: bool) -> tuple[int, World, int]:
    """All seeds from the first of its block on; how many requests there were, the last world, and its trace."""
    snapshot, requests = snapshot_of(), 0
    if memory:
        for name, module in sys.modules.items():
            if name.startswith("edge.") and hasattr(module, "orjson"):
                module.orjson = CAREFUL
    start = first - first % BLOCK
    world, trace = World(clock, snapshot, start), 0
    asyncio._set_running_loop(world.loop)           # type: ignore[attr-defined]
    for seed in range(start, first + runs):
        if seed % BLOCK == 0 and seed > start:
            requests += world.ended()
            world.end()
            world, trace = World(clock, snapshot, seed), 0
            asyncio._set_running_loop(world.loop)   # type: ignore[attr-defined]
        run = Run(world, seed, memory=memory)
        try:
            run.go()
        except Exception as error:
            print(f"seed {seed}: {type(error).__name__}: {error}\n  {' '.join(run.steps)}\n"
                  f"again: python -m tests.way.run --seed {seed}", file=sys.stderr)
            raise
        trace = crc32(repr((run.steps, world.ended(), [client.requests for client in run.gone])).encode(), trace)
        if world.worn:
            world.end()
            world.begin()
        world.short = False
        if seed % 10000 == 9999:
            print(f"{seed + 1 - first} runs", flush=True)
    return requests + world.ended(), world, trace


def main() -> int:
    """Runs, one seed after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--runs", type=int, help="10000; with a seed 1")
    parser.add_argument("--memory", action="store_true", help="at times there is no memory for what is allocated next")
    given = parser.parse_args()
    if "STILL_FILE" not in os.environ:
        return with_clock()
    runs = given.runs or (10000 if given.seed is None else 1)
    with Path(os.environ["STILL_FILE"]).open("r+b") as file:
        requests, world, trace = run_all(mmap.mmap(file.fileno(), 8), given.seed or 0, runs, memory=given.memory)
    taken = world.gateway.taken
    print(f"{runs} runs, {requests} requests, nothing left behind; {sum(map(bool, taken.values()))} of {len(taken)} "
          f"rows of the table taken; trace {trace:08x}")
    print("\n".join(f"  {count:9} {state}, {verdict}" for (state, verdict), count in taken.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
