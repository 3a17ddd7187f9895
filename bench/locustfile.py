"""Plays a scenario of scenarios/ over real HTTP, every answer checked, every stream read event by event.

    locust -f bench/locustfile.py --headless --scenario chat --seconds 60 --host http://127.0.0.1:8766 --key sk-...

`--records FOLDER` keeps each request there (harness/records.py) for guard.py and scenario.py.
"""

from __future__ import annotations

import functools
import itertools
import json
import random
import time
from argparse import ArgumentParser
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import gevent
from harness.load import key
from harness.records import Mark, Pulse, Request, Writer
from locust import FastHttpUser, LoadTestShape, events, task
from locust.env import Environment
from scenarios import Call, Caller, Scenario, load

SAID = ["Say what a gateway is good for, with \"reasons\". ", "It is one place for keys, limits and errors.\n"]
PIECE = 2000                # bytes of one turn of a conversation
BEATS, BEAT = 20, 0.05      # how often a process looks at its own lateness before it writes a record of it, and seconds
numbers = itertools.count()
writer = Writer(None)


@events.init_command_line_parser.add_listener
def arguments(parser: ArgumentParser) -> None:
    """Options beside locust's own."""
    parser.add_argument("--scenario", default="chat", help="a file of bench/scenarios, without .py")
    parser.add_argument("--seconds", type=float, default=0, help="length of the run; 0: the scenario's own")
    parser.add_argument("--key", default="", help="the gateway's key; default: those of the scenario")
    parser.add_argument("--simulator", type=int, default=0, help="port of the simulator that faults are asked of")
    parser.add_argument("--records", default="", help="a folder for a record of each request")


@events.init.add_listener
def begin(environment: Environment, **_: Any) -> None:
    """Opens the records and begins to look at this process's own lateness."""
    global writer
    options = environment.parsed_options
    writer = Writer(Path(options.records) if options and options.records else None)
    gevent.spawn(pulse)


@events.quitting.add_listener
def end(**_: Any) -> None:
    """Writes what is left."""
    writer.flush()


def pulse() -> None:
    """Once a second: how late this process's loop is on average, and what it has of a core."""
    while True:
        at, cpu, late = time.monotonic(), time.process_time(), 0.0
        for _ in range(BEATS):
            due = time.monotonic() + BEAT
            gevent.sleep(BEAT)
            late += time.monotonic() - due
        now = time.monotonic()
        writer.write(Pulse(now, late / BEATS, (time.process_time() - cpu) / (now - at)))
        writer.flush()


class Course(LoadTestShape):
    """How many clients there are in the course of the run, and the steps that are due."""

    def __init__(self) -> None:
        super().__init__()
        self.done = -1                      # steps taken; -1: not begun

    def tick(self) -> tuple[int, float] | None:
        """Asked once a second by the process that leads the others."""
        options = self.runner.environment.parsed_options
        scenario = load(options.scenario)
        seconds = options.seconds or scenario.seconds
        share = self.get_run_time() / seconds
        if self.done < 0:
            writer.write(Mark(time.monotonic(), ""))
            self.done = 0
        for step in scenario.steps[self.done:]:
            if share < step.at:
                break
            if step.faults is not None and options.simulator:
                play(options.simulator, step.faults)
            writer.write(Mark(time.monotonic(), step.mark))
            self.done += 1
        users = scenario.users_at(share)
        return None if share >= 1 else (users, users)


def play(port: int, faults: tuple[Any, ...]) -> None:
    """Lets the simulator have these faults, and no others."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    for method, body in (("DELETE", None), ("POST", json.dumps({"faults": faults}))):
        connection.request(method, "/_simulate", body)
        answer = connection.getresponse()
        if answer.read() is None or answer.status != 200:
            raise RuntimeError(f"the simulator answered {answer.status} to {faults}")
    connection.close()


@functools.cache
def body(call: Call, size: int) -> bytes:
    """A request whose conversation has `size` bytes, made once."""
    messages = [{"role": ("user", "assistant")[turn % 2], "content": SAID[turn % 2] * (min(size, PIECE) // 48)}
                for turn in range(max(1, size // PIECE) | 1)]        # the user has the last word
    return json.dumps({"model": call.model, "max_tokens": 64, "stream": call.stream, "messages": messages}).encode()


class Client(FastHttpUser):
    """One client of the scenario, out of step with the others."""

    def on_start(self) -> None:
        """Chooses which kind of caller it is."""
        self.options = self.environment.parsed_options
        scenario: Scenario = load(self.options.scenario)
        self.keys = [self.options.key] if self.options.key else [key(name) for name in scenario.keys]
        kinds = [caller for caller in scenario.callers for _ in range(caller.weight)]
        self.caller: Caller = kinds[next(numbers) % len(kinds)]
        self.turn = 0
        gevent.sleep(random.uniform(0, self.caller.pause[1]))

    def wait_time(self) -> float:
        """Seconds until the next request."""
        return random.uniform(*self.caller.pause)

    @task
    def call(self) -> None:
        """One request and its answer."""
        call = random.choices(self.caller.calls, [call.weight for call in self.caller.calls])[0]
        size = call.context[self.turn % len(call.context)]
        self.turn += 1
        path = "/v1/messages" if call.model.startswith("claude") else "/v1/chat/completions"
        headers = {"Authorization": f"Bearer {random.choice(self.keys)}", "Content-Type": "application/json",
                   "Accept-Encoding": "identity", "anthropic-version": "2023-06-01"}
        begun = time.monotonic()
        with self.client.post(path, data=body(call, size), headers=headers, name=call.name, stream=call.stream,
                              catch_response=True) as response:
            first, condition, detail = (read_stream if call.stream else read_plain)(response)
            now = time.monotonic()
            response.request_meta["response_time"] = (now - begun) * 1000
            if condition != "ok":
                response.failure(f"{condition}: {detail}")
        if first:
            self.environment.events.request.fire(
                request_type="SSE", name=f"{call.name}, first event", response_time=(first - begun) * 1000,
                response_length=0, response=None, context={}, exception=None)
        writer.write(Request(now, call.name, now - begun, first - begun if first else None, call.stream,
                             condition, detail))


def refused(response: Any) -> tuple[None, str, str]:
    """What an answer that is no success says of itself."""
    headers = response.headers or {}
    return None, headers.get("x-edge-condition", f"status {response.status_code}"
                             if response.status_code else "no answer"), f"{response.text or response.error!r:.200}"


def read_plain(response: Any) -> tuple[None, str, str]:
    """The condition that one answer tells, and its words."""
    if response.status_code != 200:
        return refused(response)
    content = response.content or b""
    if b'"chat.completion"' in content or b'"type":"message"' in content:
        return None, "ok", ""
    return None, "not whole", f"{content[-200:]!r}"


def read_stream(response: Any) -> tuple[float | None, str, str]:
    """When the first event came, the condition that the stream ends with, and its last words."""
    if response.status_code != 200:
        return refused(response)
    first, last = None, b""
    try:
        while line := response.stream.readline(b"\n"):
            if line.startswith(b"data:"):
                first = first or time.monotonic()
                last = line
    except Exception as broken:         # whatever geventhttpclient meets in a stream that breaks off
        return first, "cut", f"{broken!r:.200}"
    if last.startswith((b"data: [DONE]", b'data: {"type":"message_stop"')):
        return first, "ok", ""
    try:
        error = json.loads(last[5:])["error"]
        return first, str(error.get("code") or error["type"]), f"{last!r:.200}"
    except (ValueError, KeyError, TypeError):
        return first, "cut", f"{last!r:.200}"
