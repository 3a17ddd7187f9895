# forward: attempts, one after the other, until the first good byte of an answer.
#
# A failed attempt may become another one, never after the client has a byte, and never where the provider may have done
# the work: that would be paid twice. Another target at once is better than the same one later. All attempts share one
# deadline. What goes to the same provider again must fit into the host's budget, so that no provider ever gets much
# more than its clients send; another provider gets a request once, and need not be spared for the first one's failure.

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
}
cdef uint8_t TRAITS[N_OUTCOMES]
for _condition in range(<int>N_OUTCOMES):
    TRAITS[<int>_condition] = TRAITS_OF.get(_condition, 0)

cdef int64_t KEY_REST_NS = 60000000000          # of a key that the provider has rejected
cdef int64_t SHORT_REST_NS = 10000000000        # and of one that it may have rejected
cdef int64_t LONGEST_BACKOFF_MS = 30000
cdef int64_t PROBE_NS = 600000000000            # a probe that nobody has ended by then has died with its worker


cdef int forward(Exchange x) except -1:
    """Sends the request to its target, at once where a connection is idle, else as soon as one is open."""
    move(x, E_COMPLETE)
    return attempt(x)


cdef int attempt(Exchange x) except -1:
    x.attempts += 1
    x.sent = 0
    x.downstream.deadline = x.deadline
    x.gateway.counts.asked[x.target.index] += 1
    return x.target.pool.acquire(x)


cdef int again(Exchange x) except -1:
    """Back to the pool with a request of which the provider has read no byte. That is no further attempt."""
    move(x, E_RETRY)
    x.sent = 0
    x.downstream.deadline = x.deadline
    return x.target.pool.acquire(x)


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
    if traits == 0 or condition == gateway_overloaded:
        return end_probe(x)
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


cdef bint may_help(Exchange x, int condition, int traits) noexcept:
    """Whether a failure is to become a further attempt."""
    return traits & ELSEWHERE and x.attempts <= x.most_retries and not x.spent and is_mendable(x, condition)


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


cdef bint retry(Exchange x, int condition) except -1:
    """Begins a further attempt in place of a failed one. False: there is none to be had."""
    cdef Gateway g = x.gateway
    cdef int traits = traits_of(x, condition)
    cdef Target target = None
    cdef int64_t pause = 0
    if not may_help(x, condition, traits) or g.now >= x.deadline:
        return False
    if traits & (KEY | RATE) and x.target.pool.keys > 1 and fresh_key(x) >= 0:
        target = x.target
    else:
        target = choose(x)
    if target is None:
        pause = pause_before(x) if traits & LATER and standing(x.target.health, g.now) <= RETURNING else -1
        if pause < 0 or g.now + pause >= x.deadline:
            return False
    if (target is None or target.pool is x.target.pool) and not within_budget(g.slab, g.now, g.retry_share):
        g.counts.budget_refused += 1
        if x.probe:
            drop_probe(target.health, x.probe)
            x.probe = 0
        return False
    g.notice("attempt failed", facts_of_attempt(x, condition, target, pause))
    begin_anew(x)
    if target is None or target.pool is x.target.pool:
        g.counts.retries += 1
        if not x.retrying:
            x.retrying = True
            g.counts.retrying += 1
    else:
        g.counts.fallbacks += 1
    if target is not None:
        turn_to(x, target)
        attempt(x)
        return True
    x.due = g.now + pause
    x.paused += pause
    x.downstream.deadline = x.deadline
    g.delayed.append(x)
    return True


cdef int64_t pause_before(Exchange x) except -2:
    """ns until the same target may be asked again; -1: longer than a client is kept waiting without a word.

    Its SDK waits as well, knows how long, and says so to who waits; proxies on the way have time limits of their own.
    """
    cdef Gateway g = x.gateway
    cdef int64_t wait = min(g.backoff_ms << min(x.attempts - 1, 16), LONGEST_BACKOFF_MS)
    wait = <int64_t>(wait * (0.5 + chance(g)))
    wait = max(min(wait, LONGEST_BACKOFF_MS), x.retry_after_ms) * 1000000
    return wait if x.paused + wait <= g.max_wait_ns else -1


cdef int begin_anew(Exchange x) except -1:
    """Forgets the failed attempt."""
    if x.state == WAITING:
        stop_waiting(x)
    detach(x)
    move(x, E_RETRY)
    x.sent = 0
    x.told = False
    x.doubtful = False
    x.undone = False
    x.provider_id_size = 0
    x.status = 0
    x.first_byte = 0
    x.retry_after_ms = -1
    x.advice = UNADVISED
    x.redialled = 0
    x.held = None
    x.copy = None
    x.tail = None
    x.fields = None
    x.values = None
    x.details = None
    memset(&x.tap, 0, sizeof(Tap))
    return 0


cdef dict facts_of_attempt(Exchange x, int condition, Target target, int64_t pause):
    """One line of the log per attempt that became another."""
    return {"request_id": PyBytes_FromStringAndSize(x.request_id, x.request_id_size).decode(),
            "condition": condition, "attempt": x.attempts, "target": x.target.name, "model": x.asked,
            "upstream_status": x.status or None, "upstream_request_id": provider_id(x), "reason": words_of(x),
            "next": target.name if target is not None else x.target.name, "pause": pause / 1e9}


cdef int put_way(Writer* out, Exchange x) except -1:
    """Which target answered, after how many attempts, and whether that is second best."""
    if x.attempts == 0:
        return 0
    put_bytes(out, x.target.line)
    if x.attempts > 1:
        put(out, b"x-edge-attempts: ", 17)
        put_number(out, x.attempts)
        put(out, b"\r\n", 2)
    if x.target.priority != (<Target>x.plan[0]).priority:
        put(out, b"x-edge-degraded: fallback\r\n", 27)
    return 0


cdef int put_request_head(Writer* out, Exchange x, Py_ssize_t length) except -1:
    """The head for the provider, made of parsed fields alone: nothing ambiguous can go on (RFC 9112 section 11.2)."""
    cdef Pool pool = x.target.pool
    cdef bytes line = x.line
    cdef Py_ssize_t strip = pool.strip if line.startswith(b"/v1/") else 0
    if pool.query:
        line = x.gateway.joined(line, pool.query) if b"?" in line else line + pool.query
    put_bytes(out, METHODS[x.method])
    put(out, b" ", 1)
    put_bytes(out, pool.base)
    put(out, PyBytes_AS_STRING(line) + strip, PyBytes_GET_SIZE(line) - strip)
    if pool.keys > 1:
        x.key = fresh_key(x)
        if x.key < 0:               # all rest, or were tried: the one in turn
            x.key = pool.next_key
        x.tried_keys |= <uint64_t>1 << x.key
        pool.next_key = (x.key + 1) % pool.keys
    else:
        x.key = 0
    put_bytes(out, <bytes>pool.heads[x.key])
    put_bytes(out, x.relayed)
    put(out, b"x-request-id: ", 14)
    put(out, x.request_id, x.request_id_size)
    if length or x.method == M_POST or x.method == M_PUT or x.method == M_PATCH:
        put(out, b"\r\ncontent-length: ", 18)
        put_number(out, length)
    put(out, b"\r\n\r\n", 4)
    return 0
