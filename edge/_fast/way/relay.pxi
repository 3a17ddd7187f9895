# relay: the provider's answer on its way to the client. Until its first good byte is sent on, an answer can still
# become a proper error; afterwards trouble is told inside the stream.

cdef enum Framing:              # of an answer, at either side
    F_NONE, F_LENGTH, F_CHUNKED, F_CLOSE

cdef enum Mode:
    WHOLE       # a JSON answer: held until it is complete and valid, then sent at once with its length
    STREAM      # server-sent events: whole events go on as they come, the first one takes the head along
    PASS        # anything else, and JSON too long to hold: bytes go on as they come
    FAULT       # an error answer: read whole, then classified

cdef enum:
    HOLD_MAX = 1048576          # longest JSON answer that is held
    FAULT_MAX = 65536           # of an error answer, what is looked at
    BLIND_MAX = 134217728       # longest event at all
    EVENT_MAX = 8388608         # longest event that is held for its end: pictures come as one


# What a provider says of the client's own mistake is passed on in its own words; these are ours. (SDKs would repeat
# a 409 unless told otherwise.)
cdef dict REJECTED = {
    condition: b"x-edge-condition: %b\r\nx-edge-blame: client\r\nx-should-retry: " % name
    for condition, name in ((provider_rejected, b"provider_rejected"), (context_length, b"context_length"),
                            (model_unknown, b"model_unknown"))}


cdef int pass_on(Exchange x, char* data, Py_ssize_t size, bint ended) except -1:
    """As it comes. A length that the provider gave is kept; else the client gets chunks, or HTTP/1.0 the close."""
    if x.copy is not None:
        look_for_ids(x, data, size, ended)
    if not x.head_sent:
        x.framing = (F_NONE if x.status == 204 else F_LENGTH if x.answer_length >= 0
                     else F_NONE if x.status == 304 or x.method == M_HEAD else F_CHUNKED if x.minor else F_CLOSE)
    send_piece(x, data, 0 if x.method == M_HEAD else size, ended)
    if ended:
        return DONE if x.status >= 400 else end_failed(x, x.condition) if x.tap.failed else succeed(x)
    return hold_back(x)


cdef int succeed(Exchange x) except -1:
    """The answer has ended, and it is good: only now is that known of the target as well."""
    note_success(x)
    x.condition = ok
    return DONE


cdef int end_failed(Exchange x, int condition) except -1:
    """An answer that was relayed, and says itself that it has failed."""
    if condition in REJECTED:
        note_success(x)
    else:
        note_failure(x, condition, TRAITS[condition])
    x.condition = condition
    return DONE


cdef int put_chunk(Exchange x, iovec* parts, int count, Writer* line, const char* data, Py_ssize_t size) except -1:
    """Adds the payload in the answer's framing: one part, or size line, payload and CRLF."""
    if x.framing != F_CHUNKED:
        part_of(&parts[count], data, size)
        return count + 1
    put_hex(line, size)
    put(line, b"\r\n", 2)
    part_of(&parts[count], line.start, written(line))
    part_of(&parts[count + 1], data, size)
    part_of(&parts[count + 2], b"\r\n", 2)
    return count + 3


cdef int send_events(Exchange x, char* data, Py_ssize_t size, bint last) except -1:
    if not x.head_sent:
        x.framing = F_CHUNKED if x.minor else F_CLOSE
    if x.caching:
        gather(x, data, size)
    if last and x.gathered is not None and not x.tap.failed:
        keep_answer(x, x.gathered.at, x.gathered.size, True)
    return send_piece(x, data, size, last)


cdef int send_piece(Exchange x, const char* data, Py_ssize_t size, bint last) except -1:
    """A piece of the answer in its framing, the head before the first and the end behind the last, in one write."""
    cdef iovec parts[5]
    cdef int count = 0 if x.head_sent else 1
    x.said = x.gateway.now
    x.passed_on += size
    cdef char beside[24]
    cdef Writer line
    # First in a message: copied together.
    write_into(&line, x.gateway.scratch if x.head_sent else beside, sizeof(beside))
    if size:
        count = put_chunk(x, parts, count, &line, data, size)
    if last and x.framing == F_CHUNKED:
        part_of(&parts[count], b"0\r\n\r\n", 5)
        count += 1
    if last:
        give_places(x)
    if not x.head_sent:
        return send_head(x, parts, count)
    return x.downstream.write(parts, count) if count else 0


cdef int send_head(Exchange x, iovec* parts, int count) except -1:
    """The answer's head, and what follows it in `parts[1:]`, in one write. From here on there is no other status."""
    cdef Gateway g = x.gateway
    cdef Writer out
    learn_pace(x.target.pool, x)
    if x.tap.made:
        g.slab.note_maker(x.tap.made, x.target.pool.index, g.now)
    write_into(&out, g.scratch, BUFFER)
    put_bytes(&out, <bytes>g.status_lines[x.status])
    put_bytes(&out, x.fields)
    if not x.dated:
        put_date(&out, g)                   # RFC 9110 6.6.1
    put_ids(&out, x)
    put_way(&out, x)
    if g.cors is not None:
        put_cors(&out, x)
    if x.status >= 400:
        put_bytes(&out, <bytes>REJECTED[x.condition])
        put_bytes(&out, b"true\r\n" if x.advice == ADVISED else b"false\r\n")
    if x.limited:
        put_limits(&out, x)
    if x.caching and x.status == 200:
        put_cache(&out, x, b"miss")
    if x.billed and x.mode == WHOLE:
        put_cost(&out, x)
    if x.framing == F_LENGTH:
        put(&out, b"content-length: ", 16)
        put_number(&out, x.answer_length)
        put(&out, b"\r\n", 2)
    elif x.framing == F_CHUNKED:
        put(&out, b"transfer-encoding: chunked\r\n", 28)
    if x.framing == F_CLOSE or g.draining or g.retiring or x.unread:
        x.keep_alive = False
    put_end(&out, x)
    part_of(&parts[0], g.scratch, written(&out))
    x.move(GOOD)
    x.head_sent = True
    x.downstream.write_owned(parts, count, x.held if x.mode == WHOLE else None)
    x.overhead -= g.now
    g.now = monotonic_ns()
    x.overhead += g.now
    if x.mode == STREAM:
        x.body = None               # no further attempt will need them
        x.relayed = None
        x.fields = None
    return 0


cdef int hold_back(Exchange x) except -1:
    """A client that does not read stops the reading from the provider: what is in memory stays bounded."""
    if x.downstream.paused and x.upstream is not None:
        x.upstream.pause_reads(EPOLLIN | EPOLLRDHUP)
    return AWAIT
