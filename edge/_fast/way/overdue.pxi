# overdue: what it means that something a request awaited has not come.

cdef int[8] OVERDUE = [
    request_timeout, request_timeout, 0, 0, provider_timeout, provider_stalled, provider_timeout, provider_timeout]


cdef int expire(Exchange x) except -1:
    """What a request awaited has not come."""
    cdef Downstream d = x.downstream
    cdef Pool pool = x.target.pool if x.target is not None else None
    cdef int why = d.why
    if x.state != READING and x.gateway.now >= x.deadline:
        why = AWAITS_END
    if x.state == READING or why == AWAITS_BODY:
        x.unsynced = True
        return x.refuse(request_timeout)
    if x.upstream is not None and x.upstream.reading_paused:
        if why == AWAITS_END:
            d.sever()                   # it takes nothing more: it has left
            return LEFT
        await_within(x, AWAITS_END, 0)  # the provider waits for the client: see is_stuck()
        return AWAIT
    if x.state == HOLDING and x.mode == FAULT:
        return classify(x)              # its status has said enough
    if why == AWAITS_MORE:
        return timed_out(x, OVERDUE[why], pool.idle_ns, "no data")
    if why == AWAITS_ANSWER:
        return timed_out(x, OVERDUE[why], pool.first_byte_ns, "no response")
    if why == AWAITS_ROOM:
        return timed_out(x, OVERDUE[why], x.gateway.body_ns, "no room for the request's body")
    return timed_out(x, OVERDUE[why], x.allowed, "no response" if x.state < HOLDING else "no end")


cdef int timed_out(Exchange x, int condition, int64_t limit, str reason) except -1:
    """The provider has had `limit` ns, and did not need fewer."""
    x.say(S_TIMEOUT, f"{limit / 1e9:g}")
    if condition == provider_timeout:
        reason = f"did not answer within {limit / 1e9:g} s ({reason})"
    return x.fail(condition, reason)
