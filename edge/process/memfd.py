"""Memory that has no name, and goes from process to process as a descriptor (memfd_create(2))."""

from __future__ import annotations

import fcntl
import os

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def whole(descriptor: int) -> bytes:
    """All of such a memory. (Its offset is shared with others who read it.)"""
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def seal(descriptor: int) -> None:
    """Nobody writes to this memory any more, or changes its size (memfd_create(2))."""
    if fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) != _SEALS:
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
