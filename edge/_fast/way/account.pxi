# refuse, fail: the only makers of error answers. finish: the only giver, and the only reporter, once per request.

cdef int set_value(Exchange x, int slot, object value) except -1:
    """A value that the words of a refusal may use."""
    if x.values is None:
        x.values = [None] * N_SLOTS
    x.values[slot] = value
    return 0


cdef int fill_values(Exchange x) except -1:
    cdef object name = PyBytes_FromStringAndSize(x.request_id, x.request_id_size)
    set_value(x, S_REQUEST_ID, name)
    set_value(x, S_TRACE_ID, name)
    if x.retry_after_ms >= 0:
        set_value(x, S_RETRY_AFTER_MS, x.retry_after_ms)
    if x.target is not None:
        if x.values[S_TIMEOUT] is None and x.sent:      # it was the provider that has lost patience
            set_value(x, S_TIMEOUT, max(<int64_t>1, (x.gateway.now - x.sent) // 1000000000))
        if x.values[S_MODEL] is None and x.asked is not None:
            set_value(x, S_MODEL, x.asked)
    return 0


cdef int refuse(Exchange x, int condition, bint close) except -1:
    """Ends a request that has had no answer with an error in contract."""
    cdef Gateway g = x.gateway
    cdef Template template = x.surface.templates[condition]
    cdef Downstream d = x.downstream
    cdef Writer out
    cdef bytes answer
    cdef bint unread = close or x.unread
    close = unread or not x.keep_alive
    fill_values(x)
    if is_unanswered(x) or not is_mendable(x, condition):
        set_value(x, S_RETRY_AFTER_MS, NEVER_MS)
        set_value(x, S_FINAL, True)
    write_into(&out, g.scratch, BUFFER)
    put_date(&out, g)
    put_way(&out, x)
    if x.limited:
        put_limits(&out, x)
    put_remedy(&out, x, condition)
    if g.cors is not None:
        put_cors(&out, x)
    answer = template.render(x.values, PyBytes_FromStringAndSize(g.scratch, written(&out)), close)
    if x.method == M_HEAD:
        answer = answer[:answer.index(b"\r\n\r\n") + 4]
    x.keep_alive = not close
    x.upstream_status = x.status
    x.status = int(answer[9:12])
    d.write_bytes(answer)
    if unread:
        d.linger()
    return finish(x, E_REFUSED, condition)


cdef int put_remedy(Writer* out, Exchange x, int condition) except -1:
    """What HTTP wants a refusal to say of what would be taken (RFC 9110 15.5.6, 15.5.16, 15.5.22)."""
    if condition == method_not_allowed:
        put_bytes(out, x.route.allow)
    elif condition == content_coding:
        put_bytes(out, b"accept-encoding: gzip, deflate, zstd\r\n")
    elif condition == upgrade_refused:
        put_bytes(out, b"upgrade: HTTP/1.1\r\nconnection: upgrade\r\n")
    return 0


cdef bint is_unanswered(Exchange x) noexcept:
    """Whether the provider has the whole request and has not refused it: it may do it, and would be paid twice."""
    return x.sent and not x.unread and not x.told and not x.undone


cdef int refuse_unread(Exchange x, int condition) except -1:
    """Refuses on the head alone."""
    pass_over(x)
    return refuse(x, condition, False)


cdef int pass_over(Exchange x) noexcept:
    """Of a request that is answered on its head alone: a short body is skipped, a long one ends the connection."""
    if x.chunked or x.gateway.head.expect_continue or x.length > SKIP_MAX or (x.length and not x.keep_alive):
        x.unread = max(<int64_t>1, x.length)
        x.keep_alive = False
    else:
        x.downstream.skip = x.length
    return 0


cdef int fail(Exchange x, int condition, object reason) except -1:
    """An attempt has failed: another one, an error answer, or, once the client has the head, the stream's own error."""
    if reason is not None:
        set_value(x, S_REASON, reason)
    note_failure(x, condition, TRAITS[condition])
    if x.state == RELAYING:
        return break_off(x, condition)
    if retry(x, condition):
        return 0
    if x.soonest > x.gateway.now:
        x.retry_after_ms = (x.soonest - x.gateway.now + 999999) // 1000000
    if x.attempts > 1 and len(x.plan) > 1:
        set_value(x, S_FINAL, True)         # the whole chain has failed: the client's own retries would only repeat it
    elif x.advice != UNADVISED:
        set_value(x, S_FINAL, x.advice == ADVISED_AGAINST)
    return refuse(x, condition, False)


cdef int fail_other(Exchange x, int condition, object reason) except -1:
    """The same for one of several requests that are served in one go: a fault in its end is its own, not theirs."""
    try:
        return fail(x, condition, reason)
    except Exception as error:
        return failed_inside(x, error)


cdef int detach(Exchange x) except -1:
    """Frees the provider's connection: back into the pool where the answer has ended well, else closed."""
    cdef Upstream upstream = x.upstream
    cdef Pool pool
    if upstream is None:
        return 0
    pool = upstream.pool
    x.upstream = None
    upstream.exchange = None
    upstream.pending = None
    pool.active -= 1
    if upstream.ended and upstream.keep_alive and not x.unread:
        return pool.release(upstream)
    if x.mode == STREAM and x.tap.terminal and upstream.framing == F_CHUNKED and upstream.keep_alive:
        return pool.await_end(upstream)
    return pool.forget(upstream)


cdef int break_off(Exchange x, int condition) except -1:
    """Trouble after the head. Server-sent events end with the dialect's error event; other bodies can only be cut."""
    cdef Template template = x.surface.templates[condition]
    cdef bytes event
    if x.mode != STREAM or x.tap.blind:
        return cut(x, condition)
    fill_values(x)
    event = template.event(x.values)
    if x.details is not None or x.tap.dialect == D_RESPONSES:
        event = x.gateway.ending(event, template.condition, x.values[S_MESSAGE], x.details, begun_response(x))
    send_piece(x, PyBytes_AS_STRING(event), PyBytes_GET_SIZE(event), True)
    return finish(x, E_BROKEN, condition)


cdef object begun_response(Exchange x):
    """What the client of a response knows of it; None in the other dialects."""
    if x.tap.dialect != D_RESPONSES:
        return None
    name = x.tap.name[:x.tap.name_size] or b"resp_" + PyBytes_FromStringAndSize(x.request_id, x.request_id_size)
    number = x.tap.sequence + 1 if x.tap.sequence >= 0 else x.tap.events
    return x.gateway.begun(name.decode("utf-8", "replace"), x.asked.decode("utf-8", "replace"), number, time(NULL))


cdef int cut(Exchange x, int condition) except -1:
    """Closes on a client whose answer cannot be completed; it must not count as the client's leaving."""
    cdef Downstream d = x.downstream
    x.keep_alive = False
    d.exchange = None
    d.abort()
    return finish(x, E_BROKEN, condition)


cdef int failed_inside(Exchange x, object error) except -1:
    """A fault of ours: the traceback goes to the log, the client gets internal_error and no word of it."""
    cdef int condition = out_of_memory if isinstance(error, MemoryError) else internal_error
    if condition == internal_error:
        x.gateway.log_fault(error, PyBytes_FromStringAndSize(x.request_id, x.request_id_size).decode())
    if x.state == ENDED or x.downstream is None:
        return 0
    if x.state == RELAYING:
        return cut(x, condition)
    return refuse(x, condition, True)


cdef int client_left(Exchange x) except -1:
    """Nobody waits for the answer any more: the provider is told by closing, now."""
    x.keep_alive = False
    return finish(x, E_LEFT, client_closed)


cdef int finish(Exchange x, int event, int condition) except -1:
    """The end of every request: gives back what admit took, counts once, frees both connections."""
    cdef Downstream d = x.downstream
    if x.state == WAITING:
        stop_waiting(x)
    move(x, event)
    x.condition = condition
    account(x)
    x.downstream = None
    d.exchange = None
    detach(x)
    if x.gateway.reported[condition] and is_noted(x.gateway, condition):
        report(x)
    d.deadline = x.gateway.now + (LINGER_NS if d.lingering else x.gateway.keep_ns)
    if x.keep_alive:
        return d.resume()
    if d.lingering:
        return 0
    return d.linger() if x.unread and d.is_open() else d.hang_up()


cdef int stop_waiting(Exchange x) except -1:
    """Nobody will come back to a request that has ended: not the pool, not the clock."""
    if x.due:
        x.due = 0
        x.gateway.delayed.remove(x)
    elif x.queued:
        x.target.pool.waiting.remove(x)
    return 0


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
    if x.head_sent and x.status < 400 and x.tap.usage.input < 0 and x.tap.usage.output < 0:
        estimate_usage(x, series)
    if x.tap.usage.input > 0:
        series.input_tokens += x.tap.usage.input
    if x.tap.usage.output > 0:
        series.output_tokens += x.tap.usage.output
    if x.tap.usage.cached > 0:
        series.cached_tokens += x.tap.usage.cached
    if x.counted:                   # last: what is no longer in flight has been counted
        series.in_flight -= 1
        g.counts.in_flight -= 1
        x.counted = False
    return 0


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
        "address": x.address,
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


cdef object words_of(Exchange x):
    """What went wrong, in a few words; the provider's own where it has given some."""
    if x.values is None:
        return None
    if x.told and x.values[S_MESSAGE]:
        return x.values[S_MESSAGE]
    return x.values[S_REASON] or x.values[S_MESSAGE] or x.values[S_UPSTREAM_REASON]


cdef object provider_id(Exchange x):
    """What the provider calls the request, to ask its support with; None: it does not say."""
    return PyBytes_FromStringAndSize(x.provider_id, x.provider_id_size) if x.provider_id_size else None


cdef int answer_own(Exchange x) except -1:
    """A route that the gateway answers itself: its callable gives status and JSON (None: no such model)."""
    cdef Gateway g = x.gateway
    cdef Writer out
    cdef iovec parts[2]
    cdef bytes content
    allows = x.tenant.allows if x.tenant is not None else None
    key = x.tenant.name if x.tenant is not None else ""
    x.status, content = x.route.own(x.surface.index, x.line, allows, key)
    if content is None:
        set_value(x, S_MODEL, x.line.partition(b"?")[0][len(x.route.path) + 1:])
        return refuse(x, model_unknown, False)
    write_into(&out, g.scratch, BUFFER)
    put_bytes(&out, <bytes>g.status_lines[x.status])
    put(&out, b"content-type: application/json\r\ncontent-length: ", 48)
    put_number(&out, PyBytes_GET_SIZE(content))
    put(&out, b"\r\n", 2)
    put_date(&out, g)
    put_ids(&out, x)
    if g.cors is not None:
        put_cors(&out, x)
    if not x.keep_alive:
        put(&out, b"connection: close\r\n", 19)
    put(&out, b"\r\n", 2)
    part_of(&parts[0], g.scratch, written(&out))
    part_of(&parts[1], PyBytes_AS_STRING(content), PyBytes_GET_SIZE(content))
    x.downstream.write(parts, 1 if x.method == M_HEAD else 2)
    return finish(x, E_DONE, ok)


cdef int put_date(Writer* out, Gateway g) except -1:
    """RFC 9110 section 6.6.1, made once a second."""
    if g.now >= g.date_until:
        g.date = b"date: " + formatdate(time(NULL), usegmt=True).encode() + b"\r\n"
        g.date_until = g.now + 1000000000
    put_bytes(out, g.date)
    return 0
