"""A client on a bare socket: what a fault looks like on the wire."""

from __future__ import annotations

import json
import re
import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from tests.support.patience import PATIENCE

# Seconds without a byte after which the peer counts as silent: in an answer, and behind a complete one.
SILENT = 0.5
DONE = 0.03


@dataclass
class Seen:
    """What came, and how it stopped: `fin`, `reset`, or `open` when nothing more came."""

    data: bytes
    end: str

    @property
    def head(self) -> bytes:
        """Status line and headers, in lower case."""
        return self.data.partition(b"\r\n\r\n")[0].lower() + b"\r\n"

    @property
    def status(self) -> int:
        """The status, 0 where there is none."""
        return int(self.data[9:12]) if self.data.startswith(b"HTTP/1.1 ") else 0

    @property
    def body(self) -> bytes:
        """All behind the head, as it came."""
        return self.data.partition(b"\r\n\r\n")[2]

    @property
    def complete(self) -> bool:
        """Whether the answer is whole by its own framing."""
        length = re.search(rb"\r\ncontent-length: (\d+)\r\n", self.head)
        if length is not None:
            return len(self.body) >= int(length[1])
        return b"transfer-encoding: chunked" in self.head and self.body.endswith(b"0\r\n\r\n")

    @property
    def chunks(self) -> list[bytes]:
        """The body's chunks, up to and with the last one (b""), which a body that was cut does not have."""
        found, rest = [], self.body
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            length = int(size, 16)
            if len(rest) < length + 2:
                break
            found.append(rest[:length])
            rest = rest[length + 2:]
        return found


class Wire:
    """A connection to a simulator."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.socket.close()

    def send(self, data: bytes) -> Wire:
        """Send bytes."""
        self.socket.sendall(data)
        return self

    def read(self, quiet: float | None = None) -> Seen:
        """Everything up to the end, or until the peer is silent for `quiet` seconds (SILENT, or DONE)."""
        pieces: list[bytes] = []
        seen = Seen(b"", "fin")
        try:
            while True:
                self.socket.settimeout(quiet or (DONE if seen.complete else SILENT))
                piece = self.socket.recv(1 << 20)
                if not piece:
                    break
                pieces.append(piece)
                seen = Seen(b"".join(pieces), "fin")
        except TimeoutError:
            seen.end = "open"
        except ConnectionResetError:
            seen.end = "reset"
        return seen

    def answer(self) -> Seen:
        """One whole answer, without a look at what is behind it."""
        self.socket.settimeout(PATIENCE)
        seen = Seen(b"", "open")
        while not seen.complete:
            piece = self.socket.recv(1 << 20)
            assert piece, "the peer has closed"
            seen.data += piece
        return seen


def request(body: Any = None, *, path: str = "/v1/chat/completions", method: str = "POST",
            spec: str | None = None, headers: dict[str, str] | None = None) -> bytes:
    """A request's bytes."""
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = {"host": "simulator", "content-length": str(len(data)), **(headers or {})}
    if spec is not None:
        lines["x-simulate"] = spec
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + data


def chat(spec: str | None = None, *, stream: bool = False, model: str = "gpt-4o", **more: Any) -> bytes:
    """A chat request."""
    said = [{"role": "user", "content": "hello"}]
    return request({"model": model, "stream": stream, "messages": said, **more}, spec=spec)


def messages(spec: str | None = None, *, stream: bool = False, model: str = "claude-opus-4-6") -> bytes:
    """A request of Anthropic's."""
    return request({"model": model, "stream": stream, "max_tokens": 64,
                    "messages": [{"role": "user", "content": "hello"}]}, path="/v1/messages", spec=spec,
                   headers={"anthropic-version": "2023-06-01"})


def ask(port: int, data: bytes, quiet: float | None = None) -> Seen:
    """What a new connection sees in answer to these bytes."""
    with Wire(port) as wire:
        return wire.send(data).read(quiet)
