# account: the end of a request. The only giver of what admit took, and the only reporter, once per request.

cdef int settle(Exchange x) except -1:
    """Gives back what the request holds, counts it once, and frees both of its connections."""
    cdef Downstream d = x.downstream
    cdef bint noted
    cdef int uses = 0
    try:
        leave_queues(x)
        account(x)
        x.downstream = None
        d.exchange = None
        detach(x)
        disband(x)
    finally:
        leave_flight(x)
    noted = x.gateway.reported[x.condition] and is_noted(x.gateway, x.condition)
    if noted:
        report(x)
    if noted or x.trail is not None:
        uses = LINE_KEPT
    if is_told(x, uses != 0):
        uses |= LINE_TRACED
    if x.gateway.logged[x.condition] and is_logged(x):
        uses |= LINE_LOGGED
    if uses:
        leave_line(x, uses)
    d.await_next()
    if x.keep_alive:
        return d.resume()
    if d.lingering:
        return 0
    return d.linger() if d.is_open() else d.hang_up()


cdef int leave_queues(Exchange x) except -1:
    """Nobody will come back to a request that goes on without them: not the pool, not the clock."""
    if x.due:
        x.due = 0
        x.gateway.delayed.remove(x)
        if x.drawn_by and x.attempts == 0:
            x.gateway.drawing -= 1
    if x.queued:
        x.target.pool.waiting.remove(x)
    return 0


cdef int detach(Exchange x) except -1:
    """Frees the provider's connection: back into the pool where the answer has ended well, else closed."""
    cdef Upstream upstream = x.upstream
    cdef Pool pool
    if upstream is None:
        return 0
    pool = upstream.pool
    x.upstream = None
    upstream.exchange = None
    pool.active -= 1
    if upstream.ended and upstream.keep_alive and not x.unread:
        return pool.release(upstream)
    if x.mode == STREAM and x.tap.terminal and upstream.framing == F_CHUNKED and upstream.keep_alive:
        return pool.await_end(upstream)
    return pool.forget(upstream)


cdef int account(Exchange x) except -1:
    cdef Gateway g = x.gateway
    cdef Series* series = x.series
    if series == NULL:
        series = g.slab.series(g.index, x.route.unrouted if x.route is not None else 0)
    if x.retrying:
        g.counts.retrying -= 1
        x.retrying = False
    end_probe(x)
    if x.condition == ok or (x.condition == provider_rejected and x.head_sent and x.status >= 400):
        series.outcomes[relayed_slot(x.status)] += 1
    else:
        series.outcomes[x.condition] += 1
    if x.attempts:
        observe_long(&series.total, g.now - x.started)      # the others take no time, and would hide who does
    if x.first_byte:
        observe_long(&series.first_byte, x.first_byte - x.started)
        observe_short(&series.overhead, x.overhead)
    settle_usage(x, series)
    return 0


cdef int leave_flight(Exchange x) noexcept:
    """Last: what is no longer in flight has been counted, and its provider works for it no more. Others may come."""
    if x.counted:
        x.series.in_flight -= 1
        x.gateway.counts.in_flight -= 1
        give_places(x)
        x.counted = False
        if x.billed:
            return_points(x)
    return 0


cdef int settle_usage(Exchange x, Series* series) noexcept:
    """Counts the tokens that were used, and takes them from the limits in place of the reserved.

    What the provider has not told is estimated; so is what it may have told too early, of an answer that has no end.
    """
    cdef int64_t input = -1, output = -1, estimate
    cdef bint estimated = False
    if x.first_byte:
        read_told(x, &input, &output)
        series.input_tokens += max(input, <int64_t>0)
        series.output_tokens += max(output, <int64_t>0)
        series.cached_tokens += max(<int64_t>0, min(x.tap.usage.cached, <int64_t>MOST_TOKENS))
    if x.head_sent and x.status < 400 and has_tokens(x) and not (x.lasting and input < 0):
        series.without_usage += input < 0 and output < 0
        estimated = input < 0
        if input < 0:
            input = min(body_tokens(x), <int64_t>MOST_TOKENS)
            series.estimated_input += input
        estimate = min(answer_tokens(x), <int64_t>MOST_TOKENS)
        if makes_text(x) and (output < 0 or not x.tap.terminal and output < estimate):
            series.estimated_output += estimate - max(output, <int64_t>0)
            output = max(estimate, x.likely_output) if x.mode == PASS else estimate
            estimated = True
    elif input < 0 and output < 0 and (is_unanswered(x) or is_left(x) or x.lasting and x.head_sent):
        if x.counted:
            spend_tokens(x)             # the provider may have done it all: what was reserved stays spent
        if x.billed:
            spend_points(x)
        return 0
    if x.counted:
        settle_limits(x, max(input, <int64_t>0), max(output, <int64_t>0))
    if x.billed and (input > 0 or output > 0 or x.head_sent and x.status < 400):
        settle_points(x, max(input, <int64_t>0), max(output, <int64_t>0), estimated)
    return 0


cdef bint is_left(Exchange x) noexcept:
    """Whether its client has left while the provider, whose head has come, works for it."""
    return x.condition == client_closed and x.sent and x.first_byte and not x.told and not is_refused(x)


cdef enum Report:               # of a condition
    SILENT, SPARSE, ALWAYS      # nothing; the first of each second, as whoever is refused may ask very often; all

cdef enum:
    NOTED_MAX = 20              # refusals of a kind in a second that have a line each: see settle_notes()


cdef bint is_noted(Gateway g, int condition) noexcept:
    """Whether the log hears of this one. All are counted in the metrics."""
    if g.reported[condition] == ALWAYS:
        return True
    g.noted[condition] += 1
    return g.noted[condition] <= NOTED_MAX


cdef int settle_notes(Gateway g) except -1:
    """Once a second: how many refusals of each kind there were besides those that the log has heard of."""
    cdef int condition
    if g.now < g.noted_until:
        return 0
    g.noted_until = g.now + 1000000000
    for condition in range(N_OUTCOMES):
        if g.noted[condition] > NOTED_MAX:
            g.notice("more of the same", {"event": "request refused", "condition": condition,
                                          "unwritten": g.noted[condition] - NOTED_MAX})
        g.noted[condition] = 0
    return 0


cdef int report(Exchange x) except -1:
    """One event for the log. No word of it comes from a body but the provider's own error message."""
    x.gateway.report({
        "request_id": PyBytes_FromStringAndSize(x.request_id, x.request_id_size).decode(),
        "condition": x.condition,
        "address": text_of_address(&x.client),
        "route": x.route.name if x.route is not None else None,
        "key": x.tenant.name if x.tenant is not None else None,
        "model": x.asked,
        "provider": x.target.pool.name if x.target is not None else None,
        "target": x.target.name if x.target is not None and x.attempts else None,
        "attempts": x.attempts,
        "status": x.status or None,
        "upstream_status": x.upstream_status or (x.status if x.head_sent else 0) or None,
        "upstream_request_id": provider_id(x),
        "reason": words_of(x),
        "seconds": (x.gateway.now - x.started) / 1e9,
        "overhead": x.overhead / 1e9,
        "input_tokens": x.tap.usage.input if x.first_byte and x.tap.usage.input >= 0 else None,
        "output_tokens": x.tap.usage.output if x.first_byte and x.tap.usage.output >= 0 else None,
    })
    return 0
