"""Who has a key: digest -> row, for workers, without a lock."""
from libc.stdint cimport int64_t

from .atomic cimport EDGE_SEE
from .slab cimport Row, Slab

cdef bint directory_find(Slab slab, int source, const char* digest, Row* found, const Row** at) noexcept nogil
cdef int64_t directory_policy(Slab slab, int source, const Row* at, const Row* found) noexcept nogil
cdef bytes directory_text(Slab slab, int source, const Row* found, int64_t version)

cdef inline bint is_as_found(const Row* at, int64_t version) noexcept nogil:
    """Whether a row that was found is there still, and unchanged."""
    return EDGE_SEE(&at.version) == version
