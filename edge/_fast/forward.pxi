# forward: a plan's targets, one after the other, until one has the request.

cdef int forward(Exchange x) except -1:
    """Sends the request to its target, at once where a connection is idle, else as soon as one is open."""
    move(x, E_COMPLETE)
    x.downstream.deadline = x.deadline
    return x.target.pool.acquire(x)


cdef int again(Exchange x) except -1:
    """Back to the pool with a request of which no provider has answered a byte."""
    move(x, E_RETRY)
    x.upstream = None
    x.downstream.deadline = x.deadline
    x.target.pool.prune()
    return x.target.pool.acquire(x)


cdef char* put_request_head(char* out, Exchange x, Py_ssize_t length) except NULL:
    """The head for the provider, made of parsed fields alone: nothing ambiguous can go on (RFC 9112 section 11.2)."""
    cdef Pool pool = x.target.pool
    cdef Py_ssize_t strip = pool.strip if x.line.startswith(b"/v1/") else 0
    out = put_bytes(out, METHODS[x.method])
    out = put(out, b" ", 1)
    out = put_bytes(out, pool.base)
    out = put(out, PyBytes_AS_STRING(x.line) + strip, PyBytes_GET_SIZE(x.line) - strip)
    out = put_bytes(out, <bytes>pool.heads[pool.next_head])
    if len(pool.heads) > 1:
        pool.next_head = (pool.next_head + 1) % len(pool.heads)
    out = put_bytes(out, x.relayed)
    out = put(out, b"x-request-id: ", 14)
    out = put(out, x.request_id, x.request_id_size)
    if length or x.method != M_GET:
        out = put(out, b"\r\ncontent-length: ", 18)
        out = put_number(out, length)
    return put(out, b"\r\n\r\n", 4)


cdef int write_request(Exchange x, Upstream upstream) except -1:
    """One system call: head, body; the target's own name of the model spliced in without touching the rest."""
    cdef Gateway g = x.gateway
    cdef iovec parts[4]
    cdef int count = 1
    cdef Py_ssize_t length = x.body.size
    cdef bytes model = x.target.model
    cdef char* end
    if model is not None:
        length += PyBytes_GET_SIZE(model) - (x.model_end - x.model_start)
    end = put_request_head(g.scratch, x, length)
    part_of(&parts[0], g.scratch, end - g.scratch)
    if model is not None:
        part_of(&parts[1], x.body.at, x.model_start)
        part_of(&parts[2], PyBytes_AS_STRING(model), PyBytes_GET_SIZE(model))
        part_of(&parts[3], x.body.at + x.model_end, x.body.size - x.model_end)
        count = 4
    elif length:
        part_of(&parts[1], x.body.at, x.body.size)
        count = 2
    return upstream.write_owned(parts, count, x.body if count > 1 else None)
