"""A gateway in front of a provider that plays scripts, and the bytes that scripts are made of."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.gateway import Gateway
from tests.support.provider import Line, Provider, echo
from tests.support.talk import Answer, ask, chat

# What a client may take, and a provider, in this area's gateways.
HEAD_SECONDS = 1.0
BODY_SECONDS = 1.0
FIRST_BYTE_SECONDS = 1.0

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"
EVENT = b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'


class Stage:
    """A gateway in front of a provider that plays one script after the other."""

    def __init__(self, edge: Gateway, provider: Provider) -> None:
        self.edge = edge
        self.provider = provider
        self.port = edge.port

    def play(self, script: Callable[[Line], None]) -> None:
        """From the next connection on; those that are open end."""
        self.provider.script = script
        self.provider.hang_up()

    def serves(self, text: str = "text-after") -> None:
        """The next client gets its own answer."""
        assert content(ask(self.port, chat(text=text))) == text


def content(found: Answer) -> str:
    """What a good answer says."""
    assert found.status == 200, (found.status, found.body)
    text: str = found.json["choices"][0]["message"]["content"]
    return text


def once(data: bytes, *, end: bool = True) -> Callable[[Line], None]:
    """A script: the first connection gets these bytes for an answer, later ones good answers."""
    told: list[int] = []

    def script(line: Line) -> None:
        if told:
            return echo(line)
        told.append(1)
        line.request()
        line.send(data)
        if not end:
            line.request()
    return script
