# switches: what operators say while the gateway runs. Where they say nothing a request looks at one word.

cdef int64_t NOBODY_KNOWS = INT64_MAX       # when the maintenance ends


cdef int judge_maintenance(Exchange x) except -1:
    """The condition of a request that comes during a maintenance, or 0. Who was let in before goes on."""
    cdef const Board* board = x.gateway.board
    cdef int64_t until = maintained_until(board)
    cdef int64_t left
    cdef timespec at
    if until == 0:
        return 0
    if until != NOBODY_KNOWS:
        clock_gettime(CLOCK_REALTIME, &at)
        left = (until - at.tv_sec) * 1000 - at.tv_nsec // 1000000
        if left <= 0:
            return 0                # its time is over, and control has yet to note that
        x.retry_after_ms = left
    x.say(S_REASON, maintained_for(board) or "planned work")
    return maintenance


cdef bint is_off(Gateway g, bytes asked, Model model) except -1:
    """What an operator says of a model: of the name that was asked for, else of those patterns that it goes by; else
    what the configuration says. (What is off is so in letters of any case, as what a key is denied.)"""
    cdef const Board* board = g.board
    cdef bytes plain
    cdef int said = switched(board, PyBytes_AS_STRING(asked), PyBytes_GET_SIZE(asked))
    if said == UNSAID:
        plain = asked.strip()
        said = switched_alike(board, PyBytes_AS_STRING(plain), PyBytes_GET_SIZE(plain))
    if said == UNSAID:
        said = switched(board, PyBytes_AS_STRING(model.listed), PyBytes_GET_SIZE(model.listed))
    if said == UNSAID:
        said = switched(board, PyBytes_AS_STRING(model.entry), PyBytes_GET_SIZE(model.entry))
    return model.off if said == UNSAID else said == SWITCHED_OFF
