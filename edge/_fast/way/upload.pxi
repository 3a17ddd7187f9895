# upload: files on relayed paths that are longer than what is held of a body go on as they come. Nothing can be sent a
# second time then, so there is no further attempt once some of it has gone; and the client waits for the provider, as
# the provider does for the client in a stream.

cdef bint is_upload(Exchange x) noexcept:
    """Whether a body is too long to be held, on a path where nobody looks into it."""
    return not x.route.json and x.length > x.gateway.max_body


cdef int send_on(Exchange x, const char* buf, Py_ssize_t size) except -1:
    """Hands a piece of the body to the provider; none of it is used while no provider takes it."""
    cdef iovec part
    if x.upstream is None or x.upstream.paused:
        x.downstream.pause_reads(EPOLLIN)
        return AWAIT
    if size > x.unread:
        size = x.unread
    x.unread -= size
    x.spent = True
    part_of(&part, buf, size)
    x.upstream.write(&part, 1)
    x.downstream.used = size
    if x.unread == 0:
        await_answer(x) if x.state == SENT else await_more(x)
    return AWAIT


cdef int await_answer(Exchange x) except -1:
    """The provider has the whole request. A stream is due to begin soon; a plain answer, which begins at its end, is
    due as a whole."""
    cdef int64_t limit = x.target.pool.first_byte_ns if x.stream else x.target.pool.plain_ns
    cdef int64_t due = x.gateway.now + limit if limit else FOREVER
    if due < x.deadline and not x.stream:
        x.allowed = limit
        x.deadline = due
    return await_within(x, AWAITS_ANSWER, limit)


cdef int await_more(Exchange x) noexcept:
    """More of an answer is due, but not while its request goes on: until then others are awaited."""
    return 0 if x.unread else await_within(x, AWAITS_MORE, x.target.pool.idle_ns)


cdef int await_client(Exchange x) except -1:
    """The provider takes more of the body: the client is to send it, and is at fault if it does not."""
    await_within(x, AWAITS_BODY, x.gateway.body_ns)
    x.downstream.why = AWAITS_BODY
    return x.downstream.resume()
