"""A client's request as it came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Dialect = Literal["openai", "anthropic"]


@dataclass(slots=True)
class Request:
    """A request as it came: header names and values are the client's own bytes, in its order."""

    method: str
    target: str
    version: str
    headers: list[tuple[bytes, bytes]]
    keep_alive: bool
    number: int                     # of the request, from 1
    connection: int                 # number of its connection, from 1
    at: float                       # Unix time of its head
    body: bytes = b""
    size: int = 0                   # of the body, even when the journal keeps only its beginning

    @property
    def id(self) -> str:
        """The provider's id of this request, in the answer's headers and in Anthropic's errors."""
        return unique("req", self)

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    def header(self, name: bytes) -> str | None:
        """The value of the first header of this (lower-case) name."""
        for key, value in self.headers:
            if key.lower() == name:
                return value.decode("latin-1")
        return None

    @property
    def dialect(self) -> Dialect:
        """Whose manners the answer has. /v1/messages is Anthropic's; elsewhere `anthropic-version` tells."""
        if self.path.startswith("/v1/messages") or self.header(b"anthropic-version") is not None:
            return "anthropic"
        return "openai"

    @property
    def key(self) -> str | None:
        """The client's key, from either header that carries one."""
        bearer = self.header(b"authorization")
        if bearer is not None and bearer[:7].lower() == "bearer ":
            return bearer[7:].strip()
        return self.header(b"x-api-key")


def unique(prefix: str, request: Request) -> str:
    """An id as providers make them: its prefix, then letters that no other request gets."""
    return f"{prefix}_{int(request.at * 1e6):014x}{request.number:010x}"
