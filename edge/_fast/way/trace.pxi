# trace: a request as a span of a distributed trace (W3C Trace Context).
#
# A caller's traceparent says which trace a request belongs to, and whose child it is. Where the configuration wants no
# traces it goes on as it came, and the lines of requests name the trace. Where it does, a trace begins here without a
# caller's word, each attempt is a span of its own, and its provider hears of that one. What is told of is decided at a
# request's end: all that failed or took more than one attempt, and of the others a sample that the trace's id decides
# on, so that all gateways choose the same ones.

cdef enum:
    TRACEPARENT = 55            # bytes: 00-<32 hex digits>-<16>-<2>
    SAMPLED = 1

cdef inline uint64_t attempt_span(Exchange x) noexcept:
    """The request's own span has a number by chance, its attempts those behind it."""
    return x.trace.span + <uint64_t>x.attempts


cdef bint read_hex(const char* at, int digits, uint64_t* value) noexcept nogil:
    """Whether these are hex digits, all of them small ones, as the format has them."""
    cdef int i
    cdef char byte
    value[0] = 0
    for i in range(digits):
        byte = at[i]
        if c"0" <= byte <= c"9":
            value[0] = value[0] << 4 | <uint64_t>(byte - c"0")
        elif c"a" <= byte <= c"f":
            value[0] = value[0] << 4 | <uint64_t>(byte - c"a" + 10)
        else:
            return False
    return True


cdef bint read_traceparent(const char* at, Py_ssize_t size, Trace* trace) noexcept nogil:
    """Whether a caller says a trace (section 3.2). Of later versions what this one has is read; zeros are no ids."""
    cdef uint64_t version, flags
    cdef Trace found
    if size < TRACEPARENT or at[2] != c"-" or at[35] != c"-" or at[52] != c"-":
        return False
    if not (read_hex(at, 2, &version) and read_hex(at + 3, 16, &found.high) and read_hex(at + 19, 16, &found.low)
            and read_hex(at + 36, 16, &found.parent) and read_hex(at + 53, 2, &flags)):
        return False
    if version == 0xff or not (found.high | found.low) or not found.parent:
        return False
    if size > TRACEPARENT and (version == 0 or at[TRACEPARENT] != c"-"):
        return False
    found.span = 0
    found.flags = <uint8_t>(flags & SAMPLED)
    trace[0] = found
    return True


cdef int begin_trace(Exchange x, const char* buf, const Head* head) noexcept:
    """The trace that the request belongs to, as its caller says; where traces are wanted a new one without that."""
    cdef Gateway g = x.gateway
    cdef const Field* field = field_of(head, K_TRACEPARENT) if head != NULL else NULL
    cdef bint said = field != NULL and read_traceparent(buf + field.value, field.value_len, &x.trace)
    if not g.traced:
        return 0
    if not said:
        x.trace.high = next_random(g)
        x.trace.low = next_random(g) | 1        # no id is 0
        x.trace.flags = SAMPLED if is_sampled(x) else 0
    x.trace.span = next_random(g) & ~<uint64_t>0xffff | 1   # room for the attempts
    return 0


cdef inline bint is_sampled(Exchange x) noexcept:
    """Whether the trace is one of the sample."""
    return (x.trace.low & 0xffffffff) < x.gateway.trace_share


cdef bint is_told(Exchange x, bint failed) noexcept:
    """Whether a tracing backend is told of the request. What asks whether we live is no traffic."""
    if not x.trace.span or x.route is not None and x.route.open_to_all:
        return False
    return failed or is_sampled(x)


cdef inline void put_hex_digits(Writer* out, uint64_t value, int digits) noexcept nogil:
    cdef int i
    for i in range(4 * digits - 4, -4, -4):
        put_byte(out, b"0123456789abcdef"[value >> i & 15])


cdef inline void put_trace_id(Writer* out, const Trace* trace) noexcept nogil:
    put_hex_digits(out, trace.high, 16)
    put_hex_digits(out, trace.low, 16)


cdef void put_traceparent(Writer* out, Exchange x) noexcept:
    """What this attempt's provider hears."""
    put(out, b"traceparent: 00-", 16)
    put_trace_id(out, &x.trace)
    put_byte(out, c"-")
    put_hex_digits(out, attempt_span(x), 16)
    put_byte(out, c"-")
    put_hex_digits(out, x.trace.flags, 2)
    put(out, b"\r\n", 2)


cdef void put_spans(Writer* out, Exchange x) noexcept:
    """What the request's line says of its trace."""
    if not (x.trace.high | x.trace.low):
        return
    put(out, b',"trace_id":"', 13)
    put_trace_id(out, &x.trace)
    put_byte(out, c'"')
    if x.trace.parent:
        put(out, b',"parent_span_id":"', 19)
        put_hex_digits(out, x.trace.parent, 16)
        put_byte(out, c'"')
    if x.trace.span:
        put(out, b',"span_id":"', 12)
        put_hex_digits(out, x.trace.span, 16)
        put_byte(out, c'"')


cdef bytes trace_name(Exchange x):
    """The trace's id for who looks it up."""
    cdef char name[32]
    cdef Writer out
    write_into(&out, name, sizeof(name))
    put_trace_id(&out, &x.trace)
    return PyBytes_FromStringAndSize(name, written(&out))
