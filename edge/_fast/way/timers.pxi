# timers: what a connection of a client awaits, and until when. What it means that it has not come: see overdue.
#
# There is one timer at a time, with one reason. All that a request awaits ends with the request's own time at the
# latest.

cdef enum Timer:
    AWAITS_HEAD         # of a request, once a byte of it has come
    AWAITS_BODY         # more of a request's body
    KEPT                # the connection is idle
    LINGERS             # the client may read our last words
    AWAITS_ANSWER       # the first byte of a stream
    AWAITS_MORE         # of an answer
    AWAITS_ROOM         # the provider takes no more of an upload
    AWAITS_END          # all of the answer


cdef int64_t to_ns(double seconds) noexcept nogil:
    return <int64_t>(seconds * 1e9)


cdef inline int await_within(Exchange x, int why, int64_t limit) noexcept:
    """So many ns from now, 0 for as long as the request has, and not longer than that."""
    cdef Downstream d = x.downstream
    d.due = x.gateway.now + limit if limit else FOREVER
    d.why = why
    if d.due >= x.deadline:
        d.due, d.why = x.deadline, AWAITS_END
    return 0
