# access: a line for each request, made at its end of what is known of it: for the access log, and for who asks what
# happened. It has no word of a body and no header's value but the request's id; of its path it has no query.

cdef enum:
    LINE_MAX = 16384            # bytes
    TEXT_MAX = 256              # of one value: many come from outside
    TRAIL_MAX = 8192            # of all failed attempts


cdef inline void put_name(Writer* out, const char* name) noexcept nogil:
    put(out, name, strlen(name))


cdef void put_escaped(Writer* out, const char* data, Py_ssize_t size) noexcept nogil:
    """The inside of a JSON string (RFC 8259 section 7) of UTF-8, cut where it is too long."""
    cdef Py_ssize_t end = size, start = 0, i
    cdef uint8_t byte
    if size > TEXT_MAX:
        end = TEXT_MAX
        while end and data[end] & 0xC0 == 0x80:     # not inside of a character
            end -= 1
    for i in range(end):
        byte = <uint8_t>data[i]
        if byte < 32 or byte == c'"' or byte == c"\\" or byte == 127:
            put(out, data + start, i - start)
            put(out, b"\\u00", 4)
            put_byte(out, b"0123456789abcdef"[byte >> 4])
            put_byte(out, b"0123456789abcdef"[byte & 15])
            start = i + 1
    put(out, data + start, end - start)
    if end < size:
        put(out, b"...", 3)


cdef int put_text(Writer* out, const char* name, object value) except -1:
    """A member whose name is written `,"name":"`, of text or bytes; None: no member."""
    cdef Py_ssize_t size, i
    cdef const char* data
    if value is None:
        return 0
    if type(value) is bytes:
        data, size = PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value)
        for i in range(size):
            if data[i] & 0x80:
                value = (<bytes>value).decode("utf-8", "replace")
                break
    if type(value) is not bytes:
        data = PyUnicode_AsUTF8AndSize(value, &size)
    put_name(out, name)
    put_escaped(out, data, size)
    put_byte(out, c'"')
    return 0


cdef inline void put_count(Writer* out, const char* name, int64_t count) noexcept nogil:
    """A member whose name is written `,"name":`; below 0: none."""
    if count >= 0:
        put_name(out, name)
        put_number(out, count)


cdef inline void put_seconds(Writer* out, const char* name, int64_t ns) noexcept nogil:
    """The same of a time, in seconds with six places."""
    cdef uint64_t micros = <uint64_t>ns // 1000
    cdef uint32_t rest = <uint32_t>(micros % 1000000)
    cdef char places[7]
    cdef int i
    if ns < 0:
        return
    places[0] = c"."
    for i in range(6, 0, -1):
        places[i] = <char>(c"0" + rest % 10)
        rest //= 10
    put_name(out, name)
    put_number(out, micros // 1000000)
    put(out, places, 7)


cdef int put_moment(Writer* out, Gateway g) noexcept:
    """This moment (RFC 3339), to the millisecond. The part that changes once a second is made once a second."""
    cdef timespec at
    cdef time_t seconds
    clock_gettime(CLOCK_REALTIME, &at)
    if at.tv_sec != g.stamped:
        seconds = g.stamped = at.tv_sec
        strftime(g.stamp, sizeof(g.stamp), b"%Y-%m-%dT%H:%M:%S", gmtime(&seconds))
    put_name(out, g.stamp)
    put_byte(out, c".")
    put_byte(out, <char>(c"0" + at.tv_nsec // 100000000))
    put_byte(out, <char>(c"0" + at.tv_nsec // 10000000 % 10))
    put_byte(out, <char>(c"0" + at.tv_nsec // 1000000 % 10))
    put_byte(out, c"Z")
    return 0


cdef int put_address(Writer* out, const Address* address) except -1:
    """The client's, as text_of_address() has it; the usual one without an object."""
    cdef int i
    if address.high or address.low >> 32 != 0xffff:
        return put_text(out, b',"address":"', text_of_address(address))
    put_name(out, b',"address":"')
    for i in range(24, -8, -8):
        put_number(out, address.low >> i & 0xff)
        put_byte(out, c"." if i else c'"')
    return 0


cdef int note_attempt(Exchange x, int condition) except -1:
    """An attempt has failed: what it was, and how it ended, in our own words alone."""
    cdef Gateway g = x.gateway
    cdef Writer out
    cdef object reason = x.values[S_REASON] if x.values is not None else None
    cdef bytes trail = x.trail
    if TRAITS[condition] == 0 or trail is not None and PyBytes_GET_SIZE(trail) > TRAIL_MAX - 2048:
        return 0                    # what is the client's own fault is the request's end, too
    write_into(&out, g.scratch, LINE_MAX)
    if trail is not None:
        put_bytes(&out, trail)
        put_byte(&out, c",")
    put_count(&out, b'{"attempt":', x.attempts)
    put_text(&out, b',"target":"', x.target.name)
    put_byte(&out, c",")
    put_bytes(&out, <bytes>g.labels[condition])
    put_count(&out, b',"upstream_status":', x.status or -1)
    put_text(&out, b',"upstream_request_id":"', provider_id(x))
    put_text(&out, b',"reason":"', reason)
    put_seconds(&out, b',"from":', x.attempted - x.started if x.trace.span else -1)
    put_seconds(&out, b',"at":', g.now - x.started)
    put_byte(&out, c"}")
    if not out.full:
        x.trail = PyBytes_FromStringAndSize(g.scratch, written(&out))
    return 0


cdef bint is_logged(Exchange x) noexcept:
    """Whether the access log has a line of it: by chance, where it has some of its condition alone."""
    cdef uint32_t share = x.gateway.logged[x.condition]
    if share == 0 or x.route is not None and x.route.open_to_all:
        return False            # what asks whether we live is no traffic
    return share == <uint32_t>-1 or next_random(x.gateway) >> 32 < share


cdef int leave_line(Exchange x, int flags) except -1:
    """Writes the line. What nobody knows is left out of it."""
    cdef Gateway g = x.gateway
    cdef Writer out
    cdef bytes line = x.line
    cdef Py_ssize_t size = 0 if line is None else PyBytes_GET_SIZE(line)
    cdef char* query = NULL if line is None else <char*>memchr(PyBytes_AS_STRING(line), c"?", size)
    cdef bint unsent = x.condition == client_closed and not x.head_sent
    write_into(&out, g.scratch, LINE_MAX)
    put_name(&out, b'{"time":"')
    put_moment(&out, g)
    put_name(&out, b'","request_id":"')
    put_escaped(&out, x.request_id, x.request_id_size)
    put_byte(&out, c'"')
    put_spans(&out, x)
    put_address(&out, &x.client)
    if line is not None:
        put_text(&out, b',"method":"', METHODS[x.method])
        put_name(&out, b',"path":"')
        put_escaped(&out, PyBytes_AS_STRING(line), query - PyBytes_AS_STRING(line) if query != NULL else size)
        put_byte(&out, c'"')
    put_text(&out, b',"route":"', x.route.name if x.route is not None else None)
    put_text(&out, b',"key":"', x.tenant.name if x.tenant is not None else None)
    if x.tenant is not None and x.tenant.of_account is not None:
        put_text(&out, b',"account":"', x.tenant.of_account.name[len("account:"):])
    put_text(&out, b',"model":"', x.asked)
    if x.target is not None and x.attempts:
        put_text(&out, b',"target":"', x.target.name)
    put_byte(&out, c",")
    put_bytes(&out, <bytes>g.labels[x.condition])
    put_count(&out, b',"status":', -1 if unsent else x.status or -1)
    put_count(&out, b',"upstream_status":', x.upstream_status or (x.status if x.head_sent else 0) or -1)
    put_count(&out, b',"attempts":', x.attempts)
    put_seconds(&out, b',"seconds":', g.now - x.started)
    put_seconds(&out, b',"attempt_after":', x.attempted - x.started if x.trace.span and x.attempts else -1)
    put_seconds(&out, b',"sent_after":', x.sent - x.started if x.sent else -1)
    put_seconds(&out, b',"first_byte_after":', x.first_byte - x.started if x.first_byte else -1)
    put_seconds(&out, b',"overhead":', x.overhead)
    put_count(&out, b',"bytes_in":', x.length)
    put_count(&out, b',"bytes_out":', x.passed_on if x.head_sent or x.hit else -1)
    put_text(&out, b',"upstream_request_id":"', provider_id(x))
    if x.first_byte:
        put_count(&out, b',"input_tokens":', x.tap.usage.input)
        put_count(&out, b',"output_tokens":', x.tap.usage.output)
        put_count(&out, b',"cached_tokens":', x.tap.usage.cached)
    if x.caching:
        put_name(&out, b',"cache":"hit"' if x.hit else b',"cache":"miss"')
    if x.stream:
        put_name(&out, b',"stream":true')
    if x.trail is not None:
        put_name(&out, b',"failed":[')
        put_bytes(&out, x.trail)
        put_byte(&out, c"]")
    put(&out, b"}\n", 2)
    if not out.full:
        lines_put(g.slab.ring(g.index), g.scratch, written(&out), flags)
    return 0
