# How many requests at once: limits of concurrency, exact over all workers.
#
# Each worker counts what it holds, in its own stripe, and what is held is the sum: so a dead worker's places are free
# when its counts are 0, and no kill can fall between two words that belong together. Who takes counts itself first and
# looks at the sum then: of some who come at the same moment each sees those before it, and no more can stay than there
# are places. Who finds too many takes its own count back and looks again: it is refused if the places are taken without
# it, else what it has seen were others about to leave, and it tries once more. The last of them to look sees none of
# the others: of those who come at the same moment as many stay as there are places.

cdef extern from *:
    """
    /* Sequentially consistent: the sum is read behind one's own count, and not before. */
    #define EDGE_COUNT(p, by) __atomic_fetch_add(p, by, __ATOMIC_SEQ_CST)
    #define EDGE_COUNTED(p) __atomic_load_n(p, __ATOMIC_SEQ_CST)
    """
    int32_t EDGE_COUNT(int32_t* p, int32_t by) noexcept nogil
    int32_t EDGE_COUNTED(const int32_t* p) noexcept nogil
    int64_t EDGE_PART "EDGE_COUNTED"(const int64_t* p) noexcept nogil

cdef enum:
    ROUNDS = 64                 # no loop without an end: two workers would have to meet so often, to the nanosecond


cdef int64_t concurrency_held(Slab slab, int index) noexcept nogil:
    """By all workers of both generations, of which the next may have more."""
    cdef int workers = <int> min((<Header*> slab.base).workers, <uint64_t> MAX_WORKERS)
    cdef int64_t sum = 0
    cdef int worker
    for worker in range(workers):
        sum += EDGE_COUNTED(slab.held(worker, index)) + EDGE_COUNTED(slab.held(worker + GENERATION, index))
    return sum


cdef int64_t concurrency_part(const int64_t* part, int64_t most) noexcept nogil:
    """Of `most` places those that this host may fill. A number that was lowered since lowers all hosts' parts of it."""
    cdef int64_t word = EDGE_PART(part)
    cdef int64_t places = places_of(word), of = number_of(word)
    return places if most >= of else places * most // of


cdef bint concurrency_take(Slab slab, int stripe, int index, int64_t most, const int64_t* part) noexcept nogil:
    """Whether there was a place; `most` 0: there always is. `part`: of the limit, an Allotment's word; NULL: all.

    It is read behind one's own count, too: whoever lowers it and reads the counts then misses nobody.
    """
    cdef int32_t* own = slab.held(stripe, index)
    cdef Worker* worker = slab.worker(stripe)
    cdef int64_t there
    cdef int _i
    if <uint64_t> index >= worker.held_used:
        worker.held_used = <uint64_t> index + 1
    for _i in range(<int> ROUNDS):
        EDGE_COUNT(own, 1)
        there = most if part == NULL else concurrency_part(part, most)
        if most == 0 or concurrency_held(slab, index) <= there:
            return True
        EDGE_COUNT(own, -1)
        if concurrency_held(slab, index) >= there:
            return False
    return False


cdef void concurrency_give(Slab slab, int stripe, int index) noexcept nogil:
    EDGE_COUNT(slab.held(stripe, index), -1)


cdef void concurrency_forget(Slab slab, int stripe) noexcept nogil:
    """Frees what a dead worker held."""
    cdef uint64_t used = min(slab.worker(stripe).held_used, <uint64_t> MAX_BUCKETS)
    memset(slab.held(stripe, 0), 0, used * sizeof(int32_t))


cdef void concurrency_clear(Slab slab, int index) noexcept nogil:
    """For another owner: nobody has a request of the one before."""
    cdef int number, stripe
    for number in range(2 * slab.workers):
        stripe = slab.stripe(number)
        if <uint64_t> index < slab.worker(stripe).held_used:
            slab.held(stripe, index)[0] = 0
