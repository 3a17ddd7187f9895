"""The chunked transfer coding (RFC 9112 section 7.1), pulled piece by piece out of whatever has arrived."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef enum ChunkResult:
    CHUNK_MORE = 0              # everything given was consumed
    CHUNK_DATA = 1              # data, length: a piece of payload inside the given bytes
    CHUNK_END = 2               # the last chunk and its trailers were read; pos stands behind them
    CHUNK_BAD = -1

cdef struct Chunked:
    uint64_t left
    uint32_t overhead
    uint8_t state
    uint8_t digits              # of the size being read

cdef void chunk_begin(Chunked* c) noexcept nogil
cdef int chunk_next(Chunked* c, const char* buf, size_t size, size_t* pos,
                    const char** data, size_t* length) noexcept nogil
