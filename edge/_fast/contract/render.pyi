"""Error answers as compiled byte templates: see render.pyx."""

from enum import IntEnum
from typing import Final

from typing_extensions import disjoint_base

_Piece = bytes | tuple[int, bytes]

NEVER: Final[int]
PHRASES: Final[dict[int, str]]
SLOTS: Final[dict[str, int]]

class Slot(IntEnum):
    """The named values a message may use; the number is the index into the list given to render."""

    S_REQUEST_ID = 0
    S_TRACE_ID = 1
    S_RETRY_AFTER_MS = 2
    S_FIELD = 3
    S_EXPECTED = 4
    S_GOT = 5
    S_MODEL = 6
    S_REASON = 7
    S_UPSTREAM_STATUS = 8
    S_UPSTREAM_REASON = 9
    S_TIMEOUT = 10
    S_MESSAGE = 11
    S_LINE = 12
    S_METHOD = 13
    S_PATH = 14
    S_LIMIT = 15
    S_FINAL = 16
    N_SLOTS = 17

@disjoint_base
class Template:
    """One condition in one contract, for one surface, as bytes with slots."""

    @property
    def condition(self) -> str: ...
    @property
    def status(self) -> int: ...
    def __new__(cls, condition: str, status: int, head: bytes, pieces: tuple[_Piece, ...],
                event_pieces: tuple[_Piece, ...], wait_ms: int) -> Template: ...
    def render(self, values: list[bytes | str | int | None], extra: bytes, close: bool) -> bytes:
        """The complete answer. `values` by slot, None where missing; `extra`: field lines, each with CRLF.

        NEVER (or less) in S_RETRY_AFTER_MS says x-should-retry: false and leaves Retry-After out, whatever the row is.
        S_FINAL says x-should-retry: false where it is true, true where it is false, whatever the row is.
        """
    def event(self, values: list[bytes | str | int | None]) -> bytes:
        """The error as the event that ends a stream which has begun."""
