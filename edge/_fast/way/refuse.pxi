# refuse: what a client is told of a failure, in its contract: an error answer, or, where an answer has begun, the
# stream's own error. The only place that makes either.

cdef int fill_values(Exchange x) except -1:
    cdef object name = PyBytes_FromStringAndSize(x.request_id, x.request_id_size)
    x.say(S_REQUEST_ID, name)
    x.say(S_TRACE_ID, trace_name(x) if x.trace.span else name)
    if x.retry_after_ms >= 0:
        x.say(S_RETRY_AFTER_MS, x.retry_after_ms)
    if x.target is not None:
        if x.values[S_TIMEOUT] is None and x.sent:      # it was the provider that has lost patience
            x.say(S_TIMEOUT, max(<int64_t>1, (x.gateway.now - x.sent) // 1000000000))
        if x.values[S_MODEL] is None and x.asked is not None:
            x.say(S_MODEL, x.asked)
    return 0


cdef int write_refusal(Exchange x) except -1:
    """The error in contract, to a client that has had no answer."""
    cdef Gateway g = x.gateway
    cdef Template template = x.surface.templates[x.condition]
    cdef Downstream d = x.downstream
    cdef Writer out
    cdef bytes answer
    cdef bint last = x.unsynced or x.unread or not x.keep_alive
    fill_values(x)
    if is_unanswered(x) or not is_mendable(x, x.condition):
        x.say(S_RETRY_AFTER_MS, NEVER_MS)
        x.say(S_FINAL, True)
    write_into(&out, g.scratch, BUFFER)
    put_date(&out, g)
    put_way(&out, x)
    if x.limited:
        put_limits(&out, x)
    put_remedy(&out, x, x.condition, last)
    if g.cors is not None:
        put_cors(&out, x)
    answer = template.render(x.values, PyBytes_FromStringAndSize(g.scratch, written(&out)),
                             last and x.condition != upgrade_refused)
    if x.method == M_HEAD:
        answer = answer[:answer.index(b"\r\n\r\n") + 4]
    x.keep_alive = not last
    x.upstream_status = x.status
    x.status = int(answer[9:12])
    if x.upstream is None or x.upstream.ended:
        give_places(x)
    d.write_bytes(answer)
    return d.linger() if x.unsynced or x.unread else 0


cdef int put_remedy(Writer* out, Exchange x, int condition, bint last) except -1:
    """What HTTP wants a refusal to say of what would be taken (RFC 9110 15.5.6, 15.5.16, 15.5.22)."""
    if condition == method_not_allowed:
        put_bytes(out, x.route.allow)
    elif condition == content_coding:
        put_bytes(out, b"accept-encoding: gzip, deflate, zstd\r\n")
    elif condition == upgrade_refused:
        put_bytes(out, b"upgrade: HTTP/1.1\r\nconnection: upgrade%b\r\n" % (b", close" if last else b""))
    return 0


cdef bint is_unanswered(Exchange x) noexcept:
    """Whether the provider has the whole request and has not refused it: it may do it, and would be paid twice."""
    return x.sent and not x.unread and not x.told and not x.undone and not is_refused(x)


cdef inline bint is_refused(Exchange x) noexcept:
    """Whether the head of the provider's answer is an error's, also where its words have not come."""
    return x.first_byte and x.mode == FAULT


cdef bint write_trouble(Exchange x) except -1:
    """Trouble after the head: server-sent events end with the dialect's error event. False: others can only be cut."""
    cdef Template template = x.surface.templates[x.condition]
    cdef bytes event
    if x.mode != STREAM or x.tap.blind:
        return False
    fill_values(x)
    event = template.event(x.values)
    if x.details is not None or x.tap.dialect.numbered:
        event = x.gateway.ending(event, template.condition, x.values[S_MESSAGE], x.details, begun_response(x))
    send_piece(x, PyBytes_AS_STRING(event), PyBytes_GET_SIZE(event), True)
    return True


cdef object begun_response(Exchange x):
    """What the client of a response knows of it; None where events have no numbers."""
    if not x.tap.dialect.numbered:
        return None
    name = x.tap.name[:x.tap.name_size] or b"resp_" + PyBytes_FromStringAndSize(x.request_id, x.request_id_size)
    number = x.tap.sequence + 1 if x.tap.sequence >= 0 else x.tap.events
    return x.gateway.begun(name.decode("utf-8", "replace"), x.asked.decode("utf-8", "replace"), number, time(NULL))


cdef object words_of(Exchange x):
    """What went wrong, in a few words; the provider's own where it has given some."""
    if x.values is None:
        return None
    if x.told and x.values[S_MESSAGE]:
        return x.values[S_MESSAGE]
    return x.values[S_REASON] or x.values[S_MESSAGE] or x.values[S_UPSTREAM_REASON] or fault_of(x)


cdef object fault_of(Exchange x):
    """Where a client's request is wrong; of its body no more than names that are our own."""
    method, path = x.values[S_METHOD], x.values[S_PATH]
    field, expected = x.values[S_FIELD], x.values[S_EXPECTED]
    if method is not None:
        return method if path is None else b"%b %b" % (method, path)
    return field if field is None or expected is None else f"{field}: expected {expected}"


cdef object provider_id(Exchange x):
    """What the provider calls the request, to ask its support with; None: it does not say."""
    return PyBytes_FromStringAndSize(x.provider_id, x.provider_id_size) if x.provider_id_size else None
