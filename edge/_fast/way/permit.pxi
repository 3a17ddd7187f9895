# permit: what a request takes of the limits: of its key, of who stands behind that, of its model and of the gateway,
# all or none. The narrow ones come first: who is refused by one has not touched what many others take from.
#
# Requests are taken, tokens are reserved: as many as the body may have, and as the client lets the answer have at most,
# but no more than a full bucket holds: an estimate is no debt, also where nobody is left to settle it. What was used in
# truth is settled at the end, once: the rest goes back, and what was used beyond is a debt, which refuses further
# requests until it is paid. What is not known to have been unused stays spent. A place under a limit of concurrent
# requests is held from here to the end, whatever that is.
#
# Where hosts share limits a request takes from this host's purses. What one of them misses the fleet may have: then the
# request waits until control has asked Redis, once and not for long. Where Redis does not answer, the limit's own
# policy decides. (Places are each host's own.)

cdef enum Kind:
    REQUESTS, TOKENS, INPUT_TOKENS, OUTPUT_TOKENS, CONCURRENT_REQUESTS, N_KINDS

KINDS_OF_LIMITS = ("requests", "tokens", "input_tokens", "output_tokens", "concurrent_requests")     # the one list

cdef enum:
    MOST_TOKENS = 10000000      # of one request, each way, lest a number from outside fill a bucket's word

cdef int64_t A_WHILE = 1000000000     # ns until another request ends, as nobody can tell

cdef int64_t BYTES_A_TOKEN = 4      # of English, and less of other languages: an estimate's order of magnitude


cdef enum Outage:               # what a limit does while Redis does not answer
    SHARE                       # the host's share of it is kept
    CLOSED                      # everybody is refused
    OPEN                        # nobody

cdef tuple OUTAGES = ("share", "closed", "open")

cdef int64_t UNTOLD_MS = 1000

cdef enum:
    UNTOLD = -2                 # whether a limit is kept cannot be told, and so it refuses


cdef class Limits:

    def __init__(self, Slab slab, takes, bint shadow, outage):
        """`takes` are (index of a bucket, name of what it counts, units of a full one).

        `outage` is None where hosts share nothing.
        """
        cdef int i
        for i, (index, kind, most) in enumerate(takes):
            self.indices[i] = index
            self.buckets[i] = slab.bucket(index)
            self.kinds[i] = KINDS_OF_LIMITS.index(kind)
            self.most[i] = most
            if self.kinds[i] == CONCURRENT_REQUESTS:
                self.concurrent = True
            elif self.kinds[i] != REQUESTS:
                self.tokens = True
        self.count = len(takes)
        self.shadow = shadow
        self.shared = outage is not None
        self.outage = OUTAGES.index(outage) if self.shared else SHARE


cdef inline int64_t units_of(int kind, int64_t input, int64_t output) noexcept nogil:
    return (input + output if kind == TOKENS else input if kind == INPUT_TOKENS else output if kind == OUTPUT_TOKENS
            else 1)


cdef enum Owner:                # in the order in which they are asked
    OF_KEY, OF_GROUP, OF_ACCOUNT, OF_WORKSPACE, OF_MODEL, OF_GATEWAY, N_OWNERS


cdef inline Limits limits_of(Exchange x, int owner):
    """None: a request for no model that is limited, or that was not admitted yet; nobody of this kind has limits."""
    if owner == OF_MODEL:
        return x.model_limits
    if owner == OF_GATEWAY:
        return x.gateway_limits
    if x.tenant is None:
        return None
    if owner == OF_KEY:
        return x.tenant.limits
    if not x.tenant.backed:
        return None
    return limits_behind(x.tenant, owner)


cdef Limits limits_behind(Tenant tenant, int owner):
    cdef Tenant party
    party = (tenant.of_group if owner == OF_GROUP else tenant.of_account if owner == OF_ACCOUNT
             else tenant.of_workspace)
    return party.limits if party is not None else None


cdef bint counts_tokens(Exchange x) noexcept:
    """Whether one of its limits does."""
    cdef Limits limits
    cdef int owner
    for owner in range(<int>N_OWNERS):
        limits = limits_of(x, owner)
        if limits is not None and limits.tokens:
            return True
    return False


cdef inline int64_t reserved_units(Exchange x, Limits limits, int i) noexcept nogil:
    """What a request takes of a limit until it is settled."""
    return min(units_of(limits.kinds[i], x.reserved_input, x.reserved_output), limits.most[i])


cdef inline bint is_taken(Exchange x, int owner) noexcept nogil:
    return not x.untaken >> owner & 1


cdef inline uint64_t bit_of(int owner, int i) noexcept nogil:
    return <uint64_t>1 << (owner * MOST_LIMITS + i)


cdef int64_t take_limits(Exchange x, int owner) noexcept:
    """All of an owner's, or none of anybody's. 0, else ns until the one that refuses has enough, or SHORT or UNTOLD."""
    cdef Limits limits = limits_of(x, owner)
    cdef int64_t wait
    cdef int i, earlier
    if limits is None:
        return 0
    for i in range(limits.count):
        wait = take_limit(x, limits, owner, i)
        if wait == 0:
            continue
        give_limits(x, owner, i)
        if limits.shadow:
            x.untaken |= 1 << owner
            x.gateway.counts.shadowed += 1
            return 0
        for earlier in range(owner):
            give_limits(x, earlier, MOST_LIMITS)
        if wait != SHORT:
            bind(x, limits, i)
        return wait
    return 0


cdef inline int bind(Exchange x, Limits limits, int i) noexcept nogil:
    """This one refuses the request."""
    x.binding, x.binding_shared = limits.indices[i], limits.shared
    x.crowded = limits.kinds[i] == CONCURRENT_REQUESTS
    return 0


cdef int64_t take_limit(Exchange x, Limits limits, int owner, int i) noexcept:
    """0, else ns until it has enough; or SHORT or UNTOLD."""
    cdef Gateway g = x.gateway
    if limits.kinds[i] == CONCURRENT_REQUESTS:
        if limits.shared:
            return take_place(x, limits, owner, i)
        return 0 if concurrency_take(g.slab, g.index, limits.indices[i], limits.buckets[i].most, NULL) else A_WHILE
    if limits.shared:
        return take_shared(x, limits, owner, i)
    if limits.kinds[i] == REQUESTS:
        return bucket_reserve(limits.buckets[i], g.now, reserved_units(x, limits, i))
    return bucket_hold(limits.buckets[i], g.now, reserved_units(x, limits, i))


cdef int64_t take_shared(Exchange x, Limits limits, int owner, int i) noexcept:
    """The same of a limit that hosts share. Where nobody can tell what is left, it may let pass and take nothing."""
    cdef Gateway g = x.gateway
    cdef const Fleet* fleet = g.slab.fleet()
    cdef int64_t units = reserved_units(x, limits, i), wait = purse_take(g.slab, limits.indices[i], g.now, units)
    cdef int64_t mute = 0 if wait != SHORT else purse_mute(g.slab, limits.indices[i])
    cdef int64_t away = mute or fleet.away
    if wait != SHORT or (not fleet.slow and not mute and may_draw(x) and not limits.shadow):
        return wait
    x.alone |= bit_of(owner, i)
    if limits.outage == SHARE or not away or g.now < away + fleet.grace:
        return take_alone(g.slab, limits.indices[i], g.now, units)
    if limits.outage == CLOSED:
        return UNTOLD
    x.passed |= bit_of(owner, i)
    return 0


cdef int64_t take_place(Exchange x, Limits limits, int owner, int i) noexcept:
    """The same of concurrent requests that hosts share. A place is held, and given back, whoever has let it pass."""
    cdef Gateway g = x.gateway
    cdef int index = limits.indices[i]
    cdef int found = places_take(g.slab, g.index, index, g.now, x.drawn_by != 0)
    if found == PLACED:
        return 0
    if limits.shadow:                       # nobody waits for what refuses nobody
        return 0 if found == ALLOTTED_MORE and places_take_alone(g.slab, g.index, index, False) else A_WHILE
    if found == ALLOTTED_MORE and not places_alone(g.slab, index) and may_draw(x):
        return SHORT                        # of a slow Redis, too: nothing else could let it pass
    if is_alone(x, limits, index):
        x.alone |= bit_of(owner, i)
        if limits.outage == CLOSED:
            return UNTOLD
        if places_take_alone(g.slab, g.index, index, limits.outage == OPEN):
            return 0
    places_refuse(g.slab, index)
    return A_WHILE


cdef int ask_places(Exchange x) noexcept:
    """It is about to wait: of all limits that it may miss a place of, so that it waits but once."""
    cdef Limits limits
    cdef int owner, i
    for owner in range(<int>N_OWNERS):
        limits = limits_of(x, owner)
        if limits is None or not limits.shared or not limits.concurrent or limits.shadow:
            continue
        for i in range(limits.count):
            if limits.kinds[i] == CONCURRENT_REQUESTS:
                places_ask(x.gateway.slab, limits.indices[i], x.gateway.now)
    return 0


cdef inline bint is_alone(Exchange x, Limits limits, int index) noexcept:
    """Whether the limit's policy decides: no Redis, no allotment, and a share only when others' have ended too."""
    cdef Slab slab = x.gateway.slab
    cdef int64_t now = x.gateway.now, since = places_alone(slab, index)
    return since != 0 and now >= max(since + slab.fleet().grace, places_expired(slab, index, limits.outage == SHARE))


cdef int give_limits(Exchange x, int owner, int most) noexcept:
    """Undoes an owner's, the first `most` of them."""
    cdef Limits limits = limits_of(x, owner)
    cdef int i
    if limits is None or not is_taken(x, owner):
        return 0
    for i in range(min(most, limits.count)):
        if limits.kinds[i] != CONCURRENT_REQUESTS:
            settle_limit(x, limits, owner, i, 0)
        elif limits.shared:
            places_give_up(x.gateway.slab, x.gateway.index, limits.indices[i], x.drawn_by != 0)
        else:
            concurrency_give(x.gateway.slab, x.gateway.index, limits.indices[i])
    return 0


cdef int settle_limit(Exchange x, Limits limits, int owner, int i, int64_t used) noexcept:
    """So much was used of what was taken: the rest goes back to where it came from, and what is more is charged."""
    cdef Gateway g = x.gateway
    cdef Bucket* bucket = limits.buckets[i]
    cdef int64_t units = reserved_units(x, limits, i)
    if x.passed & bit_of(owner, i):
        return 0
    if limits.shared and x.alone & bit_of(owner, i):
        settle_alone(g.slab, limits.indices[i], g.now, units, used)
    elif limits.shared:
        purse_settle(g.slab, limits.indices[i], g.now, x.admitted, units, used)
    elif limits.kinds[i] != REQUESTS:
        bucket_settle(bucket, g.now, x.admitted, units, used)
    elif used > units:
        bucket_charge(bucket, g.now, used - units)
    elif used < units:
        bucket_give(bucket, units - used)
    return 0


cdef int spend_requests(Exchange x) noexcept:
    """It is admitted: of what it has taken of shared limits, the request itself will not come back."""
    return spend(x, True)


cdef int spend_tokens(Exchange x) noexcept:
    """Nor will the tokens that it has reserved of them."""
    return spend(x, False)


cdef int spend(Exchange x, bint requests) noexcept:
    """(Of limits that are not shared there is nothing to do.)"""
    cdef Limits limits
    cdef int owner, i
    for owner in range(<int>N_OWNERS):
        limits = limits_of(x, owner)
        if limits is None or not limits.shared or not is_taken(x, owner):
            continue
        for i in range(limits.count):
            if limits.kinds[i] != CONCURRENT_REQUESTS and (limits.kinds[i] == REQUESTS) == requests:
                settle_limit(x, limits, owner, i, reserved_units(x, limits, i))
    return 0


cdef int give_places(Exchange x) noexcept:
    """Once, when the provider works for it no more: others may come.

    Where that is known before the client has the last byte it is called first. Who has all of an answer may ask again
    at once, at another worker, and would be refused while this one still counts.
    """
    cdef Limits limits
    cdef int owner, i
    if not x.placed:
        return 0
    x.placed = False
    for owner in range(<int>N_OWNERS):
        limits = limits_of(x, owner)
        if limits is None or not limits.concurrent or not is_taken(x, owner):
            continue
        for i in range(limits.count):
            if limits.kinds[i] != CONCURRENT_REQUESTS:
                continue
            if not limits.shared:
                concurrency_give(x.gateway.slab, x.gateway.index, limits.indices[i])
            elif places_give(x.gateway.slab, x.gateway.index, limits.indices[i]):
                x.gateway.ring()
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
            longer = wait_of(x, limits, each, i)
            if longer > wait[0]:
                owner, wait[0] = each, longer
                bind(x, limits, i)
    return owner


cdef int64_t wait_of(Exchange x, Limits limits, int owner, int i) noexcept:
    """What `take_limit` would return, but that nothing is taken."""
    cdef Gateway g = x.gateway
    cdef int index = limits.indices[i]
    if limits.kinds[i] == CONCURRENT_REQUESTS and limits.shared:
        return A_WHILE if places_full(g.slab, index, g.now) else 0
    if limits.kinds[i] == CONCURRENT_REQUESTS:
        return A_WHILE if concurrency_held(g.slab, index) >= limits.buckets[i].most else 0
    if limits.shared and not x.alone & bit_of(owner, i):
        return purse_wait(g.slab, index, g.now, reserved_units(x, limits, i))
    return bucket_wait(limits.buckets[i], g.now, reserved_units(x, limits, i))


cdef inline bint has_tokens(Exchange x) noexcept:
    """Whether what is asked for is made of tokens. (What is relayed, or has no text, is not estimated.)"""
    return x.route.dialect.has_tokens


cdef inline bint makes_text(Exchange x) noexcept:
    """Whether the answer is made of tokens, too: not so of embeddings."""
    return x.route.stream_at >= 0


cdef inline int64_t body_tokens(Exchange x) noexcept:
    """What the request's body may have."""
    return max(x.length, <int64_t>0) // BYTES_A_TOKEN


cdef int reserve_tokens(Exchange x) noexcept:
    """What the request may use, as far as one can tell before."""
    cdef const Member* members = members_of(x)
    cdef double most = 0.0, answers
    cdef int i
    x.likely_output = 0
    if not has_tokens(x):
        return 0
    x.reserved_input = min(body_tokens(x), <int64_t>MOST_TOKENS)
    for i in range(x.route.names.table.count):
        if x.route.most_output >> i & 1 and members[i].kind == NUMBER:
            most = max(most, min(number(x.body.at, &members[i]), <double>MOST_TOKENS))
    answers = answers_of(x, members)
    x.reserved_output = <int64_t>min(<double><int64_t>most * answers, <double>MOST_TOKENS)
    x.likely_output = x.reserved_output
    if most < 1 and x.route.most_output and x.prices is not None:       # it does not say how long its answer may be
        x.likely_output = <int64_t>min(x.prices.most_output * answers, <double>MOST_TOKENS)
    return 0


cdef double answers_of(Exchange x, const Member* members) noexcept:
    """How many are made: each prompt has so many; of more than are sent back the provider takes the best."""
    cdef Route route = x.route
    cdef double answers = max(1.0, <double>x.choices)
    if route.drafts_at >= 0 and members[route.drafts_at].kind == NUMBER:
        answers = max(answers, min(number(x.body.at, &members[route.drafts_at]), <double>MOST_TOKENS))
    if route.prompts_at >= 0 and members[route.prompts_at].kind == ARRAY:
        answers *= prompts_in(x.body.at + members[route.prompts_at].start, x.body.at + members[route.prompts_at].end)
    return answers


cdef int64_t prompts_in(const char* p, const char* end) noexcept:
    """How many prompts an array has: each text and each array in it is one; numbers are the tokens of one."""
    cdef int64_t found = 0
    cdef int depth = 0
    while p < end:
        if p[0] == c'"':
            found += depth == 1
            p += 1
            while p < end and p[0] != c'"':
                p += 2 if p[0] == c"\\" else 1
        elif p[0] == c"[":
            found += depth == 1
            depth += 1
        elif p[0] == c"]":
            depth -= 1
        p += 1
    return max(found, <int64_t>1)


cdef int settle_limits(Exchange x, int64_t input, int64_t output) noexcept:
    """What was used in place of what was reserved."""
    cdef Limits limits
    cdef int owner, i, kind
    for owner in range(<int>N_OWNERS):
        limits = limits_of(x, owner)
        if limits is None or not limits.tokens or not is_taken(x, owner):
            continue
        for i in range(limits.count):
            kind = limits.kinds[i]
            if kind != REQUESTS and kind != CONCURRENT_REQUESTS:
                settle_limit(x, limits, owner, i, units_of(kind, input, output))
    return 0
