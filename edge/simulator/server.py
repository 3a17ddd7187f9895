"""The simulator itself: its sockets, its connections, and how a request becomes an answer."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import uvloop

from edge.simulator import faults, routes, rules
from edge.simulator.answer import Answer, Call, Options, Request
from edge.simulator.connection import Connection
from edge.simulator.errors import case_failure, failure
from edge.simulator.faults import NO_FAULT, Fault, FaultError
from edge.simulator.files import File
from edge.simulator.framing import Step, steps
from edge.simulator.journal import Journal, Record
from edge.simulator.rules import Rule
from edge.simulator.seats import Seats
from edge.simulator.spoil import replaced, spoiled

HEADER = b"x-simulate"
MODEL_PREFIX = "fault:"
API = "/_simulate"
SHOWN = 100             # requests that GET /_simulate shows unless `last` says otherwise
BACKLOG = 4096
Ready = Callable[[int], None]


@dataclass(slots=True, eq=False)
class Exchange:
    """A request that is being answered. `record` is None for the simulator's own API, `seated` where it needs a seat.

    It keeps the journal that it is in: what ends after a reset must not show in the new one.
    """

    request: Request
    fault: Fault
    steps: Iterator[Step]
    journal: Journal
    record: Record | None = None
    seated: bool = False


class Simulator:
    """Both providers on one socket."""

    def __init__(self, sock: socket.socket, options: Options) -> None:
        self.loop = asyncio.get_running_loop()
        self.connections: set[Connection] = set()
        self.journal = Journal()
        self.rules: list[Rule] = []
        self.files: dict[str, File] = {}
        self.seats = Seats(self.loop, options.capacity, options.queue)
        self._options = options
        self._sock = sock
        self._address = sock.getsockname()
        self._server: asyncio.Server | None = None
        self._opening: asyncio.Task[None] | None = None
        self._random = random.Random(0)         # jitter: the same run gives the same delays
        self._accepted = 0
        self._numbered = 0
        self._tls: ssl.SSLContext | None = None
        if options.tls_cert is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(options.tls_cert, options.tls_key)

    # sockets

    async def open(self) -> None:
        """Listen. The listener is a copy, so that closing it leaves this simulator its socket."""
        self._sock.listen(BACKLOG)
        self._server = await self.loop.create_server(
            self._connection, sock=self._sock.dup(), ssl=self._tls, backlog=BACKLOG)

    def close(self) -> None:
        """Stop listening and end every connection."""
        if self._opening is not None:
            self._opening.cancel()
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self.connections):
            connection.transport.abort()

    def refuse(self, seconds: float) -> None:
        """Reset every connection, and let new ones be refused for this long."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        # Closing does not stop a listener that another process has a copy of; a shutdown does.
        self._sock.shutdown(socket.SHUT_RDWR)
        # With that, Linux takes back a port that it chose itself. One that was asked for stays bound: EINVAL.
        with contextlib.suppress(OSError):
            self._sock.bind(self._address)
        for connection in list(self.connections):
            connection.reset()
        self._opening = self.loop.create_task(self._reopen(seconds))

    def mute(self, seconds: float) -> None:
        """Reset every connection, and leave new ones to the kernel, which completes them, for this long."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for connection in list(self.connections):
            connection.reset()
        self._opening = self.loop.create_task(self._reopen(seconds))

    async def _reopen(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.open()

    def _connection(self) -> Connection:
        self._accepted += 1
        return Connection(self, self._accepted)

    # requests

    def next_number(self) -> int:
        """The number of the request whose head has just come."""
        self._numbered += 1
        return self._numbered

    def is_early(self, request: Request) -> bool:
        """Whether the request shall be answered before its body is read."""
        try:
            return self._find(request, None)[1].early
        except FaultError:
            return False

    def respond(self, request: Request) -> Exchange:
        """The answer to a request, ready to be played."""
        if request.path == API:
            call = Call(request, None, self._options)
            return Exchange(request, NO_FAULT, steps(call, self._control(request), 0.0, 0.0), self.journal)
        body = routes.body_of(request)
        model = body.get("model") if isinstance(body, dict) else None
        model = model if isinstance(model, str) else None
        call = Call(request, body, self._options, self.files)
        spec, seated = None, not self.seats.full
        try:
            spec, call.fault, rule = self._find(request, model)
            if rule is not None and rule.times is not None:
                rule.times -= 1
            answer = routes.wrong_key(request, self._options.key)
            if not seated:
                answer = case_failure(request, "overloaded")
            elif answer is None:
                answer = spoiled(call, replaced(call) or routes.answer(call))
        except FaultError as error:
            answer = failure(request, 400, _language(error), code="invalid_fault")
        record = Record(request, model, spec, answer.events is not None, answer.status)
        self.journal.add(record)
        latency, delay = self._times(call.fault)
        return Exchange(request, call.fault, steps(call, answer, latency, delay), self.journal, record, seated)

    def _find(self, request: Request, model: str | None) -> tuple[str | None, Fault, Rule | None]:
        """The fault for a request: by its header, by its model's name, or by the first rule that fits."""
        spec = request.header(HEADER)
        if spec is None and model is not None and model.startswith(MODEL_PREFIX):
            spec = model[len(MODEL_PREFIX):]
        if spec is not None:
            return spec, faults.parse(spec), None
        for rule in self.rules:
            if rule.fits(request, model):
                return rule.spec, rule.fault, rule
        return None, NO_FAULT, None

    def _times(self, fault: Fault) -> tuple[float, float]:
        """Seconds before the head, and between two events."""
        options = self._options
        latency = options.latency / 1000 if fault.latency is None else fault.latency
        jitter = options.jitter / 1000 if fault.jitter is None else fault.jitter
        if jitter:
            latency += self._random.uniform(0, jitter)
        return latency, options.delay / 1000 if fault.delay is None else fault.delay

    # its own API

    def _control(self, request: Request) -> Answer:
        """GET shows what happened, POST adds faults, DELETE forgets both."""
        if request.method == "GET":
            last = request.target.partition("last=")[2]
            return Answer(body=orjson.dumps(self._show(int(last) if last.isdecimal() else SHOWN)))
        if request.method == "POST":
            try:
                self.rules.extend(rules.read(routes.body_of(request)))
            except FaultError as error:
                return Answer(400, orjson.dumps({"error": {"message": _language(error)}}))
            return Answer(body=orjson.dumps({"faults": [rule.show() for rule in self.rules]}))
        if request.method == "DELETE":
            self.journal = Journal()
            self.seats.forget()
            self.rules.clear()
            self.files.clear()
            return Answer(body=b"{}")
        return Answer(405, orjson.dumps({"error": {"message": "GET, POST or DELETE"}}), headers=[
            (b"allow", b"GET, POST, DELETE")])

    def _show(self, last: int) -> dict[str, Any]:
        records = [connection.exchange.record for connection in self.connections if connection.exchange]
        return {**self.journal.show(last), **self.seats.show(), "faults": [rule.show() for rule in self.rules],
                "connections": {"accepted": self._accepted, "open": len(self.connections)},
                "streams": sum(record is not None and record.stream for record in records)}


def _language(error: FaultError) -> str:
    return f"{error}. A fault is a list of these, separated by `;`:\n{faults.table()}"


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to host:port (0: a port that the kernel chooses). Raises OSError."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except BaseException:
        sock.close()
        raise
    return sock


async def serve(host: str, port: int, *, ready: Ready | None = None, options: Options | None = None) -> None:
    """Simulate on host:port until cancelled. `ready` gets the port once it is listened on."""
    with bind(host, port) as sock:
        await _serve(sock, ready, options)


async def _serve(sock: socket.socket, ready: Ready | None, options: Options | None) -> None:
    simulator = Simulator(sock, options or Options())
    await simulator.open()
    try:
        if ready is not None:
            ready(sock.getsockname()[1])
        await asyncio.Event().wait()
    finally:
        simulator.close()


def run(sock: socket.socket, options: Options | None = None, *, ready: Ready | None = None) -> None:
    """Simulate on a bound socket, in a process of its own, until SIGTERM or SIGINT."""
    async def main() -> None:
        loop, work = asyncio.get_running_loop(), asyncio.create_task(_serve(sock, ready, options))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, work.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await work
    uvloop.run(main())
