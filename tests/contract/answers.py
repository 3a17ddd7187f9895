"""Renders conditions and reads the answers back with parsers that are not ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httptools
import orjson

from edge import contract
from edge._fast import SLOTS, Condition, Slot, Template

CONTRACTS = contract.names()
SURFACES = ("openai", "anthropic", "admin")
CONDITIONS = tuple(c for c in Condition if c not in (Condition.ok, Condition.client_closed))


@dataclass(frozen=True, slots=True)
class Answer:
    """A response as httptools and orjson see it; header names are in lower case and occur once."""

    status: int
    headers: dict[str, str]
    body: Any


class _Reader:
    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.complete = True


def values(**given: object) -> list[Any]:
    """The list that render takes, by the slots' names; a request id is always there. `retry_after` is in ms."""
    made: list[Any] = [None] * Slot.N_SLOTS
    made[SLOTS["request_id"]] = made[SLOTS["trace_id"]] = b"req-0123456789abcdef"
    for name, value in given.items():
        made[SLOTS[name]] = value
    return made


def read(raw: bytes) -> Answer:
    """Parse one complete response, with nothing before and nothing behind it."""
    reader = _Reader()
    parser = httptools.HttpResponseParser(reader)
    parser.feed_data(raw)
    assert reader.complete
    headers = {name.decode().lower(): value.decode() for name, value in reader.fields}
    assert len(headers) == len(reader.fields), "a field is there twice"
    assert raw.endswith(b"\r\n\r\n" + reader.body) and int(headers["content-length"]) == len(reader.body)
    return Answer(parser.get_status_code(), headers, orjson.loads(reader.body))


def template(name: str, surface: str, condition: Condition, **options: Any) -> Template:
    """A compiled template."""
    found = contract.compile_surface(name, surface, **options)[condition]
    assert found is not None
    return found


def answer(name: str, surface: str, condition: Condition, given: dict[str, Any] | None = None,
           **options: Any) -> Answer:
    """A condition rendered and read back."""
    return read(template(name, surface, condition, **options).render(values(**given or {}), b"", False))
