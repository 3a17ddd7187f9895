"""Error answers as compiled byte templates: see render.pyx."""

from typing import Final

NEVER: Final[int]
SLOTS: Final[dict[str, int]]

class Template:
    """One condition in one contract, for one surface, as bytes with slots."""

    condition: str
    status: int
    def __init__(self, condition: str, status: int, head: bytes, pieces: tuple[bytes | tuple[int, bytes], ...],
                 event_pieces: tuple[bytes | tuple[int, bytes], ...], wait_ms: int) -> None: ...
    def render(self, values: list[bytes | str | int | None], extra: bytes, close: bool) -> bytes:
        """The complete answer. `values` by slot, None where missing; `extra`: field lines, each with its CRLF."""
    def event(self, values: list[bytes | str | int | None]) -> bytes:
        """The error as the event that ends a stream which has begun."""
