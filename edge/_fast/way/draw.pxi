# draw: a request that misses something of a limit which the fleet may have. Control is asked to look, and it waits for
# that: for one question to Redis, some milliseconds at most. Then it is admitted, or refused with the fleet's word, or
# the limit's own policy decides.

cdef int64_t REDRAW_NS = 1000000              # between looks
cdef enum:
    DRAWING_MAX = 4096                      # requests of a worker that wait so at a time


cdef int await_draw(Exchange x) except -1:
    """It has missed something."""
    cdef Gateway g = x.gateway
    x.drawn_by = g.now + g.patience_ns
    x.deadline = FOREVER
    await_within(x, AWAITS_END, 0)
    g.delayed.append(x)
    x.due = g.now + REDRAW_NS       # behind it: who is due is in the list, also where there was no memory for that
    g.drawing += 1
    if g.drawing == 1:
        g.ring()
        get_running_loop().call_later(REDRAW_NS / 1e9, g.redraw)
    return 0


cdef inline bint may_draw(Exchange x) noexcept:
    """Whether it may wait, for the first time or still."""
    if x.drawn_by == 0:
        return x.gateway.drawing < DRAWING_MAX
    return x.gateway.now < x.drawn_by
