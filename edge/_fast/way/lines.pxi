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


cdef void put_limits(Writer* out, Exchange x) noexcept:
    """X-RateLimit-*: the limit that has refused, else the one of requests that runs out first. Reset is a Unix time."""
    cdef int64_t now = x.gateway.now, left = INT64_MAX
    if x.binding < 0 or x.crowded:
        find_binding(x)
    if x.binding >= 0:
        left = left_of(x.gateway, x.binding, x.binding_shared)
    if left == INT64_MAX:
        return                      # unlimited, all
    put(out, b"x-ratelimit-limit: ", 19)
    put_number(out, bucket_limit(x.gateway.slab.bucket(x.binding)))
    put(out, b"\r\nx-ratelimit-remaining: ", 25)
    put_number(out, left)
    put(out, b"\r\nx-ratelimit-reset: ", 21)
    put_number(out, time(NULL) + (full_in(x.gateway, x.binding, x.binding_shared) + 999999999) // 1000000000)
    put(out, b"\r\n", 2)
    if x.alone:
        put(out, b"x-edge-degraded: limits\r\n", 25)


cdef inline int64_t left_of(Gateway g, int index, bint shared) noexcept:
    return purse_left(g.slab, index, g.now) if shared else bucket_left(g.slab.bucket(index), g.now)


cdef inline int64_t full_in(Gateway g, int index, bint shared) noexcept:
    return purse_full_in(g.slab, index, g.now) if shared else bucket_full_in(g.slab.bucket(index), g.now)


cdef int find_binding(Exchange x) noexcept:
    """The limit of requests that will run out first; the key's before the gateway's. None may be there."""
    cdef Limits limits
    cdef int64_t left, least = INT64_MAX
    cdef int owner, i
    for owner in range(<int>N_OWNERS):
        limits = limits_of(x, owner)
        if limits is None or limits.shadow:
            continue
        for i in range(limits.count):
            if limits.kinds[i] == REQUESTS:
                left = left_of(x.gateway, limits.indices[i], limits.shared)
                if left < least:
                    x.binding, x.binding_shared, least = limits.indices[i], limits.shared, left
    return 0


cdef int put_cors(Writer* out, Exchange x) except -1:
    """Answers differ by origin, whether it may read them or not; caches must know."""
    put(out, b"vary: origin\r\n", 14)
    if x.origin is not None:
        put(out, b"access-control-allow-origin: ", 29)
        put_bytes(out, x.origin)
        put(out, b"\r\n", 2)
        put_bytes(out, EXPOSED)
    return 0
