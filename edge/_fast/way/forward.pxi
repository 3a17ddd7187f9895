# forward: attempts, one after the other, until the first good byte of an answer.
#
# A failed attempt may become another one, never after the client has a byte, and never where the provider may have done
# the work: that would be paid twice. Another target at once is better than the same one later. All attempts share one
# deadline. What goes to the same provider again must fit into the host's budget, so that no provider ever gets much
# more than its clients send; another provider gets a request once, and need not be spared for the first one's failure.

cdef int64_t LONGEST_BACKOFF_MS = 30000


cdef int attempt(Exchange x) except -1:
    """One more attempt, at the target that was chosen."""
    x.attempts += 1
    x.attempted = x.gateway.now
    x.gateway.counts.asked[x.target.index] += 1
    return await_connection(x)


cdef int await_connection(Exchange x) except -1:
    """The request goes out at once where a connection is idle, else as soon as one is free."""
    x.sent = 0
    await_within(x, AWAITS_END, 0)
    return x.target.pool.acquire(x)


cdef int unreachable(Exchange x, int condition, object reason) except -1:
    """A connection that the request was to have could not be opened."""
    if condition == gateway_overloaded:
        note_limit(x.gateway, DESCRIPTORS)
        x.retry_after_ms = 1000
    return x.fail(condition, reason)


cdef int resume(Exchange x) except -1:
    """The pause before a further attempt is over."""
    x.gateway.delayed.remove(x)
    x.due = 0
    return x.refuse(shut_out(x)) if is_barred(x) else RESUMED


cdef int recover(Exchange x) except -1:
    """An attempt has failed: another one, an error answer, or, once the client has the head, the stream's own error."""
    cdef int condition = x.condition, verdict
    note_attempt(x, condition)
    note_failure(x, condition, TRAITS[condition])
    if x.state == RELAYING:
        return BROKEN
    verdict = retry(x, condition)
    if verdict != REFUSED:
        return verdict
    if x.soonest > x.gateway.now:
        x.retry_after_ms = (x.soonest - x.gateway.now + 999999) // 1000000
    if x.attempts > 1 and len(x.plan) > 1:
        x.say(S_FINAL, True)         # the whole chain has failed: the client's own retries would only repeat it
    elif x.advice != UNADVISED:
        x.say(S_FINAL, x.advice == ADVISED_AGAINST)
    return REFUSED


cdef bint may_help(Exchange x, int condition, int traits) noexcept:
    """Whether a failure is to become a further attempt."""
    return traits & ELSEWHERE and x.attempts <= x.most_retries and not x.spent and is_mendable(x, condition)


cdef int retry(Exchange x, int condition) except -1:
    """What is to take the place of a failed attempt: RETRY with x.next, PAUSE, or REFUSED where there is nothing."""
    cdef Gateway g = x.gateway
    cdef int traits = traits_of(x, condition)
    cdef Target target = None
    cdef int64_t pause = 0
    if not may_help(x, condition, traits) or g.now >= x.deadline:
        return REFUSED
    if traits & (KEY | RATE) and x.target.pool.keys > 1 and fresh_key(x) >= 0:
        target = x.target
    else:
        target = choose(x)
    if target is None:
        pause = pause_before(x) if traits & LATER and standing(x.target.health, g.now) <= RETURNING else -1
        if pause < 0 or g.now + pause >= x.deadline:
            return REFUSED
    if (target is None or target.pool is x.target.pool) and not within_budget(g.slab, g.now, g.retry_share):
        g.counts.budget_refused += 1
        if x.probe:
            drop_probe(target.health, x.probe)
            x.probe = 0
        return REFUSED
    g.notice("attempt failed", facts_of_attempt(x, condition, target, pause))
    if target is None or target.pool is x.target.pool:
        g.counts.retries += 1
        if not x.retrying:
            x.retrying = True
            g.counts.retrying += 1
    else:
        g.counts.fallbacks += 1
    x.next = target
    x.paused += pause
    x.pause = pause
    return PAUSE if target is None else RETRY


cdef int put_off(Exchange x) except -1:
    """The same target again, but not at once."""
    cdef Gateway g = x.gateway
    g.delayed.append(x)
    x.due = g.now + x.pause         # behind it: who is due is in the list, also where there was no memory for that
    await_within(x, AWAITS_END, 0)
    return AWAIT


cdef int64_t pause_before(Exchange x) except -2:
    """ns until the same target may be asked again; -1: longer than a client is kept waiting without a word.

    Its SDK waits as well, knows how long, and says so to who waits; proxies on the way have time limits of their own.
    """
    cdef Gateway g = x.gateway
    cdef int64_t wait = min(g.backoff_ms << min(x.attempts - 1, 16), LONGEST_BACKOFF_MS)
    wait = <int64_t>(wait * (0.5 + chance(g)))
    wait = max(min(wait, LONGEST_BACKOFF_MS), x.retry_after_ms) * 1000000
    return wait if x.paused + wait <= g.max_wait_ns else -1


cdef dict facts_of_attempt(Exchange x, int condition, Target target, int64_t pause):
    """One line of the log per attempt that became another."""
    return {"request_id": PyBytes_FromStringAndSize(x.request_id, x.request_id_size).decode(),
            "condition": condition, "attempt": x.attempts, "target": x.target.name, "model": x.asked,
            "upstream_status": x.status or None, "upstream_request_id": provider_id(x), "reason": words_of(x),
            "next": target.name if target is not None else x.target.name, "pause": pause / 1e9}
