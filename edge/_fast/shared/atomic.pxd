"""Words of the shared memory that several processes change: atomic.h, for signed words and for bits and counts."""
from libc.stdint cimport int64_t, uint64_t

cdef extern from "shared/atomic.h" nogil:
    int64_t EDGE_SEE(const int64_t* p)
    void EDGE_SET(int64_t* p, int64_t value)
    int64_t EDGE_ADD(int64_t* p, int64_t value)                 # what there is then
    int64_t EDGE_TURN(int64_t* p, int64_t value)                # what there was
    void EDGE_FENCE()           # what was read before it was read before what is read behind it
    bint EDGE_CAS(int64_t* p, int64_t* expected, int64_t desired)   # false: `expected` is what there is
    uint64_t EDGE_LOOK "EDGE_SEE"(const uint64_t* p)
    uint64_t EDGE_COUNT "EDGE_ADD"(uint64_t* p, uint64_t value)
    uint64_t EDGE_CLEAR "EDGE_TURN"(uint64_t* p, uint64_t value)
    uint64_t EDGE_OR(uint64_t* p, uint64_t value)               # what there was
