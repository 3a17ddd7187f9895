"""Lines of text from workers to control; workers use lines.pxd."""

from typing_extensions import disjoint_base

from edge._fast.shared.slab import Slab

@disjoint_base
class Lines:
    """Takes the lines that workers leave of their requests."""

    def __init__(self, slab: Slab) -> None: ...
    def put(self, stripe: int, line: bytes, logged: bool, kept: bool, traced: bool = False) -> bool: ...
    def take(self) -> tuple[bytes, list[bytes], list[bytes]]: ...
    @property
    def lost(self) -> int: ...
