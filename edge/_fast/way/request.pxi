# splice: what a request's body has other bytes for at the provider: the model's name there, a default, what asks for
# usage. All others go on as they came.

cdef enum Place:                # what of the body is the model's name
    IN_JSON                     # a string
    NOT_IN_JSON                 # nothing: a member is put in, where a path has named the model
    IN_FORM                     # a field's content
    NOT_IN_FORM                 # nothing: a part is put in
    NOWHERE                     # the body is not read

cdef bytes name_there(Exchange x):
    """What stands for the model's name in the body for this target; None: what is there."""
    cdef bytes name = x.target.model
    if name is None and x.deployment is None or x.place == NOWHERE:
        return None
    if x.place == IN_JSON or x.place == NOT_IN_JSON:
        name = orjson.dumps(x.deployment.decode()) if name is None else name
        return name if x.place == IN_JSON else b'"model":%b%b' % (name, b"" if x.empty else b",")
    name = x.deployment if name is None else x.target.plain
    if x.place == IN_FORM:
        return name
    return b'%b\r\ncontent-disposition: form-data; name="model"\r\n\r\n%b\r\n' % (x.form.boundary, name)


cdef inline int splice(Exchange x, iovec* parts, int count, Py_ssize_t* at, bytes model) noexcept:
    """Adds what is left of the body before a place, and the text to stand there: a model's name; None: the default."""
    cdef bytes text = x.fill if model is None else model
    cdef Py_ssize_t start = x.fill_start if model is None else x.model_start
    if start > at[0]:
        part_of(&parts[count], x.body.at + at[0], start - at[0])
        count += 1
    part_of(&parts[count], PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))
    at[0] = x.fill_end if model is None else x.model_end
    return count + 1


cdef int write_request(Exchange x, Upstream upstream) except -1:
    """One system call: head, body; what is spliced in without touching the rest."""
    cdef iovec parts[6]
    cdef int count = 1
    cdef Py_ssize_t length = x.unread or x.body.size, at = 0
    cdef bytes model = None if x.asked is None else name_there(x)
    cdef bint filled
    cdef Writer out
    x.asks_usage = x.usage is not None and x.target.pool.asks_usage
    if x.usage is not None:             # a route that has usage to ask for has no default, and the other way round
        x.fill, x.fill_start, x.fill_end = x.usage if x.asks_usage else None, x.usage_start, x.usage_end
    filled = x.fill is not None
    if model is not None:
        length += PyBytes_GET_SIZE(model) - (x.model_end - x.model_start)
    if filled:
        length += PyBytes_GET_SIZE(x.fill) - (x.fill_end - x.fill_start)
    write_into(&out, x.gateway.scratch, BUFFER)
    put_request_head(&out, x, length)
    part_of(&parts[0], x.gateway.scratch, written(&out))
    if filled and x.fill_start <= x.model_start:
        count = splice(x, parts, count, &at, None)
    if model is not None:
        count = splice(x, parts, count, &at, model)
    if filled and x.fill_start > x.model_start:
        count = splice(x, parts, count, &at, None)
    if x.body.size > at:
        part_of(&parts[count], x.body.at + at, x.body.size - at)
        count += 1
    return upstream.write_owned(parts, count, x.body if x.body.size > at else None)


cdef int put_request_head(Writer* out, Exchange x, Py_ssize_t length) except -1:
    """The head for the provider, made of parsed fields alone: nothing ambiguous can go on (RFC 9112 section 11.2)."""
    cdef Pool pool = x.target.pool
    cdef bytes line = x.line
    cdef Py_ssize_t strip = pool.strip if line.startswith(b"/v1/") else 0
    if pool.query:
        line = x.gateway.joined(line, pool.query) if b"?" in line else line + pool.query
    put_bytes(out, METHODS[x.method])
    put(out, b" ", 1)
    put_bytes(out, pool.base)
    put(out, PyBytes_AS_STRING(line) + strip, PyBytes_GET_SIZE(line) - strip)
    if pool.keys > 1:
        x.key = fresh_key(x)
        if x.key < 0:               # all rest, or were tried: the one in turn
            x.key = pool.next_key
        x.tried_keys |= <uint64_t>1 << x.key
        pool.next_key = (x.key + 1) % pool.keys
    else:
        x.key = 0
    put_bytes(out, <bytes>pool.heads[x.key])
    put_bytes(out, x.relayed)
    if x.trace.span:
        put_traceparent(out, x)
    put(out, b"x-request-id: ", 14)
    put(out, x.request_id, x.request_id_size)
    if length or x.method == M_POST or x.method == M_PUT or x.method == M_PATCH:
        put(out, b"\r\ncontent-length: ", 18)
        put_number(out, length)
    put(out, b"\r\n\r\n", 4)
    return 0


cdef int send_request(Exchange x) except -1:
    """The request goes out; of an upload its head, and then it is the client's turn."""
    cdef Gateway g = x.gateway
    cdef int64_t begun = g.now
    cdef int verdict = recheck(x)
    if verdict != AWAIT:
        return verdict
    x.move(CONNECTED)
    write_request(x, x.upstream)
    g.now = x.sent = monotonic_ns()
    x.overhead += x.sent - begun
    if x.unread:
        await_client(x)
    else:
        await_answer(x)
    return AWAIT
