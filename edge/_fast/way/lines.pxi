# lines: what all answers that the gateway makes, or hands on, have in their heads.

cdef int put_date(Writer* out, Gateway g) except -1:
    """RFC 9110 section 6.6.1, made once a second."""
    if g.now >= g.date_until:
        g.date = b"date: " + formatdate(time(NULL), usegmt=True).encode() + b"\r\n"
        g.date_until = g.now + 1000000000
    put_bytes(out, g.date)
    return 0


cdef inline void put_ids(Writer* out, Exchange x) noexcept:
    """Both names: OpenAI's SDK reads x-request-id, Anthropic's request-id."""
    put(out, b"x-request-id: ", 14)
    put(out, x.request_id, x.request_id_size)
    put(out, b"\r\nrequest-id: ", 14)
    put(out, x.request_id, x.request_id_size)
    put(out, b"\r\n", 2)


cdef int put_way(Writer* out, Exchange x) except -1:
    """Which target answered, after how many attempts, and whether that is second best."""
    if x.attempts == 0:
        return 0
    put_bytes(out, x.target.line)
    if x.attempts > 1:
        put(out, b"x-edge-attempts: ", 17)
        put_number(out, x.attempts)
        put(out, b"\r\n", 2)
    if x.target.priority != (<Target>x.plan[0]).priority:
        put(out, b"x-edge-degraded: fallback\r\n", 27)
    return 0


cdef int put_own(Writer* out, Exchange x, const char* kind, Py_ssize_t size) except -1:
    """The beginning of a head that is all the gateway's own, for a body of so many bytes."""
    cdef Gateway g = x.gateway
    put_bytes(out, <bytes>g.status_lines[x.status])
    put(out, b"content-type: ", 14)
    put(out, kind, strlen(kind))
    put(out, b"\r\ncontent-length: ", 18)
    put_number(out, size)
    put(out, b"\r\n", 2)
    put_date(out, g)
    put_ids(out, x)
    return put_cors(out, x) if g.cors is not None else 0


cdef inline void put_end(Writer* out, Exchange x) noexcept:
    """The end of a head, and what becomes of the connection (RFC 9112 section 9.3)."""
    if not x.keep_alive:
        put(out, b"connection: close\r\n", 19)
    elif x.minor == 0:
        put(out, b"connection: keep-alive\r\n", 24)
    put(out, b"\r\n", 2)


cdef int put_cors(Writer* out, Exchange x) except -1:
    """Answers differ by origin, whether it may read them or not; caches must know."""
    put(out, b"vary: origin\r\n", 14)
    if x.origin is not None:
        put(out, b"access-control-allow-origin: ", 29)
        put_bytes(out, x.origin)
        put(out, b"\r\n", 2)
        put_bytes(out, EXPOSED)
        put_bytes(out, x.surface.exposed)
    return 0
