# stream: server-sent events on their way to the client, whole ones only, and the end of a stream.

cdef int stream(Exchange x, char* data, Py_ssize_t size, bint ended) except -1:
    """Whole events go on; an event's beginning waits for its end, so that trouble can never leave half of one."""
    cdef Py_ssize_t whole
    cdef int look
    cdef Store joined = x.tail
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
    if x.tap.error:
        return stream_error(x, data, whole)
    if x.tap.events == 0:
        whole = 0                   # comments alone are no answer yet
    if whole < size and not x.tap.terminal:
        if size - whole > EVENT_MAX:
            return fail(x, provider_response_invalid, "event too long")
        x.tail = joined if joined is not None and whole == 0 else stored(data + whole, size - whole)
    if ended and not x.tap.terminal:
        if whole:
            send_events(x, data, whole, False)
        return fail(x, provider_cut, "stream ended without its last event")
    if whole:
        send_events(x, data, whole, x.tap.terminal)
    if x.tap.terminal:
        return succeed(x)           # the client has everything; the provider may end its framing, or hold it open
    return hold_back(x)


cdef int stream_error(Exchange x, char* data, Py_ssize_t whole) except -1:
    """The provider says inside its stream that it has failed."""
    cdef int condition = condition_of(x, data + x.tap.data, x.tap.data_end - x.tap.data)
    if whole and x.tap.events:
        send_events(x, data, whole, False)
    return fail(x, condition, None)
