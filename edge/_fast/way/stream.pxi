# stream: server-sent events on their way to the client, whole ones only, and the end of a stream.
#
# A stream is complete with its dialect's last event, or when nothing but that is missing and the framing has ended
# cleanly: every choice has finished, the message has stopped. What is missing then is added. All else is a cut, or the
# provider's own failure, and ends as the dialect's error. One event is never looked into: that too long to be held.


cdef int stream(Exchange x, char* data, Py_ssize_t size, bint ended) except -1:
    """Whole events go on; an event's beginning waits for its end, so that trouble can never leave half of one."""
    cdef Py_ssize_t whole, kept
    cdef int look
    cdef Store joined = x.tail
    if x.tap.blind:
        return go_blindly(x, data, size, ended)
    if joined is not None:
        joined.append(data, size)
        data = joined.at
        size = joined.size
        x.tail = None
    if x.unseen:
        look = look_at(data, size)
        if look == L_OBJECT:
            x.mode = WHOLE          # an error, if anything
            return hold(x, data, size, ended)
        if look == L_OTHER:
            return not_an_object(x, look)
        x.unseen = x.undone = look == L_BLANK
    whole = tap_events(&x.tap, data, size)
    kept = x.tap.kept
    if x.tap.error:
        return stream_error(x, data, kept)
    if x.tap.terminal:
        return end_stream(x, data, kept)
    if x.tap.events == 0:
        x.tap.passed += whole       # comments alone are no answer yet, and nobody needs them
        if x.tap.passed > EVENT_MAX or (size - whole > EVENT_MAX and data[whole] == c":"):
            return x.fail(provider_response_invalid, "a stream without an event")
    if whole < size:
        if size - whole > EVENT_MAX:
            return begin_blindly(x, data, kept, data + whole, size - whole, ended)
        x.tail = joined if joined is not None and whole == 0 else stored(data + whole, size - whole)
    if whole and x.tap.events:
        send_events(x, data, kept, False)
    return complete(x) if ended else hold_back(x)


cdef int begin_blindly(Exchange x, char* data, Py_ssize_t kept, char* rest, Py_ssize_t size, bint ended) except -1:
    """An event too long to be held goes on as it comes; only where it ends is looked for."""
    if not tap_blind(&x.tap, rest, size):
        return stream_error(x, data, kept)
    if x.tap.failed and x.tap.events == 1:
        return x.fail(condition_of(x, rest, 0), None)
    if kept:
        send_events(x, data, kept, False)
    x.tap.passed = size
    send_events(x, rest, size, False)
    return x.fail(provider_cut, "stream ended within an event") if ended else hold_back(x)


cdef int go_blindly(Exchange x, char* data, Py_ssize_t size, bint ended) except -1:
    cdef Py_ssize_t whole = tap_skip(&x.tap, data, size)
    x.tap.passed += whole
    if x.tap.passed > BLIND_MAX:
        return x.fail(provider_response_invalid, "an event without an end")
    if whole or x.tap.terminal:
        send_events(x, data, whole, x.tap.terminal)
    if x.tap.terminal:
        return end_failed(x, condition_of(x, data, 0)) if x.tap.failed else succeed(x)
    if x.tap.blind:
        return x.fail(provider_cut, "stream ended within an event") if ended else hold_back(x)
    return stream(x, data + whole, size - whole, ended)


cdef int end_stream(Exchange x, char* data, Py_ssize_t kept) except -1:
    """The dialect's last event has come: the client has everything, whatever the provider does with its connection."""
    cdef int condition
    if x.tap.events == 1 and x.tap.dialect.mark:
        x.undone = True
        return x.fail(provider_response_invalid, "a stream without a choice")
    if not x.tap.failed:
        send_events(x, data, kept, True)
        return succeed(x)
    condition = condition_of(x, data + x.tap.data, x.tap.data_end - x.tap.data)
    if x.tap.events == 1:
        return x.fail(condition, None)
    send_events(x, data, kept, True)
    return end_failed(x, condition)


cdef int complete(Exchange x) except -1:
    """The framing has ended cleanly, and the last event has not come, or not with the empty line behind it."""
    cdef Store tail = x.tail
    cdef uint32_t events = x.tap.events
    if tail is not None:
        tail.append(b"\n", 1)               # of its last line, or the empty one behind it
        if tap_events(&x.tap, tail.at, tail.size) < tail.size and not x.tap.error:
            tail.append(b"\n", 1)
            tap_events(&x.tap, tail.at, tail.size)
        if x.tap.error == T_SAID:
            return stream_error(x, tail.at, x.tap.kept)
        if x.tap.terminal:
            return end_stream(x, tail.at, x.tap.kept)
        if x.tap.events > events:
            send_events(x, tail.at, x.tap.kept, False)
    if not tap_is_whole(&x.tap):
        return x.fail(provider_cut, "stream ended without its last event")
    x.tap.terminal = 1
    send_events(x, <char*>x.tap.dialect.last.text, x.tap.dialect.last.size, True)
    return succeed(x)


cdef int stream_error(Exchange x, char* data, Py_ssize_t kept) except -1:
    """The provider says inside its stream that it has failed, or says what nobody can read."""
    cdef int condition = provider_response_invalid
    if x.tap.error == T_SAID:
        condition = condition_of(x, data + x.tap.data, x.tap.data_end - x.tap.data)
    else:
        x.say(S_REASON, "an event that is not a JSON object")
    if kept and x.tap.events:
        send_events(x, data, kept, False)
    return x.fail(condition, None)


cdef bint is_silent(Exchange x) noexcept:
    """Whether a stream's client has heard nothing for so long that what is on the way might think it dead."""
    return (x.state == RELAYING and x.mode == STREAM and not x.tap.blind and x.downstream.out is None
            and x.gateway.now - x.said >= x.gateway.ping_ns)


cdef int ping(Exchange x) except -1:
    """A comment, between two events. It says nothing of the provider, whose own time runs on."""
    if x.state == RELAYING:
        send_piece(x, b": ping\n\n", 8, False)
    return AWAIT
