# route: plan x health -> the target of the next attempt.
#
# A plan's targets stand by priority. The lowest priority with a target that may be asked takes the request; among its
# equals the client's session decides where there is one, else chance by weight. A half-open target's one probe goes to
# the first request that comes to it.

cdef extern from *:
    """
    #define EDGE_TALLY(p) __atomic_fetch_add(p, 1, __ATOMIC_RELAXED)
    """
    void EDGE_TALLY(uint64_t* p) noexcept nogil


cdef int64_t PROBE_NS = 600000000000            # a probe that nobody has ended by then has died with its worker


cdef inline bint is_fit(const Health* health, int64_t now) noexcept nogil:
    """Nothing is known against it: the usual case, a look at one cache line."""
    return (health.open_until == 0 and health.closed_at == 0 and health.forced == 0 and health.ailing == 0
            and health.benched_until <= now)


cdef int route(Exchange x) except -1:
    """The first attempt's target. Returns the condition that ends the request, or 0."""
    cdef Target target = x.target
    if target.alone and is_fit(target.health, x.gateway.now):
        x.tried = 1
        return 0
    target = pick(x)
    return shut_out(x) if target is None else turn_to(x, target)


cdef Target pick(Exchange x):
    """The best target, if need be one that is out; None: even that is forbidden."""
    cdef Target target = choose(x)
    if target is None and not x.gateway.rules.refuses and not is_forced(x.plan):
        target = least_bad(x)
    return target


cdef Target choose(Exchange x):
    """The best target that was not tried yet and may be asked; None: there is none. May take a target's probe."""
    cdef Target target, picked = None
    cdef double total = 0.0, share, score, best = 0.0
    cdef int i, at = 0
    for i in range(len(x.plan)):
        target = <Target>x.plan[i]
        if x.tried >> i & 1:
            continue
        if picked is not None and target.priority != picked.priority:
            break
        share = share_of(x, target)
        if share == 0.0:
            EDGE_TALLY(&target.health.shut_out)
            continue
        total += share
        if x.probe:
            picked, at = target, i
            break
        if x.session:
            # Rendezvous hashing: only the sessions of a target that goes move, and they spread over the others.
            score = -log((mixed(x.session + <uint64_t>target.index) >> 11 | 1) * (1.0 / 9007199254740992.0)) / share
            if picked is None or score < best:
                picked, at, best = target, i, score
        elif picked is None or chance(x.gateway) * total < share:
            picked, at = target, i
    if picked is not None:
        x.tried |= <uint64_t>1 << at
    return picked


cdef double share_of(Exchange x, Target target) except -1.0:
    """A target's weight, less while it returns; 0: not to be asked now. Takes the probe where that is to be had."""
    cdef Gateway g = x.gateway
    cdef Health* health = target.health
    cdef int found
    if is_fit(health, g.now):
        return target.weight
    found = standing(health, g.now)
    if found == SHUT or usable_key(health, target.pool.keys, 0, g.now) < 0:
        return 0.0
    if found == HALF_OPEN:
        x.probe = take_probe(health, g.index, g.now, g.now + PROBE_NS)
        return target.weight if x.probe else 0.0
    if found == RETURNING and g.rules.ramp > 0:
        return target.weight * max(0.1, min(1.0, (g.now - health.closed_at) / <double>g.rules.ramp))
    return target.weight


cdef Target least_bad(Exchange x):
    """All are out. One may be asked all the same: the one that would be back first."""
    cdef Target target, picked = None
    cdef int64_t at, first = 0
    cdef int i
    for i in range(len(x.plan)):
        target = <Target>x.plan[i]
        at = back_at(target.health, target.pool.keys, x.gateway.now)
        if target.health.forced != FORCED_OPEN and (picked is None or at < first):
            picked, first = target, at
            x.tried = <uint64_t>1 << i
    return picked


cdef bint is_barred(Exchange x) except -1:
    """Whether the target that a request comes back to is out by now. (Takes its probe where that is to be had.)"""
    return share_of(x, x.target) == 0.0 and (x.gateway.rules.refuses or x.target.health.forced == FORCED_OPEN)


cdef bint is_forced(tuple plan) except -1:
    """An operator has taken all of them out, which no rule undoes."""
    cdef Target target
    for target in plan:
        if target.health.forced != FORCED_OPEN:
            return False
    return True


cdef int shut_out(Exchange x) except -1:
    """The condition where no target is left, with the time at which the first may be back.

    Where it is keys alone that rest, it is what was said of the key that is back first: a rejected one says so. That
    it is limited is said otherwise of a provider that was asked.
    """
    cdef Gateway g = x.gateway
    cdef Target target
    cdef int64_t first = INT64_MAX, back
    cdef bint only_keys = True
    cdef int why = circuit_open
    for target in x.plan:
        only_keys = only_keys and standing(target.health, g.now) != SHUT
        if target.health.forced == FORCED_OPEN:
            continue
        back = back_at(target.health, target.pool.keys, g.now)
        if back < first:
            first, why = back, why_benched(target.health, target.pool.keys)
    x.retry_after_ms = 30000 if first == INT64_MAX else max(<int64_t>1000, (first - g.now) // 1000000)
    x.say(S_REASON, "its targets are taken out for now")
    if not only_keys:
        return circuit_open
    return keys_limited if why == provider_rate_limited else why


cdef int turn_to(Exchange x, Target target) except -1:
    """The request is that target's from now on; so are its counts."""
    if target is not x.target:
        if target.pool is not x.target.pool:
            x.tried_keys = 0
        x.series.in_flight -= 1
        x.target = target
        x.series = x.gateway.slab.series(x.gateway.index, target.series[x.route.index])
        x.series.in_flight += 1
    return 0


cdef uint64_t session_of(const char* buf, const Head* head, bytes name) noexcept:
    """FNV-1a over the value of the field that names the session, the same in every worker; 0: there is none."""
    cdef const Field* field
    cdef uint64_t hash = <uint64_t>0xCBF29CE484222325
    cdef int i
    cdef uint32_t at
    for i in range(head.n_fields):
        field = &head.fields[i]
        if (field.name_len == PyBytes_GET_SIZE(name) and field.value_len
                and strncasecmp(buf + field.name, PyBytes_AS_STRING(name), field.name_len) == 0):
            for at in range(field.value_len):
                hash = (hash ^ <uint8_t>buf[field.value + at]) * <uint64_t>0x100000001B3
            return mixed(hash) | 1
    return 0
