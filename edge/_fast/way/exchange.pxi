# exchange: one request's states, the only way from one to the next, and the one driver.
#
#   reading    its body arrives
#   drawing    one of its limits misses what other hosts may have left of it
#   following  another request has asked for the same, and its answer is awaited
#   queued     it is admitted; a connection to its target is awaited
#   paused     an attempt has failed; the time of the next one is awaited
#   sent       the provider has it; nothing of an answer has come
#   holding    an answer comes, and can still become another attempt or a proper status
#   relaying   the client has the head: from here on trouble is an event of the stream, or a cut
#   ended      accounted and reported, once
#
# Whatever happens to a request comes to drive(), which calls the stage that it is for. A stage does its work and
# returns a verdict; it ends no request, begins no attempt and calls no stage before it. What a verdict leads to is
# decided here alone, and a fault of a stage is caught here alone. What an end sets free for others goes on the run
# list.
#
# The table is walked, row by row, in the tests.

cdef enum State:
    READING, DRAWING, FOLLOWING, QUEUED, PAUSED, SENT, HOLDING, RELAYING, ENDED, N_STATES

cdef enum Verdict:
    # Rows of the table.
    DRAW            # a limit that hosts share is to say whether there is more
    FOLLOW          # it is whole and admitted; the cache will have what another one is about to get
    ADMITTED        # the request is whole, checked and admitted, and has a target
    CONNECTED       # the provider gets it
    HEAD            # the head of an answer has come
    GOOD            # and is on its way to the client
    DONE            # the client has all of its answer; x.condition says what it was
    RETRY           # the attempt has failed, x.next gets another
    PAUSE           # so has it, and its target is asked again when x.due
    RESUMED         # that time has come
    REDIAL          # the connection had closed before the provider read a byte: another connection
    REFUSED         # x.condition is the client's answer
    BROKEN          # x.condition ends an answer that has begun
    LEFT            # the client has gone
    N_ROWS
    # What leads to one of them.
    FAILED          # the attempt, of x.condition
    ARRIVED         # the request has, whole
    CUT             # an answer that has begun cannot even be told to have failed
    AWAIT           # something that has yet to happen

STATES = ("reading", "drawing", "following", "queued", "paused", "sent", "holding", "relaying", "ended")
VERDICTS = ("draw", "follow", "admitted", "connected", "head", "good", "done", "retry", "pause", "resumed", "redial",
            "refused", "broken", "left")

TRANSITIONS = {
    ("reading", "draw"): "drawing",
    ("drawing", "admitted"): "queued",
    ("drawing", "done"): "ended",               # its answer is in the cache
    ("drawing", "refused"): "ended",
    ("drawing", "left"): "ended",
    ("reading", "follow"): "following",
    ("drawing", "follow"): "following",
    ("following", "admitted"): "queued",        # there was nothing to share
    ("following", "done"): "ended",
    ("following", "refused"): "ended",
    ("following", "left"): "ended",
    ("reading", "admitted"): "queued",
    ("reading", "done"): "ended",               # a route that the gateway answers itself, or from the cache
    ("reading", "refused"): "ended",
    ("reading", "left"): "ended",
    ("queued", "connected"): "sent",
    ("queued", "retry"): "queued",
    ("queued", "pause"): "paused",
    ("queued", "refused"): "ended",
    ("queued", "left"): "ended",
    ("paused", "resumed"): "queued",
    ("paused", "refused"): "ended",
    ("paused", "left"): "ended",
    ("sent", "head"): "holding",
    ("sent", "retry"): "queued",
    ("sent", "redial"): "queued",
    ("sent", "refused"): "ended",
    ("sent", "left"): "ended",
    ("holding", "good"): "relaying",
    ("holding", "retry"): "queued",
    ("holding", "pause"): "paused",
    ("holding", "refused"): "ended",
    ("holding", "left"): "ended",
    ("relaying", "done"): "ended",
    ("relaying", "broken"): "ended",
    ("relaying", "left"): "ended",
}

cdef signed char NEXT[N_STATES][N_ROWS]
cdef uint64_t TAKEN[N_STATES][N_ROWS]         # how often, by all gateways of the process: see Gateway.taken


cdef int fill_transitions() except -1:
    cdef int state, verdict
    for state in range(<int>N_STATES):
        for verdict in range(<int>N_ROWS):
            target = TRANSITIONS.get((STATES[state], VERDICTS[verdict]))
            NEXT[state][verdict] = -1 if target is None else STATES.index(target)
    return 0


fill_transitions()


cdef enum Event:
    HEAD_CAME       # of the request: `number` is what the parser says
    BODY_CAME       # some of the request's body; no data: it lies in its place already
    UPLOAD_CAME     # some of a body that goes on as it comes
    PIECE_DECODED   # the next piece of a body that came compressed
    CONNECTION_FREE     # x.upstream is its own from now on
    CONNECTION_FAILED   # `number` is the condition, `words` are the reason
    CROWDED_OUT     # there is no place for it at its target
    PAUSE_OVER
    LEADER_ENDED    # the request whose answer it awaits
    RULES_CHANGED   # its own, or those of others; it waits
    FELL_SILENT     # its client has heard nothing for long
    ANSWER_CAME     # bytes from the provider
    ANSWER_CLOSED   # its connection has closed; `words` say how
    EXPIRED         # what was awaited did not come in time
    TURNED_AWAY     # `number` is the condition
    CLIENT_LEFT


@cython.final
@cython.freelist(256)
cdef class Exchange:
    """One request's way. Stages get it, and say by its methods what they have found."""

    def __dealloc__(self):
        tap_end(&self.tap)

    cdef int drive(self, int event, int number, char* data, Py_ssize_t size, object words) except -1:
        """Something has happened to the request. All that follows from it at once is done here."""
        cdef Exchange x = self          # the connections, which let go of it with its end, may be the last to hold it
        cdef int verdict
        if x.state == ENDED:
            return 0
        try:
            verdict = meet(x, event, number, data, size, words)
            while verdict != AWAIT:
                verdict = follow(x, verdict)
        except Exception as error:
            give_up(x, error)
        return 0

    cdef int move(self, int verdict) except -1:
        """The one gate between states. RuntimeError: the code is wrong, not the world."""
        cdef int state = NEXT[self.state][verdict]
        if state < 0:
            raise RuntimeError(f"a request that is {STATES[self.state]} cannot be {VERDICTS[verdict]}")
        TAKEN[self.state][verdict] += 1
        self.state = state
        return 0

    cdef int refuse(self, int condition) noexcept:
        """The verdict of a stage that will not have the request; once the client has a head, it cannot get another."""
        self.condition = condition
        return BROKEN if self.state == RELAYING else REFUSED

    cdef int fail(self, int condition, object reason) except -1:
        """The verdict of a stage in which an attempt has failed. `reason` is for the error's words, if there is one."""
        if reason is not None:
            self.say(S_REASON, reason)
        self.condition = condition
        return FAILED

    cdef int say(self, int slot, object value) except -1:
        """A value that the words of an error may use."""
        if self.values is None:
            self.values = [None] * N_SLOTS
        self.values[slot] = value
        return 0


cdef int meet(Exchange x, int event, int number, char* data, Py_ssize_t size, object words) except -1:
    """The stage that an event is for. Returns its verdict."""
    if event == ANSWER_CAME:
        return x.upstream.read_answer(data, size)
    if event == HEAD_CAME:
        return read_head(x, data, size, number)
    if event == BODY_CAME:
        return read_body(x, data, size)
    if event == CONNECTION_FREE:
        return send_request(x)
    if event == UPLOAD_CAME:
        return send_on(x, data, size)
    if event == PIECE_DECODED:
        return decode_piece(x)
    if event == CONNECTION_FAILED:
        return unreachable(x, number, words)
    if event == CROWDED_OUT:
        return crowd_out(x)
    if event == PAUSE_OVER and x.state == DRAWING:
        return redraw(x)
    if event == PAUSE_OVER:
        return resume(x)
    if event == LEADER_ENDED:
        return go_on(x)
    if event == RULES_CHANGED:
        return recheck(x)
    if event == ANSWER_CLOSED:
        return read_end(x, words)
    if event == FELL_SILENT:
        return ping(x)
    if event == EXPIRED:
        return expire(x)
    if event == TURNED_AWAY:
        return turn_away(x, number, words)
    return LEFT


cdef int follow(Exchange x, int verdict) except -1:
    """What a verdict leads to. Returns the next verdict."""
    if verdict == ARRIVED:
        return prepare(x)
    if verdict == ADMITTED or verdict == RESUMED:
        x.move(verdict)
        return attempt(x)
    if verdict == DRAW:
        x.move(verdict)
        await_draw(x)
        return AWAIT
    if verdict == FOLLOW:
        x.move(verdict)
        await_within(x, AWAITS_END, 0)
        return AWAIT
    if verdict == FAILED:
        return recover(x)
    if verdict == RETRY:
        begin_anew(x, verdict)
        turn_to(x, x.next)
        return attempt(x)
    if verdict == PAUSE:
        begin_anew(x, verdict)
        return put_off(x)
    if verdict == REDIAL:
        x.move(verdict)
        return await_connection(x)
    if verdict == REFUSED and x.verbatim:
        return pass_words(x)
    if verdict == REFUSED:
        write_refusal(x)
    elif verdict == BROKEN and not write_trouble(x):
        verdict = CUT
    if verdict == LEFT:
        x.keep_alive = False
        x.condition = client_closed
    elif verdict == CUT:
        x.keep_alive = False
        x.downstream.sever()
        verdict = BROKEN
    x.move(verdict)
    settle(x)
    return AWAIT


cdef int begin_anew(Exchange x, int verdict) except -1:
    """Forgets the failed attempt."""
    leave_queues(x)
    detach(x)
    x.move(verdict)
    x.sent = 0
    x.told = False
    x.verbatim = False
    x.doubtful = False
    x.undone = False
    x.provider_id_size = 0
    x.status = 0
    x.first_byte = 0
    x.retry_after_ms = -1
    x.advice = UNADVISED
    x.redialled = 0
    x.held = None
    x.copy = None
    x.tail = None
    x.gathered = None
    x.fields = None
    x.values = None
    x.details = None
    tap_end(&x.tap)
    return 0


cdef int prepare(Exchange x) except -1:
    """The request is whole, or goes on as it comes. What it is for, whether it may, and who gets it."""
    cdef int condition
    if x.coding is not None:
        return begin_decoding(x)
    condition = renew(x)
    if condition == 0:
        condition = read_intent(x) if x.route.json else read_relayed(x)
    if condition:
        return x.refuse(condition)
    if x.route.makers is not None:
        lead_home(x)
    if x.tenant.of_group is not None and x.tenant.of_group.providers is not None:
        condition = keep_to_group(x)
        if condition:
            return x.refuse(condition)
    return enter(x)


cdef int enter(Exchange x) except -1:
    """It is admitted and has a target, or not; or that cannot be told yet."""
    cdef int condition = admit(x), verdict = AWAIT
    if condition == SHORT:
        return DRAW if x.state == READING else AWAIT
    if condition:
        return x.refuse(condition)
    if x.caching:
        verdict = consult(x)
    return find_target(x) if verdict == AWAIT else verdict


cdef int find_target(Exchange x) except -1:
    """It is a provider's turn, and one is there, or not."""
    cdef int condition = route(x)
    if condition:
        return x.refuse(condition)
    invite(x)
    return ADMITTED


cdef int go_on(Exchange x) except -1:
    """Who has followed another request: the cache has the answer by now, or will not get it by that one."""
    cdef int condition
    x.leader = None
    condition = renew(x)
    if condition:
        return x.refuse(condition)
    return DONE if is_answered(x) else find_target(x)


cdef int redraw(Exchange x) except -1:
    """It may be there by now what a limit has missed."""
    cdef int condition = renew(x), verdict = x.refuse(condition) if condition else enter(x)
    if verdict != AWAIT:
        leave_queues(x)
    return verdict


cdef int give_up(Exchange x, object error) except -1:
    """A fault of ours: the traceback goes to the log, the client gets internal_error and no word of it.

    Where even that fails, the end is a cut; what the request holds is given back in any case.
    """
    x.condition = out_of_memory if isinstance(error, MemoryError) else internal_error
    if x.condition == internal_error:
        x.gateway.log_fault(error, PyBytes_FromStringAndSize(x.request_id, x.request_id_size).decode())
    x.verbatim = False
    x.unsynced = True
    try:
        if x.state != ENDED:
            follow(x, CUT if x.state == RELAYING else REFUSED)
    except Exception as another:
        x.gateway.log_fault(another, None)
        if x.state != ENDED:
            x.state = RELAYING
            follow(x, CUT)
    return 0
