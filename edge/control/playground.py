"""The playground: an operator tries what a key would get, without its secret.

The request goes through the data port as any other, with the key's own models, limits and points, under a secret that
nobody else has and that works for this one request. What fails comes as {code, message, details}.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httptools
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edge._fast import Condition, KeyRow, Slot
from edge.config.keys import digest
from edge.control.guard import admin
from edge.control.keys.changes import there
from edge.control.refusal import Refusal
from edge.control.state import State
from edge.dialects.routes import ROUTES
from edge.net.addresses import UNKNOWN, near
from edge.values.directory import STORE, Directory, named, shown

BEGIN = "/admin/playground"
KEY = "x-edge-key"              # the field that names the key
LONGEST = 1 << 24               # bytes of an answer
SECONDS = 3600.0                # the workers end a request in time: this is for none that does
PIECE = 65536
# What of the client's fields is of this connection, or of the admin port.
OURS = {b"host", b"connection", b"content-length", b"transfer-encoding", b"expect", b"authorization", b"x-api-key",
        b"api-key", b"accept-encoding", b"origin", KEY.encode()}
TOLD = ("condition", "blame", "target", "attempts", "cost", "cache")       # x-edge-…
PATHS = frozenset(route.path for route in ROUTES)


@dataclass(slots=True)
class Answer:
    """A worker's, as httptools reads it."""

    status: int = 0
    fields: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field."""
        self.fields[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        self.body += data

    def on_message_complete(self) -> None:
        """All of it."""
        self.whole = True


class Playground:
    """POST of a client's request, below BEGIN, for the key that KEY names, or `key` in the query. A stream comes whole,
    when it has ended."""

    def __init__(self, state: Callable[[], State], address: tuple[str, int] | None) -> None:
        self.state = state
        self.address = address

    def routes(self) -> list[Route]:
        """The one."""
        return [Route(f"{BEGIN}{path}", self.play, methods=["POST"]) for path in sorted(PATHS)]

    @admin
    async def play(self, request: Request) -> Response:
        """The key's answer."""
        name = request.headers.get(KEY) or request.query_params.get("key")
        if not name:
            raise Refusal(Condition.field_missing, {Slot.S_FIELD: KEY})
        row = there(named(self.state().slab, name), "key", name)
        with self.borrowed(row) as secret:
            answer = await self.ask(request, secret)
        fields = {name: value for name, value in answer.fields.items()
                  if name.startswith("x-edge-") or name in ("content-type", "retry-after", "age")}
        if answer.status < 400:
            return Response(answer.body, answer.status, fields)
        return Response(orjson.dumps(failure(answer)), answer.status, {**fields, "content-type": "application/json"})

    @contextmanager
    def borrowed(self, row: KeyRow) -> Iterator[str]:
        """A secret that is the key's meanwhile, from wherever it comes."""
        state = self.state()
        secret = secrets.token_urlsafe(32)
        key = replace(shown(row), digest=digest(secret, state.snapshot.key_secret), allowed_addresses=(),
                      denied_addresses=())
        directory = Directory(state.slab, STORE, writes=False)
        directory.put(key)
        try:
            yield secret
        finally:
            directory.remove(key.digest)

    async def ask(self, request: Request, secret: str) -> Answer:
        """A worker. Refusal: none answers."""
        body = await request.body()
        fields = [each for each in request.headers.raw if each[0] not in OURS]
        if "content-type" not in request.headers:
            fields.append((b"content-type", b"application/json"))
        path = request.scope["path"].removeprefix(BEGIN).encode()       # the URL's is what a Host makes of it
        lines = [b"POST %b HTTP/1.1" % path, b"host: edge", b"connection: close",
                 b"authorization: Bearer %b" % secret.encode(), b"content-length: %d" % len(body),
                 *(b"%b: %b" % each for each in fields)]
        answer = Answer()
        parser = httptools.HttpResponseParser(answer)
        try:
            async with asyncio.timeout(SECONDS):
                reader, writer = await asyncio.open_connection(*self.place())
                try:
                    writer.write(self.greeting() + b"\r\n".join(lines) + b"\r\n\r\n" + body)
                    while not answer.whole and len(answer.body) <= LONGEST and (data := await reader.read(PIECE)):
                        parser.feed_data(data)
                finally:
                    writer.close()
        except (OSError, TimeoutError, httptools.HttpParserError) as error:
            raise away(str(error) or type(error).__name__) from None
        if not answer.whole:
            raise away("its answer broke off" if len(answer.body) <= LONGEST else f"it is longer than {LONGEST} bytes")
        answer.status = parser.get_status_code()
        return answer

    def place(self) -> tuple[str, int]:
        """Where workers listen, for who is on this host."""
        host, port = self.address or (self.state().snapshot.listen_addr, self.state().snapshot.port)
        return near(host), port

    def greeting(self) -> bytes:
        """What a connection begins with."""
        return UNKNOWN if self.state().snapshot.proxy_protocol else b""


def away(reason: str) -> Refusal:
    """No worker can be asked, or none has answered."""
    return Refusal(Condition.gateway_overloaded, {Slot.S_RETRY_AFTER_MS: 1000, Slot.S_REASON: f"a worker: {reason}"})


def failure(answer: Answer) -> dict[str, Any]:
    """An error of whichever contract, as the playground says it; `details` have its class."""
    try:
        said = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        said = {}
    error = said.get("error", said) if isinstance(said, dict) else {}
    message = error if isinstance(error, str) else first(error, ("message", "detail"))
    details = {name: value for name in TOLD if (value := answer.fields.get(f"x-edge-{name}")) is not None}
    code = first(error, ("code", "type")) or first(said, ("code",)) or details.get("condition")
    return {"code": code, "message": message or f"answered {answer.status}",
            "details": {**details, "status": answer.status, "request_id": answer.fields.get("x-request-id")}}


def first(said: Any, names: Iterable[str]) -> Any:
    """The first of these members that says something."""
    return next((said[name] for name in names if said.get(name)), None) if isinstance(said, dict) else None
