"""Which targets may be asked: circuit breakers, benched keys and the retry budget, in the host's shared memory."""
from libc.stdint cimport int64_t, uint64_t

from .slab cimport Health, Slab

cdef enum Standing:
    FIT                         # closed
    RETURNING                   # closed again: its share of the requests still grows
    HALF_OPEN                   # may be asked by one, who takes the probe
    SHUT

cdef enum Forced:
    FORCED_OPEN = 1
    FORCED_CLOSED = 2

cdef struct Rules:              # of circuit breakers (snapshot.Breaker), times in ns
    bint enabled
    bint refuses                # where no target is left
    int64_t failures
    double failure_rate
    int64_t minimum
    int64_t window
    int64_t open_time
    int64_t max_open_time
    int64_t ramp

cdef int set_rules(Rules* rules, object breaker) except -1
cdef int standing(const Health* health, int64_t now) noexcept nogil
cdef int64_t take_probe(Health* health, int worker, int64_t now, int64_t until) noexcept nogil
cdef void drop_probe(Health* health, int64_t probe) noexcept nogil
cdef bint succeeded(Health* health, const Rules* rules, int64_t now, int64_t sent) noexcept nogil
cdef bint failed(Slab slab, int target, const Rules* rules, int64_t now, int64_t sent, uint64_t random) noexcept nogil
cdef void count_failure(Health* health, int condition) noexcept nogil
cdef void bench(Health* health, int key, int64_t until, int condition) noexcept nogil
cdef int why_benched(const Health* health, int keys) noexcept nogil
cdef int usable_key(const Health* health, int keys, int first, int64_t now) noexcept nogil
cdef int64_t back_at(const Health* health, int keys, int64_t now) noexcept nogil
cdef bint within_budget(Slab slab, int64_t now, double share) noexcept nogil
