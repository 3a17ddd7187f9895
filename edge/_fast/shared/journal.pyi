"""The journals of what requests have cost, as control sees them; workers use journal.pxd."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from typing_extensions import disjoint_base

from edge._fast.shared.slab import Slab

JOURNAL_ROOM: Final[int]

class JournalEntry(NamedTuple):
    """What a request has cost, in micro-points; tokens, and whether they were estimated; Unix time of its end."""

    number: int
    time: int
    account: int
    points: int
    key: str
    model: str
    request: str
    input: int
    cached: int
    output: int
    estimated: bool

@disjoint_base
class Journal:
    """A file of entries: its worker's, who gives `boot` and `stripe`, or as control reads it."""

    path: str
    def __init__(self, path: str, boot: int | None = None, stripe: int = 0) -> None: ...
    def __del__(self) -> None: ...
    @property
    def boot(self) -> int: ...
    @property
    def stripe(self) -> int: ...
    @property
    def inode(self) -> int: ...
    @property
    def lost(self) -> bool: ...
    @property
    def waiting(self) -> int: ...
    @property
    def since(self) -> int: ...
    def abandoned(self) -> bool: ...
    def read(self, most: int) -> tuple[int, list[JournalEntry | None]]: ...
    def passed(self, number: int) -> None: ...
    def restore(self, slab: Slab) -> None: ...
    def add(
        self, entry: JournalEntry, balances: Sequence[int] = (0, 0), settled: Sequence[int] = (0, 0)
    ) -> bool: ...
