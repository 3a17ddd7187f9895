"""Control's errors in contract: the same compiled templates as the data port's, as Starlette responses."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import orjson
from starlette.responses import Response

from edge._fast import Condition, Slot, Template


class Refusal(Exception):
    """Ends a request with a condition, and the values that its message may use; `beside` is in the JSON as well."""

    beside: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, condition: Condition, values: dict[Slot, Any] | None = None) -> None:
        super().__init__(condition.name)
        self.condition = condition
        self.values = values or {}


def request_id() -> str:
    """A new one, of the same form as the data port's."""
    return f"req-{secrets.token_hex(8)}"


class Refusals:
    """The templates of one contract."""

    def __init__(self, templates: Sequence[Template | None]) -> None:
        self._templates = templates

    def render(self, refusal: Refusal, *, extra: bytes = b"", close: bool = False) -> bytes:
        """A whole HTTP response."""
        template = self._templates[refusal.condition] or self._templates[Condition.internal_error]
        assert template is not None
        name = request_id()
        values: list[Any] = [None] * Slot.N_SLOTS
        for slot, value in {Slot.S_REQUEST_ID: name, Slot.S_TRACE_ID: name, **refusal.values}.items():
            values[slot] = value
        return template.render(values, extra, close)

    def response(self, refusal: Refusal, headers: dict[str, str] | None = None) -> Response:
        """The same for Starlette; its server writes the status line and the framing."""
        head, _, body = self.render(refusal).partition(b"\r\n\r\n")
        first, *fields = head.decode("latin-1").split("\r\n")
        if refusal.beside:
            body = orjson.dumps({**orjson.loads(body), **refusal.beside})
        response = Response(body, int(first.split(" ", 2)[1]))
        for field in fields:
            name, _, value = field.partition(":")
            if name.lower() != "content-length":
                response.headers[name.lower()] = value.strip()
        response.headers.update(headers or {})
        return response
