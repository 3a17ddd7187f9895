"""Bodies of requests that came compressed (RFC 9110 8.4): decoded piece by piece, others' turns between."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from typing import Any

INPUT, PIECE = 65536, 262144        # bytes taken and given at once, at most
MEMBERS = 100                       # of one body: more of them are made to cost time
WINDOW_LOG = 23                     # of a zstd frame, 8 MB: the most that HTTP allows (RFC 9659)
WBITS = {"gzip": 31, "deflate": 15}


class Zlib:
    """zlib's decompressor with zstd's ways."""

    def __init__(self, coding: str) -> None:
        self.inner = zlib.decompressobj(WBITS[coding])
        self.full = False           # there may be more without further input

    def decompress(self, data: bytes, most: int) -> bytes:
        """At most so many bytes of what the data become."""
        piece = self.inner.decompress(self.inner.unconsumed_tail + data, most)
        self.full = len(piece) == most
        return piece

    @property
    def eof(self) -> bool:
        """The member is whole, its checksum right."""
        return self.inner.eof

    @property
    def needs_input(self) -> bool:
        """Nothing more can be given without."""
        return not self.inner.eof and not self.full and not self.inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        """Of the last data, what is behind the member."""
        return self.inner.unused_data


def _zstd() -> Any:
    """The library, which no worker has in its memory (0.4 MB) before a body needs it."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd


def _decoder(coding: str) -> Any:
    if coding != "zstd":
        return Zlib(coding)
    zstd = _zstd()
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: WINDOW_LOG})


def decoded(coding: str, body: memoryview) -> Iterator[bytes]:
    """The pieces of a body, its members one behind the other. ValueError where it is damaged, or more follows."""
    at = members = 0
    damage: type[Exception] = _zstd().ZstdError if coding == "zstd" else zlib.error
    try:
        while at < len(body) or members == 0:
            members += 1
            if members > (1 if coding == "deflate" else MEMBERS):
                raise ValueError("too many members")
            decoder = _decoder(coding)
            while not decoder.eof:
                data = b""
                if decoder.needs_input:
                    data = bytes(body[at:at + INPUT])
                    at += len(data)
                    if not data:
                        raise ValueError("it is cut")
                yield decoder.decompress(data, PIECE)
            at -= len(decoder.unused_data)
    except damage as error:
        raise ValueError(str(error)) from None
