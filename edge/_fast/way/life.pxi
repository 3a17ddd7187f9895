# A request's states, and the only way from one to the next. The table is walked, row by row, in the tests.
#
#   reading    its body arrives
#   waiting    a connection to the provider is awaited
#   sent       the provider has it; nothing of an answer has come
#   holding    an answer comes, and can still become another attempt or a proper status
#   relaying   the client has the head: from here on trouble is an event of the stream, or a cut
#   ended      accounted and reported, once

cdef enum State:
    READING, WAITING, SENT, HOLDING, RELAYING, ENDED, N_STATES

cdef enum Event:
    E_COMPLETE, E_CONNECTED, E_HEAD, E_GOOD, E_DONE, E_RETRY, E_REFUSED, E_BROKEN, E_LEFT, N_EVENTS

STATES = ("reading", "waiting", "sent", "holding", "relaying", "ended")
EVENTS = ("complete", "connected", "head", "good", "done", "retry", "refused", "broken", "left")

TRANSITIONS = {
    ("reading", "complete"): "waiting",         # the request is whole, checked and admitted
    ("reading", "done"): "ended",               # a route that the gateway answers itself
    ("reading", "refused"): "ended",
    ("reading", "left"): "ended",
    ("waiting", "connected"): "sent",
    ("waiting", "retry"): "waiting",            # another target, or another connection
    ("waiting", "refused"): "ended",
    ("waiting", "left"): "ended",
    ("sent", "head"): "holding",
    ("sent", "retry"): "waiting",
    ("sent", "refused"): "ended",
    ("sent", "left"): "ended",
    ("holding", "good"): "relaying",
    ("holding", "retry"): "waiting",
    ("holding", "refused"): "ended",
    ("holding", "left"): "ended",
    ("relaying", "done"): "ended",
    ("relaying", "broken"): "ended",
    ("relaying", "left"): "ended",
}

cdef signed char NEXT[N_STATES][N_EVENTS]


cdef int fill_transitions() except -1:
    cdef int state, event
    for state in range(<int>N_STATES):
        for event in range(<int>N_EVENTS):
            target = TRANSITIONS.get((STATES[state], EVENTS[event]))
            NEXT[state][event] = -1 if target is None else STATES.index(target)
    return 0


fill_transitions()


cdef int move(Exchange x, int event) except -1:
    """The one gate between states. RuntimeError: the code is wrong, not the world."""
    cdef int state = NEXT[x.state][event]
    if state < 0:
        raise RuntimeError(f"a request that is {STATES[x.state]} cannot meet '{EVENTS[event]}'")
    x.state = state
    return 0
