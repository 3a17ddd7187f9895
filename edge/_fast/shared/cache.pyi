"""The response cache, as the supervisor makes it and control sees it; workers use cache.pxd."""

from typing import Final, NamedTuple

from typing_extensions import Buffer, disjoint_base

CACHE_LEAST: Final[int]

class Remembered(NamedTuple):
    """An answer: Unix times, whether it is a stream's, its bytes."""

    made: int
    until: int
    stream: bool
    data: bytes

class CacheTotal(NamedTuple):
    """Requests whose answer was found, and was not; answers that were put in; bytes in use."""

    hits: int
    misses: int
    kept: int
    used: int

@disjoint_base
class Cache:
    """Answers in a shared mapping, with an area for each writer."""

    areas: int
    size: int
    longest: int
    def __init__(self, mapping: Buffer, areas: int) -> None: ...
    def claim(self, number: int, writer: int) -> None: ...
    def find(self, name: bytes, now: int) -> Remembered | None: ...
    def put(self, number: int, name: bytes, remembered: Remembered) -> bool: ...
    def drop(self, name: bytes) -> bool: ...
    def clear(self) -> None: ...
    @property
    def total(self) -> CacheTotal: ...
