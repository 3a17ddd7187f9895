"""A gateway in front of a provider that says what a test wants, and of another one that answers well."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack

from tests.gateway.events import DIALECTS
from tests.gateway.script import chunk
from tests.support.gateway import Gateway, configuration
from tests.support.provider import Line, Provider
from tests.support.talk import Answer, ask, request

JSON = "content-type: application/json\r\n"
SSE = "content-type: text/event-stream\r\n"


class Stage:
    """A gateway whose models `both` and `lone` come to `first`; `second` stands in for `both` and answers well.

    `three` comes to `first` twice before it does.
    """

    def __init__(self, edge: Gateway, first: Provider, second: Provider) -> None:
        self.edge, self.first, self.second = edge, first, second
        self.asked = [0, 0]

    def play(self, *answers: bytes, end: bool = True) -> None:
        """What the first sends in answer to one request after the other, the last to all that follow; then it closes,
        or waits for the gateway to close."""
        def script(line: Line) -> None:
            while line.request():
                self.asked[0] += 1
                line.send(answers[min(self.asked[0], len(answers)) - 1])
                if end:
                    return
        self.first.hang_up()
        self.first.script = script
        self.asked = [0, 0]

    def ask(self, name: str, model: str = "lone", *, stream: bool = False) -> Answer:
        """One request in a dialect."""
        dialect = DIALECTS[name]
        return ask(self.edge.port, request({**dialect.body, "model": model, "stream": stream}, path=dialect.path))


def staged() -> Iterator[Stage]:
    """Both providers, for every dialect."""
    def serve(line: Line) -> None:
        while told := line.request():
            found[0].asked[1] += 1
            path = told.split(b" ")[1].decode()
            dialect = next(each for each in DIALECTS.values() if each.path == path)
            if json.loads(told.partition(b"\r\n\r\n")[2])["stream"]:
                line.send(head(f"{SSE}transfer-encoding: chunked\r\n") + chunk(dialect.stream) + chunk(b""))
            else:
                line.send(plain(dialect.plain))

    found: list[Stage] = []
    with ExitStack() as stack:
        first, second = (stack.enter_context(Provider(script)) for script in (lambda line: None, serve))
        config = configuration("", retry={"max": 3}, circuit_breaker={"enabled": False}, models={
            "both": ["first", "second", "first-a", "second-a"], "lone": ["first", "first-a"],
            "three": ["first", "first-again", "second"]},
            routes={"/v1/rerank": "first"})
        config["providers"] = {
            f"{name}{mark}": {"kind": kind, "base_url": f"{url}{path}", "key": "env:PROVIDER_KEY"}
            for name, url in (("first", first.url), ("second", second.url))
            for mark, kind, path in (("", "openai", "/v1"), ("-a", "anthropic", ""), ("-again", "openai", "/v1"))}
        found.append(Stage(stack.enter_context(Gateway(config)), first, second))
        yield found[0]


def head(fields: str, status: str = "200 OK") -> bytes:
    """A head."""
    return f"HTTP/1.1 {status}\r\n{fields}\r\n".encode()


def plain(body: bytes, fields: str = JSON, status: str = "200 OK") -> bytes:
    """An answer with its length."""
    return head(f"{fields}content-length: {len(body)}\r\n", status) + body


def streamed(body: bytes, fields: str = SSE) -> bytes:
    """A stream in chunks."""
    return head(f"{fields}transfer-encoding: chunked\r\n") + chunk(body) + chunk(b"")
