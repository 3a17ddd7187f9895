"""A client that says exactly what it is told to, byte for byte, and reads answers with h11's strictness."""

from __future__ import annotations

import json
import re
import select
import socket
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal

import h11

from edge import contract
from edge._fast import Condition
from tests.support.gateway import KEY
from tests.support.patience import PATIENCE

REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
Surface = Literal["openai", "anthropic"]
STATUSES = {surface: contract.statuses(surface) for surface in ("openai", "anthropic")}


class Gone(AssertionError):
    """The connection ended, or stayed silent, where an answer was due."""


@dataclass
class Answer:
    """One final response."""

    status: int
    fields: list[tuple[bytes, bytes]]
    body: bytes
    interim: list[int] = field(default_factory=list)

    def header(self, name: str) -> str | None:
        """The value of a field that must not be there twice."""
        found = [value.decode("latin-1") for key, value in self.fields if key == name.lower().encode()]
        assert len(found) < 2, f"{name} is there {len(found)} times"
        return found[0] if found else None

    @property
    def json(self) -> Any:
        """The body, which must be JSON and UTF-8."""
        return json.loads(self.body.decode())


class Talk:
    """A connection to the gateway. `receive` bytes are all that its socket holds of what was not read."""

    def __init__(self, port: int, receive: int = 0) -> None:
        self.socket = socket.socket()
        if receive:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.socket.settimeout(10)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.unread = b""

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.socket.close()

    def send(self, *pieces: bytes) -> Talk:
        """Each piece in a segment of its own. A peer that has closed meanwhile may have answered before: no error."""
        try:
            for piece in pieces:
                self.socket.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return self

    def answer(self, method: str = "POST", seconds: float = PATIENCE) -> Answer:
        """The next answer. Gone where there is none."""
        parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
        parser.send(h11.Request(method=method, target="/", headers=[("host", "x"), ("content-length", "0")]))
        parser.send(h11.EndOfMessage())
        interim: list[int] = []
        head: h11.Response | None = None
        body = b""
        if self.unread:
            parser.receive_data(self.unread)
            self.unread = b""
        self.socket.settimeout(seconds)
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                piece = self._read(seconds)
                if not piece and head is None:
                    raise Gone("the connection was closed without an answer")
                parser.receive_data(piece)
            elif isinstance(event, h11.InformationalResponse):
                interim.append(event.status_code)
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                self.unread = bytes(parser.trailing_data[0])
                return Answer(head.status_code, list(head.headers), body, interim)
            else:
                raise AssertionError(f"an answer cannot go on with {event}")

    def _read(self, seconds: float) -> bytes:
        try:
            return self.socket.recv(1 << 20)
        except TimeoutError:
            raise Gone(f"no answer within {seconds} s") from None
        except ConnectionResetError:
            raise Gone("the connection was reset") from None

    def end(self, seconds: float = 5) -> str:
        """How the peer ends the connection: `fin` or `reset`; `open` when it does not, or says something more."""
        self.socket.settimeout(seconds)
        try:
            return "open" if self.unread or self.socket.recv(1) else "fin"
        except TimeoutError:
            return "open"
        except ConnectionResetError:
            return "reset"

    def silent(self, seconds: float = 0.05) -> bool:
        """Nothing comes, and nothing is closed, for that long."""
        return not self.unread and not select.select([self.socket], [], [], seconds)[0]


def request(body: Any = None, *, path: str = "/v1/chat/completions", method: str = "POST", key: str | None = KEY,
            kind: str | None = "application/json", **fields: str) -> bytes:
    """A request's bytes; `fields` are headers, with `_` for `-`."""
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = {"host": "edge", **{name.replace("_", "-"): value for name, value in fields.items()}}
    if key is not None:
        lines.setdefault("authorization", f"Bearer {key}")
    if body is not None:
        lines.setdefault("content-length", str(len(data)))
        if kind is not None:
            lines.setdefault("content-type", kind)
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + data


def asked(model: str = "gpt-4o", text: str = "hello", **more: Any) -> dict[str, Any]:
    """The body of a chat request, and of a message where `max_tokens` is given."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def chat(model: str = "gpt-4o", *, fault: str | None = None, stream: bool = False, text: str = "hello",
         **fields: str) -> bytes:
    """A chat request; `fault` is the simulator's language."""
    if fault is not None:
        fields["x_simulate"] = fault
    return request(asked(model, text, **({"stream": True} if stream else {})), **fields)


def ask(port: int, data: bytes, method: str = "POST") -> Answer:
    """The answer that a connection of its own gets."""
    with Talk(port) as talk:
        return talk.send(data).answer(method)


def in_contract(answer: Answer, condition: str, surface: Surface = "openai", *, status: int | None = None) -> Answer:
    """Asserts that this is the contract's answer to a condition, head and body; gives it back."""
    assert answer.header("x-edge-condition") == condition, (answer.status, answer.fields, answer.body[:300])
    expected = STATUSES[surface][Condition[condition]] if status is None else status
    assert answer.status == expected, answer
    return enveloped(answer, surface)


def enveloped(answer: Answer, surface: Surface = "openai") -> Answer:
    """Asserts what all error answers have in common."""
    assert answer.header("content-type") == "application/json"
    assert answer.header("content-length") == str(len(answer.body))
    name = answer.header("x-request-id")
    assert name is not None and REQUEST_ID.fullmatch(name) and answer.header("request-id") == name
    assert answer.header("x-should-retry") in ("true", "false")
    assert answer.header("x-edge-blame") in ("client", "tenant", "upstream", "edge")
    assert answer.header("date")
    said = answer.json
    if surface == "openai":
        assert list(said) == ["error"] and set(said["error"]) == {"message", "type", "param", "code"}
    else:
        assert set(said) == {"type", "error", "request_id"} and said["type"] == "error"
        assert set(said["error"]) >= {"type", "message"} and said["request_id"] == name
    assert isinstance(said["error"]["message"], str) and said["error"]["message"]
    return answer


class Canary:
    """A well-behaved client in a thread: it asks all the time, over a kept connection and over new ones.

    `failures` tells what it was denied. Its model is `canary`, so that rules of the simulator can leave it alone.
    """

    def __init__(self, port: int, pause: float = 0.01) -> None:
        self.port = port
        self.pause = pause
        self.served = 0
        self.failures: list[str] = []
        self.slowest = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Canary:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def wait(self, served: int, seconds: float = 10) -> None:
        """Until it has been served so many times."""
        end = time.monotonic() + seconds
        while self.served < served and not self.failures:
            assert time.monotonic() < end, f"the canary was served {self.served} times in {seconds} s"
            time.sleep(0.002)

    def _run(self) -> None:
        asks = chat("canary")
        kept: Talk | None = None
        while not self._stop.is_set():
            try:
                if kept is None or self.served % 4 == 0:
                    if kept is not None:
                        kept.socket.close()
                    kept = Talk(self.port)
                begun = time.monotonic()
                answer = kept.send(asks).answer()
                self.slowest = max(self.slowest, time.monotonic() - begun)
                if answer.header("connection") == "close":
                    kept.socket.close()
                    kept = None
                good = answer.status == 200 and answer.json["object"] == "chat.completion"
                if good:
                    self.served += 1
                else:
                    self.failures.append(f"{answer.status}: {answer.body[:200]!r}")
            except Exception as error:
                self.failures.append(repr(error))
                kept = None
            self._stop.wait(self.pause)
        if kept is not None:
            kept.socket.close()
