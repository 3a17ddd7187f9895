"""Memory with nothing behind it, for tests that a reader stays inside what it is given."""

from __future__ import annotations

import ctypes
import mmap


class Cliff:
    """A page of memory before an unmapped one: a text at its end cannot be read past without a fault."""

    def __init__(self) -> None:
        self._pages = mmap.mmap(-1, 2 * mmap.PAGESIZE)
        self._base = ctypes.addressof(ctypes.c_char.from_buffer(self._pages))
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        assert libc.mprotect(self._base + mmap.PAGESIZE, mmap.PAGESIZE, 0) == 0

    def put(self, text: bytes) -> memoryview:
        """Copies a text (of a page at most) to the edge; the one put before is gone."""
        start = mmap.PAGESIZE - len(text)
        self._pages[start:mmap.PAGESIZE] = text
        return memoryview((ctypes.c_char * len(text)).from_address(self._base + start)).cast("B")
