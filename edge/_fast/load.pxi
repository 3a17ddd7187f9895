# How many requests a provider gets at once, and how long others wait for it.
#
# Without a sign of trouble the limit is the number of connections. A provider that has too much to do shows it in two
# ways: it says so (429, 503, 529, no answer in time), or its answers come later than usual. Then the limit falls to
# what it has been seen to manage, and grows again by one per round of good answers. What is usual is a slow average
# that learns only from unhurried times, plain answers and streams apart.

cdef enum:
    LEAST = 4                   # the limit never falls below
    SAMPLES = 16                # before an average is believed

cdef double QUICK = 1.0 / 16    # weight of one answer in what is now
cdef double SLOW = 1.0 / 256    # and in what is usual
cdef double CREEP = 1.0 / 4096  # and there while answers are late: another kind of work is learnt in the end
cdef double LATE = 2.0          # times as long as usual


cdef class Pace:
    """What one pool knows of its provider's pace."""

    cdef int learn(self, int kind, double seconds) except -1:
        """The time from a request's sending to its answer's first byte; `kind` 1 for streams."""
        cdef double weight = QUICK
        self.seen[kind] += 1
        if self.seen[kind] <= SAMPLES:
            weight = 1.0 / self.seen[kind]
            self.usual[kind] += weight * (seconds - self.usual[kind])
        self.recent[kind] += weight * (seconds - self.recent[kind])
        if self.seen[kind] > SAMPLES:
            self.usual[kind] += (CREEP if self.recent[kind] > 1.5 * self.usual[kind] else SLOW) * (
                seconds - self.usual[kind])
        return 0

    cdef double lateness(self, int kind) noexcept:
        """Recent times over usual ones; 1 while too little is known."""
        if self.seen[kind] <= SAMPLES or self.usual[kind] <= 0.0:
            return 1.0
        return self.recent[kind] / self.usual[kind]


cdef int learn_pace(Pool pool, Exchange x) except -1:
    """A good first byte: the limit follows."""
    cdef double lateness
    if not pool.adaptive or x.status >= 400:
        return 0
    pool.pace.learn(x.stream, (x.first_byte - x.sent) / 1e9)
    lateness = pool.pace.lateness(x.stream)
    if lateness > LATE and pool.active > LEAST:
        set_limit(pool, <int>(1.1 * pool.active / lateness) + 1, x)
    elif pool.limit < pool.max_connections and 2 * pool.active >= pool.limit:
        pool.grown += 1.0 / pool.limit          # one more for each round of good answers
        if pool.grown >= 1.0:
            pool.grown = 0.0
            pool.limit += 1
    return 0


cdef int slow_down(Pool pool, Exchange x) except -1:
    """The provider says that it has too much to do."""
    if pool.adaptive:
        set_limit(pool, pool.active - (pool.active >> 2), x)
    return 0


cdef int set_limit(Pool pool, int limit, Exchange x) except -1:
    """Lowers the limit, once for all that was sent before it was lowered last."""
    if x.sent < pool.lowered or limit >= pool.limit:
        return 0
    pool.limit = max(limit, <int>LEAST)
    pool.lowered = x.gateway.now
    pool.grown = 0.0
    return 0


cdef int64_t patience(Pool pool, int kind) noexcept:
    """ns that a request may wait for the provider: where it is known to have too much to do, half an answer's time.

    A queue that stands helps nobody: it makes every request late, and serves no more of them.
    """
    cdef int64_t usual
    if pool.limit >= pool.max_connections or pool.pace.seen[kind] <= SAMPLES:
        return pool.gateway.queue_ns
    usual = <int64_t>(pool.pace.usual[kind] * 5e8)
    return min(pool.gateway.queue_ns, max(usual, <int64_t>20000000))


cdef int crowd_out(Pool pool, Exchange x) except -1:
    """There is no room for a request at this provider: it goes to another target, or learns that there is none."""
    x.retry_after_ms = 1000
    pool.refused += 1
    set_value(x, S_REASON, f"all connections to {pool.name} are in use" if pool.limit >= pool.max_connections
              else f"{pool.name} has too much to do")
    return fail(x, gateway_overloaded, None)
