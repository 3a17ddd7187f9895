"""Answers that are kept, in memory that all processes of the gateway share."""
from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef enum:
    CACHE_WAYS = 8              # places that an answer may have in an index

cdef struct Kept:               # what stands before an answer
    uint64_t digest[2]
    int64_t made                # Unix time
    int64_t until               # likewise
    int64_t epoch               # of the cache when it was made
    uint64_t sum                # of its bytes, and of what is said of them here
    uint32_t size
    uint32_t stream             # 1: server-sent events, else JSON

cdef struct CacheHead:          # the first page
    uint64_t magic
    uint64_t form
    int64_t epoch               # grows when all is cleared

cdef struct Area:               # one writer's; positions grow for ever
    int64_t head                # where the next answer begins
    int64_t writing             # the end of what is being written: what lies a whole area before it is gone
    int64_t writer              # the process that may write
    uint64_t hits
    uint64_t misses
    uint64_t kept

cdef struct Sighting:           # of an answer, which may be overwritten at any time
    Kept kept
    int64_t at
    int area

cdef class Cache:
    cdef object mapping
    cdef char* base
    cdef readonly int areas
    cdef readonly int64_t size          # bytes, all in all
    cdef size_t pace                    # bytes from one area to the next
    cdef int64_t room                   # bytes of an area for answers
    cdef uint64_t slots                 # of an area's index, a power of 2
    cdef readonly int64_t longest       # bytes of the longest answer that is kept
    cdef int64_t writer                 # who we are, where an area is ours
    cdef Area* area(self, int number) noexcept nogil
    cdef int64_t* index(self, int number) noexcept nogil
    cdef char* data(self, int number) noexcept nogil

cdef bint cache_find(Cache cache, const uint64_t* digest, int64_t now, Sighting* found) noexcept nogil
cdef bint cache_copy(Cache cache, const Sighting* found, char* into) noexcept nogil
cdef bint cache_put(Cache cache, int number, Kept* kept, const char* data) noexcept nogil
