# Token buckets.
#
# The generic cell rate algorithm (ITU-T I.371) is a token bucket whose whole state is one time, the
# "theoretical arrival time" at which the bucket will be full again. What is missing from a full bucket is
# (arrival - now) / interval units, and no timer ever has to refill anything.
#
# The lowest bit of the word says which of the bucket's two Terms are in force. A change of the rate writes
# the idle ones, then swaps arrival time and bit in one step, so that nobody ever computes with half of a
# change: a step that read the old word fails its compare-and-swap and begins again.
#
# Of a limit of tokens the word holds what was used. What requests have reserved stands beside it, and leaves less to be
# taken, but is no debt that time pays back: a reservation that comes back late comes to no bucket that has filled
# meanwhile. Settling charges what was used first and then lets go of what was reserved, so that nobody ever sees less.

cdef inline int64_t later(int64_t a, int64_t b) noexcept nogil:
    return a if a > b else b


cdef object share(object amount, object part, object of):       # exactly, rounded up; of nothing it is nothing
    return -(-amount * part // of) if of else 0


cdef int64_t bucket_take(Bucket* bucket, int64_t now, int64_t cost) noexcept nogil:
    """Take `cost` (>= 0) units: 0 when taken, else ns until it can succeed; INT64_MAX: never.

    Never: a full bucket holds less than `cost`. A clock that is behind another process's (or goes backwards)
    lengthens the wait and does not admit more.
    """
    cdef int64_t word = EDGE_SEE(&bucket.word)
    cdef int64_t span, arrival
    cdef const Terms* terms
    while True:
        terms = &bucket.terms[word & 1]
        if terms.interval == 0:
            return 0
        if EDGE_MULTIPLY(cost, terms.interval, &span) or span > terms.window:
            return INT64_MAX
        arrival = later(word >> 1, now) + span
        if arrival - now > terms.window:
            return arrival - now - terms.window
        if EDGE_CAS(&bucket.word, &word, arrival * 2 + (word & 1)):
            return 0


cdef int64_t bucket_reserve(Bucket* bucket, int64_t now, int64_t cost) noexcept nogil:
    """The same of an estimate, which may be more than a full bucket holds: a full one lets it pass, and is in debt."""
    cdef int64_t wait = bucket_take(bucket, now, cost), most
    if wait == INT64_MAX:
        most = bucket_limit(bucket)
        wait = bucket_take(bucket, now, most)
        if wait == 0:
            bucket_charge(bucket, now, cost - most)
    return wait


cdef int64_t bucket_wait(const Bucket* bucket, int64_t now, int64_t cost) noexcept nogil:
    """What `bucket_reserve` or `bucket_hold` would return, but that nothing is taken."""
    return wait_beside(bucket, now, cost, EDGE_SEE(&bucket.reserved))


cdef int64_t wait_beside(const Bucket* bucket, int64_t now, int64_t cost, int64_t reserved) noexcept nogil:
    """The same while so much is reserved."""
    cdef int64_t word = EDGE_SEE(&bucket.word), interval = bucket.terms[word & 1].interval
    cdef int64_t window = bucket.terms[word & 1].window, span
    if interval == 0:
        return 0
    if EDGE_MULTIPLY(cost, interval, &span) or span > window:
        span = window
    return later(0, later(word >> 1, now) - now + span_of(reserved, interval) + span - window)


cdef inline int64_t span_of(int64_t units, int64_t interval) noexcept nogil:
    """The time that so many are worth."""
    cdef int64_t span
    return MOST_DEBT if EDGE_MULTIPLY(units, interval, &span) else min(span, MOST_DEBT)


cdef int64_t bucket_hold(Bucket* bucket, int64_t now, int64_t cost) noexcept nogil:
    """Reserves an estimate, as `bucket_reserve` takes it, until `bucket_settle`."""
    cdef int64_t reserved = EDGE_SEE(&bucket.reserved), wait
    while True:
        wait = wait_beside(bucket, now, cost, reserved)
        if wait:
            return wait
        if now < EDGE_SEE(&bucket.born):        # as `bucket_settle` will see it, too
            bucket_charge(bucket, now, cost)
            return 0
        if not EDGE_CAS(&bucket.reserved, &reserved, reserved + cost):
            continue
        if not wait_beside(bucket, now, cost, reserved):
            return 0
        bucket_let_go(bucket, cost)             # somebody has settled meanwhile, and others have come
        reserved = EDGE_SEE(&bucket.reserved)


cdef inline void bucket_let_go(Bucket* bucket, int64_t cost) noexcept nogil:
    cdef int64_t reserved = EDGE_SEE(&bucket.reserved)
    while not EDGE_CAS(&bucket.reserved, &reserved, later(0, reserved - cost)):
        pass


cdef void bucket_settle(Bucket* bucket, int64_t now, int64_t taken_at, int64_t cost, int64_t used) noexcept nogil:
    """Of `cost` units that were reserved then so many were used; more, perhaps. What was forgotten stays spent."""
    if taken_at < EDGE_SEE(&bucket.born):
        bucket_charge(bucket, now, later(0, used - cost))
        return
    bucket_charge(bucket, now, used)
    bucket_let_go(bucket, cost)


cdef void bucket_forget(Bucket* bucket, int64_t now) noexcept nogil:
    """A worker has died, and nobody knows what it had reserved: all that is reserved is spent."""
    cdef int64_t reserved = EDGE_SEE(&bucket.reserved)
    if reserved:
        EDGE_SET(&bucket.born, now)
        reserved = EDGE_SEE(&bucket.reserved)
        bucket_charge(bucket, now, reserved)
        bucket_let_go(bucket, reserved)


cdef void bucket_charge(Bucket* bucket, int64_t now, int64_t cost) noexcept nogil:
    """Take what was used already, whether it is there or not. A debt is paid within 37 years at most."""
    cdef int64_t word = EDGE_SEE(&bucket.word)
    cdef int64_t span, interval
    while True:
        interval = bucket.terms[word & 1].interval
        if interval == 0:
            return
        if EDGE_MULTIPLY(cost, interval, &span) or span > MOST_DEBT:
            span = MOST_DEBT
        span = min(later(word >> 1, now) + span, now + MOST_DEBT)
        if EDGE_CAS(&bucket.word, &word, later(span, word >> 1) * 2 + (word & 1)):
            return


cdef void bucket_give(Bucket* bucket, int64_t cost) noexcept nogil:
    """Put back what was taken and not used. (What was full again meanwhile stays full: nothing is made of it.)"""
    cdef int64_t word = EDGE_SEE(&bucket.word)
    cdef int64_t interval
    while True:
        interval = bucket.terms[word & 1].interval
        if interval == 0 or EDGE_CAS(&bucket.word, &word, word - 2 * cost * interval):
            return


cdef int64_t bucket_left(const Bucket* bucket, int64_t now) noexcept nogil:
    """Units that a step could take now; INT64_MAX: unlimited."""
    cdef int64_t word = EDGE_SEE(&bucket.word)
    cdef const Terms* terms = &bucket.terms[word & 1]
    if terms.interval == 0:
        return INT64_MAX
    return later(0, terms.window - later(0, (word >> 1) - now) - span_of(EDGE_SEE(&bucket.reserved), terms.interval)
                 ) / terms.interval


cdef int64_t bucket_missing(const Bucket* bucket, int64_t now) noexcept nogil:
    """Units that it has less than a full one, debts and all."""
    cdef int64_t word = EDGE_SEE(&bucket.word), interval = bucket.terms[word & 1].interval
    return (later(0, (word >> 1) - now) + interval - 1) / interval if interval else 0


cdef int64_t bucket_limit(const Bucket* bucket) noexcept nogil:
    """Units that a full bucket holds; INT64_MAX: unlimited."""
    cdef const Terms* terms = &bucket.terms[EDGE_SEE(&bucket.word) & 1]
    return terms.window / terms.interval if terms.interval else INT64_MAX


cdef int64_t bucket_full_in(const Bucket* bucket, int64_t now) noexcept nogil:
    """Nanoseconds until the bucket is full again, if nobody takes from it, and all that is reserved is used now."""
    cdef int64_t word = EDGE_SEE(&bucket.word), interval = bucket.terms[word & 1].interval
    return later(0, (word >> 1) - now) + span_of(EDGE_SEE(&bucket.reserved), interval) if interval else 0
