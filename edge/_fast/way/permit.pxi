# permit: what a request takes of the limits: of its key, of its model and of the gateway, all or none.
#
# Requests are taken, tokens are reserved: as many as the body may have, and as the client lets the answer have at most,
# but no more than a full bucket holds: an estimate is no debt, also where nobody is left to settle it. What was used in
# truth is settled at the end, once: the rest goes back, and what was used beyond is a debt, which refuses further
# requests until it is paid. What is not known to have been unused stays spent.

cdef enum Kind:
    REQUESTS, TOKENS, INPUT_TOKENS, OUTPUT_TOKENS

cdef enum:
    MOST_TOKENS = 10000000      # of one request, each way, lest a number from outside fill a bucket's word

cdef int64_t BYTES_A_TOKEN = 4      # of English, and less of other languages: an estimate's order of magnitude


cdef class Limits:

    def __init__(self, Slab slab, takes, bint shadow):
        """`takes` are (index of a bucket, name of what it counts, units of a full one)."""
        cdef int i
        for i, (index, kind, most) in enumerate(takes):
            self.buckets[i] = slab.bucket(index)
            self.kinds[i] = KINDS_OF_LIMITS.index(kind)
            self.most[i] = most
            self.tokens = self.tokens or self.kinds[i] != REQUESTS
        self.count = len(takes)
        self.shadow = shadow


cdef inline int64_t units_of(int kind, int64_t input, int64_t output) noexcept nogil:
    return (1 if kind == REQUESTS else input + output if kind == TOKENS else input if kind == INPUT_TOKENS else output)


cdef enum Owner:                # in the order in which they are asked
    OF_KEY, OF_MODEL, OF_GATEWAY, N_OWNERS


cdef inline Limits limits_of(Exchange x, int owner):
    """None: a request for no model that is limited, or that was not admitted yet."""
    if owner == OF_KEY:
        return x.tenant.limits if x.tenant is not None else None
    return x.model_limits if owner == OF_MODEL else x.gateway_limits


cdef inline int64_t reserved_units(Exchange x, Limits limits, int i) noexcept nogil:
    """What a request takes of a limit until it is settled."""
    return min(units_of(limits.kinds[i], x.reserved_input, x.reserved_output), limits.most[i])


cdef inline bint is_taken(Exchange x, int owner) noexcept nogil:
    return not x.untaken >> owner & 1


cdef int64_t take_limits(Exchange x, int owner) noexcept:
    """All of an owner's, or none of anybody's. 0, else ns until the one that refuses has enough."""
    cdef Limits limits = limits_of(x, owner)
    cdef int64_t wait
    cdef int i, earlier
    if limits is None:
        return 0
    for i in range(limits.count):
        wait = bucket_reserve(limits.buckets[i], x.gateway.now, reserved_units(x, limits, i))
        if wait <= 0:
            continue
        give_limits(x, owner, i)
        if limits.shadow:
            x.untaken |= 1 << owner
            x.gateway.counts.shadowed += 1
            return 0
        for earlier in range(owner):
            give_limits(x, earlier, MOST_LIMITS)
        x.binding = limits.buckets[i]
        return wait
    return 0


cdef int give_limits(Exchange x, int owner, int most) noexcept:
    """Undoes an owner's, the first `most` of them."""
    cdef Limits limits = limits_of(x, owner)
    cdef int i
    if limits is None or not is_taken(x, owner):
        return 0
    for i in range(min(most, limits.count)):
        bucket_give(limits.buckets[i], reserved_units(x, limits, i))
    return 0


cdef int await_limits(Exchange x, int owner, int64_t* wait) noexcept:
    """Of all the limits that refuse a request, the one that lasts longest is its answer: before, none would help.

    `owner` has refused it for `wait` ns. Returns whose that one is, and sets `wait` and the binding one.
    """
    cdef Limits limits
    cdef int64_t longer
    cdef int each, i
    for each in range(<int>N_OWNERS):
        limits = limits_of(x, each)
        if limits is None or limits.shadow:
            continue
        for i in range(limits.count):
            longer = bucket_wait(limits.buckets[i], x.gateway.now, reserved_units(x, limits, i))
            if longer > wait[0]:
                owner, wait[0], x.binding = each, longer, limits.buckets[i]
    return owner


cdef inline bint has_tokens(Exchange x) noexcept:
    """Whether what is asked for is made of tokens. (What is relayed, or has no text, is not estimated.)"""
    return x.route.dialect != D_NONE and x.route.dialect != D_OBJECT


cdef inline int64_t body_tokens(Exchange x) noexcept:
    """What the request's body may have."""
    return max(x.length, <int64_t>0) // BYTES_A_TOKEN


cdef int reserve_tokens(Exchange x) noexcept:
    """What the request may use, as far as one can tell before."""
    cdef const Member* members = members_of(x)
    cdef double most = 0.0
    cdef int i
    if not has_tokens(x):
        return 0
    x.reserved_input = min(body_tokens(x), <int64_t>MOST_TOKENS)
    for i in range(x.route.names.table.count):
        if x.route.most_output >> i & 1 and members[i].kind == NUMBER:
            most = max(most, min(number(x.body.at, &members[i]), <double>MOST_TOKENS))
    x.reserved_output = min(<int64_t>most * max(<int64_t>1, x.choices), <int64_t>MOST_TOKENS)
    return 0


cdef int settle_limits(Exchange x, int64_t input, int64_t output) noexcept:
    """What was used in place of what was reserved."""
    cdef Limits limits
    cdef int64_t more
    cdef int owner, i
    for owner in range(<int>N_OWNERS):
        limits = limits_of(x, owner)
        if limits is None or not limits.tokens or not is_taken(x, owner):
            continue
        for i in range(limits.count):
            more = units_of(limits.kinds[i], input, output) - reserved_units(x, limits, i)
            if more > 0:
                bucket_charge(limits.buckets[i], x.gateway.now, more)
            elif more < 0:
                bucket_give(limits.buckets[i], -more)
    return 0
