"""Mixed traffic over real HTTP: plain and streaming answers in both dialects, every answer checked.

    locust -f bench/locustfile.py --host http://127.0.0.1:8766 --key sk-... --headless -u 20 -r 20 -t 60s

Plain answers are timed to their last byte, streams to their first event and to their end. `--samples FILE`
keeps every time, for guard.py.
"""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from locust import FastHttpUser, between, events, task
from locust.env import Environment

MODELS = {"openai": "gpt-5-mini", "anthropic": "claude-haiku-4-5"}
ASKED: list[dict[str, str]] = [{"role": "user", "content": "Say what a gateway is good for. " * 20}]
FIRST, LAST = ", first event", ", end"
samples: dict[str, list[float]] = {}
failures: list[str] = []


@events.init_command_line_parser.add_listener
def arguments(parser: ArgumentParser) -> None:
    """Options beside locust's own."""
    parser.add_argument("--key", default="sk-any", help="the gateway's key")
    parser.add_argument("--samples", default="", help="a file for all times in milliseconds, as JSON")


@events.request.add_listener
def keep(name: str, response_time: float, exception: Exception | None, **_: Any) -> None:
    """Notes each time, and each failure in words."""
    samples.setdefault(name, []).append(response_time)
    if exception is not None:
        failures.append(f"{name}: {exception}")


@events.quitting.add_listener
def save(environment: Environment, **_: Any) -> None:
    """Writes what was noted."""
    if environment.parsed_options and environment.parsed_options.samples:
        noted = {"samples": samples, "failures": failures}
        Path(environment.parsed_options.samples).write_text(json.dumps(noted))


class Client(FastHttpUser):
    """About ten requests a second on a kept-alive connection, out of step with the other clients."""

    wait_time = between(0.05, 0.15)

    @task(4)
    def chat(self) -> None:
        """A chat completion."""
        self.plain("chat", "/v1/chat/completions", "openai", b'"chat.completion"')

    @task(2)
    def chat_stream(self) -> None:
        """A chat completion as a stream."""
        self.stream("chat stream", "/v1/chat/completions", "openai", b"data: [DONE]")

    @task(2)
    def messages(self) -> None:
        """A message."""
        self.plain("messages", "/v1/messages", "anthropic", b'"end_turn"')

    @task(1)
    def messages_stream(self) -> None:
        """A message as a stream."""
        self.stream("messages stream", "/v1/messages", "anthropic", b"event: message_stop")

    def ask(self, path: str, dialect: str, **more: Any) -> dict[str, Any]:
        """A request's arguments."""
        return {"url": path, "catch_response": True,
                "json": {"model": MODELS[dialect], "max_tokens": 64, "messages": ASKED, **more},
                "headers": {"Authorization": f"Bearer {self.environment.parsed_options.key}",
                            "anthropic-version": "2023-06-01"}}

    def plain(self, name: str, path: str, dialect: str, proof: bytes) -> None:
        """One answer, which must hold `proof`."""
        with self.client.post(name=name, **self.ask(path, dialect)) as response:
            if response.status_code != 200 or proof not in response.content:
                response.failure(f"{response.status_code} {response.content!r:.300}")

    def stream(self, name: str, path: str, dialect: str, proof: bytes) -> None:
        """One stream, which must end with `proof`."""
        begun = time.perf_counter()
        asked = self.ask(path, dialect, stream=True)
        with self.client.post(name=f"{name}, head", stream=True, **asked) as response:
            if response.status_code != 200:
                response.failure(f"{response.status_code} {response.content!r:.300}")
                return
            line = b"-"
            while line and not line.startswith(b"data:"):
                line = response.stream.readline(b"\n")
            self.note(name + FIRST, begun)
            rest = line + response.stream.read()
            self.note(name + LAST, begun)
            if proof not in rest[-200:]:
                response.failure(f"ends with {rest[-200:]!r}")

    def note(self, name: str, begun: float) -> None:
        """A time beside those that locust takes."""
        self.environment.events.request.fire(
            request_type="SSE", name=name, response_time=(time.perf_counter() - begun) * 1000,
            response_length=0, response=None, context={}, exception=None)
