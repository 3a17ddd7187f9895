"""The directory of keys as Python sees it; workers look keys up through the C interface of directory.pxd."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from typing_extensions import disjoint_base

from edge._fast.shared.slab import Slab

class KeyRow(NamedTuple):
    """A key: its policy as text, its state by number, its end (Unix time, 0: none), and its buckets' indices (0: none).

    Buckets are by number: requests per second, then those of KINDS_OF_LIMITS. `former`: it is of the secret from before
    the key's rotation. `parties` are the numbers of those behind it, in the order of Party (0: nobody).
    """

    digest: bytes
    name: str
    policy: bytes
    state: int
    expires: float
    buckets: tuple[int, ...]
    former: bool
    parties: tuple[int, ...] = ...

def party_digest(party: int, number: int) -> bytes: ...

@disjoint_base
class Directory:
    """One source's keys: FILE or STORE."""

    slab: Slab
    def __init__(self, slab: Slab, source: int) -> None: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[KeyRow]: ...
    @property
    def generation(self) -> int: ...
    @property
    def free_limits(self) -> int: ...
    def find(self, digest: bytes) -> KeyRow | None: ...
    def named(self, name: str) -> KeyRow | None: ...
    def digests(self) -> list[bytes]: ...
    def put(self, row: KeyRow, limits: Sequence[tuple[float, int] | int | None]) -> bool: ...
    def remove(self, digest: bytes) -> bool: ...
    def repair(self) -> bool: ...
