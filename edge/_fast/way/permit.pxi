# permit: what a request takes of the limits: of its key, of its model and of the gateway, all or none.
#
# Requests are taken, tokens are reserved: as many as the body may have, and as the client lets the answer have at most.
# What was used in truth is settled at the end, once: the rest goes back, and what was used beyond is a debt, which
# refuses further requests until it is paid. What is not known to have been unused stays spent.

cdef enum Kind:
    REQUESTS, TOKENS, INPUT_TOKENS, OUTPUT_TOKENS

cdef enum:
    MOST_TOKENS = 10000000      # of one request, each way, lest a number from outside fill a bucket's word

cdef int64_t BYTES_A_TOKEN = 4      # of English, and less of other languages: an estimate's order of magnitude


cdef class Limits:

    def __init__(self, Slab slab, takes, bint shadow):
        """`takes` are (index of a bucket, name of what it counts)."""
        cdef int i
        for i, (index, kind) in enumerate(takes):
            self.buckets[i] = slab.bucket(index)
            self.kinds[i] = KINDS_OF_LIMITS.index(kind)
            self.tokens = self.tokens or self.kinds[i] != REQUESTS
        self.count = len(takes)
        self.shadow = shadow


cdef inline int64_t units_of(int kind, int64_t input, int64_t output) noexcept nogil:
    return (1 if kind == REQUESTS else input + output if kind == TOKENS else input if kind == INPUT_TOKENS else output)


cdef int64_t take_limits(Exchange x, Limits limits, int first) noexcept:
    """All of them or none. 0, else ns until it can succeed. `first` is their place in x.untaken."""
    cdef Gateway g = x.gateway
    cdef int64_t wait, units
    cdef int i
    for i in range(limits.count):
        if limits.kinds[i] == REQUESTS:
            wait = bucket_take(limits.buckets[i], g.now, 1)
        else:
            units = units_of(limits.kinds[i], x.reserved_input, x.reserved_output)
            wait = bucket_reserve(limits.buckets[i], g.now, units)
        if wait <= 0:
            continue
        x.untaken |= 1 << (first + i)
        if limits.shadow:
            g.counts.shadowed += 1
            continue
        x.binding = limits.buckets[i]
        give_limits(x, limits, first, i)
        return wait
    return 0


cdef int give_limits(Exchange x, Limits limits, int first, int count) noexcept:
    """Undoes the first `count`, as another limit refuses."""
    cdef int i
    for i in range(count):
        if not x.untaken >> (first + i) & 1:
            bucket_give(limits.buckets[i], units_of(limits.kinds[i], x.reserved_input, x.reserved_output))
    return 0


cdef int reserve_tokens(Exchange x) noexcept:
    """What the request may use, as far as one can tell before."""
    if x.route.dialect == D_NONE or x.route.dialect == D_OBJECT:
        return 0
    x.reserved_input = min(max(x.length, <int64_t>0) // BYTES_A_TOKEN, <int64_t>MOST_TOKENS)
    x.reserved_output = min(x.most_output * max(<int64_t>1, x.choices), <int64_t>MOST_TOKENS)
    return 0


cdef int settle_limits(Exchange x, Limits limits, int first, int64_t input, int64_t output) noexcept:
    """What was used in place of what was reserved."""
    cdef int64_t more
    cdef int i
    if limits is None or not limits.tokens:
        return 0
    for i in range(limits.count):
        if limits.kinds[i] == REQUESTS or x.untaken >> (first + i) & 1:
            continue
        more = (units_of(limits.kinds[i], input, output)
                - units_of(limits.kinds[i], x.reserved_input, x.reserved_output))
        if more > 0:
            bucket_charge(limits.buckets[i], x.gateway.now, more)
        elif more < 0:
            bucket_give(limits.buckets[i], -more)
    return 0
