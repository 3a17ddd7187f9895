"""Both providers: how a request becomes an answer, and what is kept of it. They know nothing of sockets."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from edge.simulator import faults, routes, rules
from edge.simulator.answer import Answer, Call, Options
from edge.simulator.errors import case_failure, failure
from edge.simulator.faults import NO_FAULT, Fault, FaultError
from edge.simulator.framing import Step, steps
from edge.simulator.journal import Journal, Record
from edge.simulator.request import Request
from edge.simulator.rules import Rule
from edge.simulator.seats import Seats
from edge.simulator.spoil import replaced, spoiled
from edge.simulator.uploads import File

HEADER = b"x-simulate"
MODEL_PREFIX = "fault:"
API = "/_simulate"
SHOWN = 100             # requests that GET /_simulate shows unless `last` says otherwise


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


class Providers:
    """OpenAI and Anthropic, and the simulator's own API, which tells how many `connections` are open."""

    def __init__(self, options: Options, connections: Collection[object]) -> None:
        self._seats = Seats(asyncio.get_running_loop(), options.capacity, options.queue)
        self._journal = Journal()
        self._rules: list[Rule] = []
        self._files: dict[str, File] = {}
        self._options = options
        self._connections = connections
        self._open: set[Exchange] = set()
        self._random = random.Random(0)         # jitter: the same run gives the same delays
        self._accepted = 0
        self._numbered = 0

    def next_connection(self) -> int:
        """The number of the connection that has just been accepted."""
        self._accepted += 1
        return self._accepted

    def next_request(self) -> int:
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
            return Exchange(request, NO_FAULT, steps(call, self._control(request), 0.0, 0.0), self._journal)
        body = routes.body_of(request)
        model = body.get("model") if isinstance(body, dict) else None
        model = model if isinstance(model, str) else None
        call = Call(request, body, self._options, self._files)
        spec, seated = None, not self._seats.full
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
        self._journal.add(record)
        latency, delay = self._times(call.fault)
        return Exchange(request, call.fault, steps(call, answer, latency, delay), self._journal, record, seated)

    def begin(self, exchange: Exchange, play: Callable[[], None]) -> None:
        """Call `play` as soon as the answer has the seat that it needs."""
        self._open.add(exchange)
        if exchange.seated and exchange.record is not None:
            self._seats.enter(exchange, exchange.record.model or "", play)
        else:
            play()

    def end(self, exchange: Exchange, outcome: str, sent: int) -> None:
        """The answer is over, with so many bytes of it sent."""
        self._open.discard(exchange)
        self._seats.leave(exchange)
        if exchange.record is not None:
            exchange.journal.end(exchange.record, outcome, sent, time.time())

    def _find(self, request: Request, model: str | None) -> tuple[str | None, Fault, Rule | None]:
        """The fault for a request: by its header, by its model's name, or by the first rule that fits."""
        spec = request.header(HEADER)
        if spec is None and model is not None and model.startswith(MODEL_PREFIX):
            spec = model[len(MODEL_PREFIX):]
        if spec is not None:
            return spec, faults.parse(spec), None
        for rule in self._rules:
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
                self._rules.extend(rules.read(routes.body_of(request)))
            except FaultError as error:
                return Answer(400, orjson.dumps({"error": {"message": _language(error)}}))
            return Answer(body=orjson.dumps({"faults": [rule.show() for rule in self._rules]}))
        if request.method == "DELETE":
            self._journal = Journal()
            self._seats.forget()
            self._rules.clear()
            self._files.clear()
            return Answer(body=b"{}")
        return Answer(405, orjson.dumps({"error": {"message": "GET, POST or DELETE"}}), headers=[
            (b"allow", b"GET, POST, DELETE")])

    def _show(self, last: int) -> dict[str, Any]:
        return {**self._journal.show(last), **self._seats.show(), "faults": [rule.show() for rule in self._rules],
                "connections": {"accepted": self._accepted, "open": len(self._connections)},
                "streams": sum(exchange.record is not None and exchange.record.stream for exchange in self._open)}


def _language(error: FaultError) -> str:
    return f"{error}. A fault is a list of these, separated by `;`:\n{faults.table()}"
