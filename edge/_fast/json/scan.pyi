"""Types of scan.pyx for Python."""

from collections.abc import Iterable
from typing import Literal

from typing_extensions import disjoint_base

_Kind = Literal["null", "false", "true", "number", "string", "array", "object"]

@disjoint_base
class Names:
    """The names of wanted members, prepared for the scanner: at most 24, 1 to 255 bytes each as UTF-8."""

    def __init__(self, names: Iterable[str]) -> None: ...
    @property
    def names(self) -> tuple[str, ...]: ...

class ScanError(ValueError):
    """A text that the scanner refuses: why, and at which byte."""

    reason: str
    position: int
    def __init__(self, reason: str, position: int) -> None: ...

def scan_members(
    data: bytes | bytearray | memoryview, names: Iterable[str], cuts: Iterable[int] = ()
) -> dict[str, tuple[_Kind, int, int]]: ...
def is_object(data: bytes, names: Names) -> bool: ...
def read_number(data: bytes) -> tuple[int | None, float]: ...
def kernels() -> tuple[str, ...]: ...
def use_kernel(name: str) -> None: ...
