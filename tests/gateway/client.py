"""A client of the gateway on a bare socket: requests as bytes, answers taken apart by a slow and strict reader."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from tests.gateway.script import Script
from tests.simulator.wire import Seen, Wire
from tests.support.gateway import KEY, Gateway
from tests.support.patience import PATIENCE

SURFACES = ("openai", "anthropic")
PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}
HELLO = [{"role": "user", "content": "hello"}]


@dataclass(frozen=True)
class Answer:
    """An answer whose framing was checked: `body` is without it."""

    status: int
    reason: str
    fields: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, which says of itself that it is JSON."""
        assert self.fields["content-type"].partition(";")[0] == "application/json"
        return json.loads(self.body)


def read(seen: Seen) -> Answer:
    """A whole answer and nothing behind it; AssertionError for anything else."""
    head, blank, _ = seen.data.partition(b"\r\n\r\n")
    assert blank, seen
    line, *lines = head.decode("latin-1").split("\r\n")
    found = re.fullmatch(r"HTTP/1\.1 (\d{3}) ([ -~]+)", line)
    assert found, line
    fields: dict[str, str] = {}
    for each in lines:
        name, colon, value = each.partition(": ")
        assert colon and name.lower() not in fields, each
        fields[name.lower()] = value.strip()
    if "transfer-encoding" in fields:
        assert fields["transfer-encoding"] == "chunked" and "content-length" not in fields
        assert seen.chunks[-1] == b"", "the last chunk is missing"
        body = b"".join(seen.chunks)
    else:
        body = seen.body
        assert len(body) == int(fields.get("content-length", len(body)))
    return Answer(int(found[1]), found[2], fields, body)


def scripted(gateway: Gateway, script: Script, request: bytes, reply: bytes) -> Answer:
    """The answer to a request that the provider answers so."""
    with Wire(gateway.port) as wire:
        wire.send(request)
        meeting = script.meet()
        meeting.asked()
        meeting.send(reply)
        return read(wire.answer())


def ask(port: int, data: bytes) -> Answer:
    """The answer to these bytes on a connection of their own."""
    with Wire(port) as wire:
        return read(wire.send(data).answer())


def asked(surface: str, **changes: Any) -> dict[str, Any]:
    """A request's body that is in order; `changes` set members, None takes one out."""
    whole = {"model": "sim-1", "messages": HELLO, **({"max_tokens": 64} if surface == "anthropic" else {}), **changes}
    return {name: value for name, value in whole.items() if value is not None}


def request(body: Any = None, *, path: str, method: str = "POST",
            headers: dict[str, str | None] | None = None) -> bytes:
    """A request's bytes. `headers` replace the usual ones; None takes one out."""
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"host": "gateway", "authorization": f"Bearer {KEY}", "content-type": "application/json",
              "content-length": str(len(data)), **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value is not None)
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + data


def post(surface: str, *, spec: str | None = None, headers: dict[str, str | None] | None = None,
         **changes: Any) -> bytes:
    """A request for the surface's main route, with a fault for the simulator."""
    fields = {**(headers or {}), **({"x-simulate": spec} if spec else {})}
    return request(asked(surface, **changes), path=PATHS[surface], headers=fields)


def receive(wire: Wire, marker: bytes, seen: bytes = b"") -> bytes:
    """Reads until what came, `seen` included, holds the marker."""
    wire.socket.settimeout(PATIENCE)
    while marker not in seen:
        piece = wire.socket.recv(1 << 16)
        assert piece, f"closed before {marker!r}: {seen!r}"
        seen += piece
    return seen
