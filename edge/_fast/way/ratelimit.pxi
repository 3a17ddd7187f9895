# ratelimit: what an answer's head says of the limits. X-RateLimit-* name one of them; where it is so configured, the
# fields that OpenAI's or Anthropic's SDK knows tell of requests and of tokens, in place of the provider's own.
#
# All of it is as it stands when the head goes out: what a request has reserved counts as used until it is settled.

cdef extern from *:
    """
    #include <time.h>
    static int64_t edge_unix_ns(void) {
        struct timespec at;
        clock_gettime(CLOCK_REALTIME, &at);
        return at.tv_sec * INT64_C(1000000000) + at.tv_nsec;
    }
    """
    int64_t unix_ns "edge_unix_ns" () noexcept nogil

cdef enum:
    OF_REQUESTS = 1 << REQUESTS
    OF_TOKENS = 1 << TOKENS | 1 << INPUT_TOKENS | 1 << OUTPUT_TOKENS

cdef int64_t SECOND_NS = 1000000000


cdef struct Binding:
    int index                           # of its bucket; -1: there is none
    bint shared


cdef inline int64_t left_of(Gateway g, Binding binding) noexcept:
    return (purse_left(g.slab, binding.index, g.now) if binding.shared
            else bucket_left(g.slab.bucket(binding.index), g.now))


cdef inline int64_t full_in(Gateway g, Binding binding) noexcept:
    return (purse_full_in(g.slab, binding.index, g.now) if binding.shared
            else bucket_full_in(g.slab.bucket(binding.index), g.now))


cdef int put_limits(Writer* out, Exchange x) except -1:
    """The limit that has refused, else the one of requests that runs out first; and those of the dialect."""
    cdef Gateway g = x.gateway
    cdef Binding binding = find_binding(x, OF_REQUESTS)
    cdef int64_t left = INT64_MAX
    if x.binding >= 0 and not x.crowded:
        binding = Binding(x.binding, x.binding_shared)
    if binding.index >= 0:
        left = left_of(g, binding)
    if x.surface.told is not None:
        put_told(out, x)
    if x.alone:
        put(out, b"x-edge-degraded: limits\r\n", 25)
    if left == INT64_MAX:
        return 0                        # unlimited, all
    put(out, b"x-ratelimit-limit: ", 19)
    put_number(out, bucket_limit(g.slab.bucket(binding.index)))
    put(out, b"\r\nx-ratelimit-remaining: ", 25)
    put_number(out, left)
    put(out, b"\r\nx-ratelimit-reset: ", 21)
    put_number(out, (unix_ns() + full_in(g, binding) + SECOND_NS - 1) // SECOND_NS)
    put(out, b"\r\n", 2)
    return 0


cdef Binding find_binding(Exchange x, int kinds) noexcept:
    """Of the limits of these kinds (bits) the one that has refused, else the one that will run out first, the key's
    before the gateway's."""
    cdef Limits limits
    cdef Binding binding = Binding(-1, False), each
    cdef int64_t left, least = INT64_MAX
    cdef int owner, i
    for owner in range(<int>N_OWNERS):
        limits = limits_of(x, owner)
        if limits is None or limits.shadow:
            continue
        for i in range(limits.count):
            if not kinds >> limits.kinds[i] & 1:
                continue
            each = Binding(limits.indices[i], limits.shared)
            left = -1 if each.index == x.binding else left_of(x.gateway, each)
            if left < least:
                binding, least = each, left
    return binding


cdef int put_told(Writer* out, Exchange x) except -1:
    """The fields of the client's dialect, for each kind that is limited. Tokens are the tightest of all limits of them,
    as Anthropic has it; OpenAI's API knows no others."""
    cdef Binding binding
    cdef int kind
    for kind in range(<int>N_KINDS):
        names = x.surface.told[kind]
        if names is None:
            continue
        binding = find_binding(x, OF_TOKENS if kind == TOKENS else 1 << kind)
        if binding.index < 0 or left_of(x.gateway, binding) == INT64_MAX:
            continue
        limit, remaining, reset = names
        put_bytes(out, limit)
        put_number(out, bucket_limit(x.gateway.slab.bucket(binding.index)))
        put_bytes(out, remaining)
        put_number(out, left_of(x.gateway, binding))
        put_bytes(out, reset)
        if x.surface.dated:
            put_time(out, unix_ns() + full_in(x.gateway, binding))
        else:
            put_duration(out, full_in(x.gateway, binding))
        put(out, b"\r\n", 2)
    return 0


cdef void put_duration(Writer* out, int64_t ns) noexcept:
    """As Go writes it, whole milliseconds: 12ms, 1.5s, 6m0s, 1h0m0.25s. Rounded up."""
    cdef int64_t ms = (ns + 999999) // 1000000
    cdef int64_t part = ms % 1000
    if 0 < ms < 1000:
        put_number(out, ms)
        put(out, b"ms", 2)
        return
    if ms >= 3600000:
        put_number(out, ms // 3600000)
        put_byte(out, c"h")
    if ms >= 60000:
        put_number(out, ms // 60000 % 60)
        put_byte(out, c"m")
    put_number(out, ms // 1000 % 60)
    if part:
        put_byte(out, c".")
        put_byte(out, <char>(c"0" + part // 100))
        if part % 100:
            put_byte(out, <char>(c"0" + part // 10 % 10))
        if part % 10:
            put_byte(out, <char>(c"0" + part % 10))
    put_byte(out, c"s")


cdef int put_time(Writer* out, int64_t ns) except -1:
    """A Unix time as RFC 3339 has it, whole seconds, rounded up."""
    cdef time_t at = (ns + SECOND_NS - 1) // SECOND_NS
    cdef char text[32]
    put(out, text, strftime(text, sizeof(text), b"%Y-%m-%dT%H:%M:%SZ", gmtime(&at)))
    return 0


cdef int withhold_limits(Gateway g, Head* head, const char* buf) except -1:
    """The provider's own limits, of whichever API, are not the client's."""
    cdef Surface surface
    cdef int i
    for surface in g.surfaces:
        for i in range(head.n_fields):
            if (head.fields[i].name_len >= PyBytes_GET_SIZE(surface.limit_prefix) and strncasecmp(
                    buf + head.fields[i].name, PyBytes_AS_STRING(surface.limit_prefix),
                    <size_t>PyBytes_GET_SIZE(surface.limit_prefix)) == 0):
                head.fields[i].relay = 0
    return 0
