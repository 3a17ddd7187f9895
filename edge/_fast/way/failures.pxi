# failures: what an attempt's end says of its target, its key and a further attempt.

cdef enum Trait:                # what a failure says of target, key and a further attempt
    BREAKS = 1                  # counts for the target's circuit breaker
    KEY = 2                     # is about our key: it rests, for all targets of its provider
    RATE = 4                    # the key rests, for this target
    ELSEWHERE = 8               # another target, or another key, may do better
    LATER = 16                  # so may this one, after a pause
    SLOWS = 32                  # the provider has too much to do

cdef enum Advice:               # x-should-retry, as SDKs and other gateways read it
    UNADVISED, ADVISED, ADVISED_AGAINST

cdef dict TRAITS_OF = {
    provider_auth: KEY | ELSEWHERE,
    provider_quota: KEY | ELSEWHERE,
    provider_region: ELSEWHERE,
    provider_rate_limited: RATE | ELSEWHERE | LATER,
    provider_overloaded: BREAKS | ELSEWHERE | LATER | SLOWS,
    provider_error: BREAKS | ELSEWHERE | LATER,
    provider_unreachable: BREAKS | ELSEWHERE | LATER,
    provider_disconnected: BREAKS,
    provider_timeout: BREAKS | SLOWS,
    provider_misconfigured: ELSEWHERE,
    provider_response_invalid: BREAKS | ELSEWHERE,
    provider_cut: BREAKS | ELSEWHERE,
    provider_stalled: BREAKS,
    gateway_overloaded: ELSEWHERE,        # this target's queue is full
    circuit_open: ELSEWHERE,              # an operator has taken it out, from under who waits for it
}
cdef uint8_t TRAITS[N_OUTCOMES]
for _condition in range(<int>N_OUTCOMES):
    TRAITS[<int>_condition] = TRAITS_OF.get(_condition, 0)

cdef int64_t KEY_REST_NS = 60000000000          # of a key that the provider has rejected
cdef int64_t SHORT_REST_NS = 10000000000        # and of one that it may have rejected


cdef int note_success(Exchange x) except -1:
    """The provider works: a good first byte, or an error that is the client's own."""
    if succeeded(x.target.health, &x.gateway.rules, x.gateway.now, x.sent):
        x.gateway.notice("circuit closed", {"provider": x.target.pool.name, "target": x.target.name})
    end_probe(x)
    return 0


cdef int note_failure(Exchange x, int condition, int traits) except -1:
    """What an attempt's failure means for its target and its key."""
    cdef Gateway g = x.gateway
    cdef Target target = x.target
    cdef int64_t due
    if x.retry_after_ms >= 0:
        due = g.now + x.retry_after_ms * 1000000
        if x.soonest <= g.now or due < x.soonest:       # what was said before and is over says nothing any more
            x.soonest = due
    if traits == 0 or condition == gateway_overloaded or condition == circuit_open:
        return end_probe(x)             # nobody has asked it
    count_failure(target.health, condition)
    if traits & BREAKS:
        if failed(g.slab, target.index, &g.rules, g.now, x.sent or g.now, next_random(g)):
            g.notice("circuit opened", {"provider": target.pool.name, "target": target.name,
                                        "condition": condition})
    elif x.probe:
        note_success(x)             # it answers, whatever it says of our key
    end_probe(x)
    if x.sent <= target.pool.rekeyed:
        traits &= ~(KEY | RATE)     # the key that it speaks of was replaced meanwhile
    if traits & (KEY | RATE):
        rest_key(x, condition, traits)
    if traits & SLOWS or x.status == 503:
        slow_down(x.target.pool, x)
    return 0


cdef int rest_key(Exchange x, int condition, int traits) except -1:
    """Benches the key: for all targets of its provider where it is the key itself that is rejected.

    A 402 or 403 can be about what the client asked for, and so can a 401 where it asked for a beta (Anthropic's for
    OAuth makes a good key a bad one), so that it must not take the key from other clients for long, nor the last key
    from anybody.
    """
    cdef Gateway g = x.gateway
    cdef Target target
    cdef Health* health = x.target.health
    cdef int keys = x.target.pool.keys
    cdef bint doubtful = x.doubtful or x.status in (402, 403, 407) or (x.beta and x.status == 401)
    cdef int64_t rest = (max(<int64_t>1, x.retry_after_ms) * 1000000 if traits & RATE
                         else SHORT_REST_NS if doubtful else KEY_REST_NS)
    if doubtful and usable_key(health, keys, (x.key + 1) % keys, g.now) in (x.key, -1):
        return 0                    # there is no other
    if traits & RATE or doubtful:
        bench(health, x.key, g.now + rest, condition)
    else:
        for target in x.target.pool.targets:
            bench(target.health, x.key, g.now + rest, condition)
    g.notice("provider key benched", {
        "provider": x.target.pool.name, "provider_key": x.key + 1, "target": x.target.name,
        "condition": condition, "seconds": rest / 1e9})
    return 0


cdef int end_probe(Exchange x) noexcept:
    if x.probe:
        drop_probe(x.target.health, x.probe)
        x.probe = 0
    return 0


cdef int traits_of(Exchange x, int condition) noexcept:
    """What a failure says of a further attempt. The provider's own word on it, x-should-retry, goes before our rules.

    Where it refuses our key its word is for that key: it has done nothing, and another may be welcome.
    """
    cdef int traits = TRAITS[condition]
    if x.advice == ADVISED_AGAINST and not traits & (KEY | RATE):
        return traits & ~(ELSEWHERE | LATER)
    if x.advice == ADVISED_AGAINST:
        return traits & ~LATER
    return traits | ELSEWHERE | LATER if x.advice == ADVISED and not traits & KEY else traits


cdef bint is_mendable(Exchange x, int condition) noexcept:
    """Whether a failure is of the kind that a further attempt, ours or the client's own, can mend without paying twice.

    521 to 523 are Cloudflare's, of an origin that it has not reached; 520 is one that broke off, maybe at work.
    """
    if x.advice == ADVISED:
        return True
    if condition == provider_response_invalid or condition == provider_cut:
        return x.undone             # else it was worked on, and is paid
    if condition == provider_error:
        return x.status in (200, 500, 502, 503, 504, 521, 522, 523)
    return True


cdef int fresh_key(Exchange x) noexcept:
    """The provider's next key in turn that is not benched for this target, nor tried by this request; -1: none."""
    cdef Pool pool = x.target.pool
    cdef const Health* health = x.target.health
    cdef int i, key
    for i in range(pool.keys):
        key = (pool.next_key + i) % pool.keys
        if health.benches[key % MAX_PROVIDER_KEYS] <= x.gateway.now and not x.tried_keys >> key & 1:
            return key
    return -1
