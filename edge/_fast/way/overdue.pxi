# overdue: what it means that something a request awaited has not come.

cdef int[8] OVERDUE = [         # by Timer; idle connections, and those that linger, have no request
    request_timeout, request_timeout, 0, 0, provider_timeout, provider_stalled, provider_timeout, provider_timeout]


cdef int expire(Exchange x) except -1:
    """What a request awaited has not come."""
    cdef Downstream d = x.downstream
    cdef int why = d.why
    if x.state == HOLDING and x.mode == FAULT:
        return classify(x)              # its status has said enough
    if x.state == READING or why == AWAITS_BODY:
        x.unsynced = True
        return x.refuse(OVERDUE[why])
    if x.state == FOLLOWING:
        x.say(S_TIMEOUT, f"{x.allowed / 1e9:g}")
        return x.refuse(provider_timeout)
    if x.queued and not x.target.pool.opening:
        return crowd_out(x)             # it was others' turn all the time: the provider has not heard of it
    if x.gateway.now >= x.deadline:
        why = AWAITS_END
    if x.upstream is not None and x.upstream.reading_paused:
        if why == AWAITS_END:
            d.sever()                   # it takes nothing more: it has left
            return LEFT
        await_within(x, AWAITS_END, 0)  # the provider waits for the client: see is_stuck()
        return AWAIT
    return late_provider(x, why)


cdef int late_provider(Exchange x, int why) except -1:
    """The provider has had the time that it is given for this, and it was not enough."""
    cdef Pool pool = x.target.pool
    cdef int64_t limit = x.allowed
    cdef str reason = "no response" if x.state < HOLDING else "no end"
    if why == AWAITS_MORE:
        limit, reason = pool.idle_ns, "no data"
    elif why == AWAITS_ANSWER:
        limit, reason = pool.first_byte_ns, "no response"
    elif why == AWAITS_ROOM:
        limit, reason = x.gateway.body_ns, "no room for the request's body"
    x.say(S_TIMEOUT, f"{limit / 1e9:g}")
    if OVERDUE[why] == provider_timeout:
        reason = f"did not answer within {limit / 1e9:g} s ({reason})"
    return x.fail(OVERDUE[why], reason)
