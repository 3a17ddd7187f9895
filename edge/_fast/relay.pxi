# relay: the provider's answer on its way to the client. Until its first good byte is sent on, an answer can still
# become a proper error; afterwards trouble is told inside the stream.

cdef enum Mode:
    WHOLE       # a JSON answer: held until it is complete and valid, then sent at once with its length
    STREAM      # server-sent events: whole events go on as they come, the first one takes the head along
    PASS        # anything else, and JSON too long to hold: bytes go on as they come
    FAULT       # an error answer: read whole, then classified

cdef enum:
    HOLD_MAX = 1048576          # longest JSON answer that is held
    FAULT_MAX = 65536           # of an error answer, what is looked at
    EVENT_MAX = 8388608         # longest event that is held for its end: pictures come as one


# What a provider says of the client's own mistake is passed on in its own words; these are ours. (SDKs would repeat
# a 409 unless told otherwise.)
cdef dict REJECTED = {
    condition: b"x-edge-condition: %b\r\nx-edge-blame: client\r\nx-should-retry: false\r\n" % name
    for condition, name in ((provider_rejected, b"provider_rejected"), (context_length, b"context_length"))}


cdef int answer_head(Exchange x, const char* buf, const Head* head) except -1:
    """A final response head has come."""
    cdef Gateway g = x.gateway
    cdef bint encoded = field_of(head, K_CONTENT_ENCODING) != NULL
    move(x, E_HEAD)
    x.first_byte = g.now
    x.status = head.status
    x.answer_length = head.content_length
    x.fields = PyBytes_FromStringAndSize(g.scratch, write_relayed(buf, head, g.scratch))
    tap_begin(&x.tap, x.route.dialect)
    if head.status >= 400:
        x.mode = FAULT
        x.retry_after_ms = wait_of(g, buf, head)
        x.held = Store.__new__(Store)
    elif x.route.dialect == D_NONE or encoded or not head.has_body:
        x.mode = PASS
    elif is_event_stream(buf, head):
        x.mode = STREAM
    elif head.content_length > HOLD_MAX:
        x.mode = PASS
    else:
        x.mode = WHOLE
    return 0


cdef bint is_event_stream(const char* buf, const Head* head) noexcept nogil:
    cdef const Field* field = field_of(head, K_CONTENT_TYPE)
    return field != NULL and field.value_len >= 17 and strncasecmp(buf + field.value, b"text/event-stream", 17) == 0


cdef int answer_bytes(Exchange x, char* data, Py_ssize_t size, bint ended) except -1:
    """Some of the answer's body, its framing taken off; `ended` with the last of it."""
    cdef int64_t due = x.gateway.now + x.target.pool.idle_ns
    x.downstream.deadline = due if x.target.pool.idle_ns and due < x.deadline else x.deadline
    if x.mode == WHOLE:
        return hold(x, data, size, ended)
    if x.mode == STREAM:
        return stream(x, data, size, ended)
    if x.mode == PASS:
        return pass_on(x, data, size, ended)
    if x.held.size + size > FAULT_MAX:
        size = FAULT_MAX - x.held.size
        if x.upstream is not None:
            x.upstream.keep_alive = False
        ended = True
    x.held.append(data, size)
    return classify(x) if ended else 0


cdef int hold(Exchange x, char* data, Py_ssize_t size, bint ended) except -1:
    if x.held is None:
        if ended:
            return judge_whole(x, data, size)
        x.held = Store.__new__(Store)
        x.held.reserve(x.answer_length + 1 if x.answer_length > 0 else size)
    x.held.append(data, size)
    if ended:
        return judge_whole(x, x.held.at, x.held.size)
    if x.held.size > HOLD_MAX:
        x.mode = PASS
        return pass_on(x, x.held.at, x.held.size, False)
    return 0


cdef int judge_whole(Exchange x, char* data, Py_ssize_t size) except -1:
    """A complete JSON answer: good, an error in disguise, or no JSON at all."""
    cdef iovec parts[2]
    if tap_body(&x.tap, data, size) != 0:
        return fail(x, provider_response_invalid, "empty response" if size == 0 else "response is not valid JSON")
    if x.tap.error:
        return fail(x, condition_of(x, data + x.tap.data, x.tap.data_end - x.tap.data), None)
    x.answer_length = size
    x.framing = F_LENGTH
    part_of(&parts[1], data, size)
    send_head(x, parts, 2)
    return finish(x, E_DONE, ok)


cdef int pass_on(Exchange x, char* data, Py_ssize_t size, bint ended) except -1:
    """As it comes. A length that the provider gave is kept; else the client gets chunks, or HTTP/1.0 the close."""
    if not x.head_sent:
        x.framing = (F_NONE if x.status == 204 else F_LENGTH if x.answer_length >= 0
                     else F_NONE if x.status == 304 or x.method == M_HEAD else F_CHUNKED if x.minor else F_CLOSE)
    send_piece(x, data, 0 if x.method == M_HEAD else size, ended)
    if ended:
        return finish(x, E_DONE, context_length if x.condition == context_length else ok)
    return hold_back(x)


cdef int put_chunk(Exchange x, iovec* parts, int count, char* line, const char* data, Py_ssize_t size) noexcept nogil:
    """Adds the payload in the answer's framing: one part, or size line, payload and CRLF."""
    cdef char* end
    if x.framing != F_CHUNKED:
        part_of(&parts[count], data, size)
        return count + 1
    end = put_hex(line, size)
    end = put(end, b"\r\n", 2)
    part_of(&parts[count], line, end - line)
    part_of(&parts[count + 1], data, size)
    part_of(&parts[count + 2], b"\r\n", 2)
    return count + 3


cdef int stream(Exchange x, char* data, Py_ssize_t size, bint ended) except -1:
    """Whole events go on; an event's beginning waits for its end, so that trouble can never leave half of one."""
    cdef Py_ssize_t whole
    cdef Gateway g = x.gateway
    cdef Store joined = x.tail
    if joined is not None:
        joined.append(data, size)
        data = joined.at
        size = joined.size
        x.tail = None
    if x.tap.terminal:
        size = 0                    # the dialect's end was sent: what follows it is nobody's
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
    if whole or ended:
        send_events(x, data, whole, ended)
    if ended:
        return finish(x, E_DONE, ok)
    if x.tap.terminal:
        x.downstream.deadline = g.now + TERMINAL_NS
    return hold_back(x)


cdef int stream_error(Exchange x, char* data, Py_ssize_t whole) except -1:
    """The provider says inside its stream that it has failed."""
    cdef int condition = condition_of(x, data + x.tap.data, x.tap.data_end - x.tap.data)
    if whole and x.tap.events:
        send_events(x, data, whole, False)
    return fail(x, condition, None)


cdef int send_events(Exchange x, char* data, Py_ssize_t size, bint last) except -1:
    if not x.head_sent:
        x.framing = F_CHUNKED if x.minor else F_CLOSE
    return send_piece(x, data, size, last)


cdef int send_piece(Exchange x, const char* data, Py_ssize_t size, bint last) except -1:
    """A piece of the answer in its framing, the head before the first and the end behind the last, in one write."""
    cdef iovec parts[5]
    cdef int count = 0 if x.head_sent else 1
    cdef char beside[24]
    cdef char* line = x.gateway.scratch if x.head_sent else beside      # first in a message: copied together
    if size:
        count = put_chunk(x, parts, count, line, data, size)
    if last and x.framing == F_CHUNKED:
        part_of(&parts[count], b"0\r\n\r\n", 5)
        count += 1
    if not x.head_sent:
        return send_head(x, parts, count)
    return x.downstream.write(parts, count) if count else 0


cdef int send_head(Exchange x, iovec* parts, int count) except -1:
    """The answer's head, and what follows it in `parts[1:]`, in one write. From here on there is no other status."""
    cdef Gateway g = x.gateway
    cdef char* out = g.scratch
    move(x, E_GOOD)
    x.head_sent = True
    note_success(x)
    learn_pace(x.target.pool, x)
    out = put_bytes(out, <bytes>g.status_lines[x.status])
    out = put_bytes(out, x.fields)
    out = put_ids(out, x)
    out = put_way(out, x)
    if x.status >= 400:
        out = put_bytes(out, <bytes>REJECTED[x.condition])
    if x.limited:
        out = put_limits(out, x)
    if x.framing == F_LENGTH:
        out = put(out, b"content-length: ", 16)
        out = put_number(out, x.answer_length)
        out = put(out, b"\r\n", 2)
    elif x.framing == F_CHUNKED:
        out = put(out, b"transfer-encoding: chunked\r\n", 28)
    if x.framing == F_CLOSE or g.draining or g.retiring or x.unread:
        x.keep_alive = False
    if not x.keep_alive:
        out = put(out, b"connection: close\r\n", 19)
    elif x.minor == 0:
        out = put(out, b"connection: keep-alive\r\n", 24)
    out = put(out, b"\r\n", 2)
    part_of(&parts[0], g.scratch, out - g.scratch)
    x.downstream.write_owned(parts, count, x.held if x.mode == WHOLE else None)
    x.overhead -= g.now
    g.now = monotonic_ns()
    x.overhead += g.now
    if x.mode == STREAM:
        x.body = None               # no further attempt will need them
        x.relayed = None
        x.fields = None
    return 0


cdef inline char* put_ids(char* out, Exchange x) noexcept:
    """Both names: OpenAI's SDK reads x-request-id, Anthropic's request-id."""
    out = put(out, b"x-request-id: ", 14)
    out = put(out, x.request_id, x.request_id_size)
    out = put(out, b"\r\nrequest-id: ", 14)
    out = put(out, x.request_id, x.request_id_size)
    return put(out, b"\r\n", 2)


cdef int hold_back(Exchange x) except -1:
    """A client that does not read stops the reading from the provider: what is in memory stays bounded."""
    if x.downstream.paused and x.upstream is not None:
        x.upstream.pause_reads(EPOLLIN | EPOLLRDHUP)
    return 0


cdef int classify(Exchange x) except -1:
    """A provider's error status -> condition. Its 401, 402, 403 are about our key, never the client's."""
    cdef bytes body
    x.condition = condition_of(x, x.held.at, x.held.size)
    if x.condition != provider_rejected and x.condition != context_length:
        if x.retry_after_ms < 0 and (x.condition == provider_rate_limited or x.condition == provider_overloaded):
            x.retry_after_ms = 1000
        return fail(x, x.condition, None)
    note_success(x)
    if not x.gateway.native[x.surface] or x.method == M_HEAD or not is_error(x.held.at, x.held.size):
        return fail(x, x.condition, None)
    body = without_secrets(x, PyBytes_FromStringAndSize(x.held.at, x.held.size))
    x.answer_length = len(body)
    x.mode = PASS
    return pass_on(x, PyBytes_AS_STRING(body), x.answer_length, True)


cdef Names ERROR = Names(("error",))


cdef bint is_error(const char* data, Py_ssize_t size) noexcept:
    """Whether this is an error as both dialects write it. A proxy's page or a framework's own form is nobody's."""
    cdef Member found
    cdef Py_ssize_t where
    return scan(data, size, &ERROR.table, &found, &where) == SCAN_OK and found.kind == OBJECT


cdef bytes without_secrets(Exchange x, bytes text):
    """Some servers repeat the key that they refuse: ours must not reach a client or a log."""
    for secret in x.target.pool.secrets:
        if secret in text:
            text = text.replace(secret, b"***")
    return text


cdef int condition_of(Exchange x, const char* data, Py_ssize_t size) except -1:
    """What the provider's own error says, and its words for contracts that pass them on."""
    condition, message, _ = x.gateway.classify(x.status, without_secrets(x, PyBytes_FromStringAndSize(data, size)))
    x.told = True
    set_value(x, S_UPSTREAM_STATUS, x.status)
    set_value(x, S_UPSTREAM_REASON, REASONS.get(x.status, "Unknown"))
    if message:
        set_value(x, S_MESSAGE, message)
    return condition


cdef int64_t wait_of(Gateway g, const char* buf, const Head* head) except -2:
    """When the provider wants to be asked again, in ms from now; -1: it does not say."""
    cdef int i
    fields = {PyBytes_FromStringAndSize(buf + head.fields[i].name, head.fields[i].name_len).lower():
              value_of(buf, &head.fields[i]) for i in range(head.n_fields)}
    wait = g.wait_ms(fields, time(NULL))
    return -1 if wait is None else wait
