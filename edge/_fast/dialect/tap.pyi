"""Types of tap.pyx for Python."""

from collections.abc import Iterable
from typing import Literal, TypedDict

_Dialect = Literal["none", "chat", "responses", "messages", "object"]

class _Seen(TypedDict):
    input: int
    output: int
    cached: int
    events: int
    terminal: bool
    error: bool
    data: bytes

class _Stream(_Seen):
    consumed: int
    tail: bytes
    relayed: bytes
    whole: bool
    failed: bool
    sequence: int
    name: bytes
    unreadable: bool

class _Answer(_Seen):
    valid: bool

def tap_stream(
    dialect: _Dialect, chunks: Iterable[bytes | memoryview], hide: bool = False, choices: int = 1
) -> _Stream: ...
def skip_event(data: bytes, cuts: Iterable[int] = ()) -> int: ...
def tap_answer(dialect: _Dialect, body: bytes | memoryview) -> _Answer: ...
