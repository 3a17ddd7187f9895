# parse: bytes -> Head -> body. What the client sends, and whether it may be asked for at all.

cdef int head_condition(int result) noexcept nogil:
    if result == HEAD_LARGE:
        return headers_too_large
    if result == HEAD_TARGET_LONG:
        return uri_too_long
    if result == HEAD_VERSION:
        return version_unsupported
    if result == HEAD_CODING:
        return not_implemented
    return request_malformed


cdef inline const Field* field_of(const Head* head, int known) noexcept nogil:
    """The field, NULL where it is absent."""
    if head.known[known] < 0:
        return NULL
    return &head.fields[head.known[known]]


cdef inline bint same(bytes known, const char* at, Py_ssize_t size) noexcept:
    """Whether a value that was looked up before has come again."""
    return known is not None and PyBytes_GET_SIZE(known) == size and memcmp(PyBytes_AS_STRING(known), at, size) == 0


cdef inline bytes value_of(const char* buf, const Field* field):
    return PyBytes_FromStringAndSize(buf + field.value, field.value_len)


cdef inline uint64_t next_random(Gateway g) noexcept:
    """splitmix64: ids must be distinct, not secret."""
    g.random += <uint64_t>0x9E3779B97F4A7C15
    return mixed(g.random)


cdef inline uint64_t mixed(uint64_t z) noexcept nogil:
    """splitmix64's finish: all bits depend on all."""
    z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
    return z ^ (z >> 31)


cdef bint is_id(const char* at, Py_ssize_t size) noexcept nogil:
    """A request id that may be echoed into headers, logs and bodies: 1 to ID_ROOM of [A-Za-z0-9._:-]."""
    cdef Py_ssize_t i
    cdef unsigned char c
    if size < 1 or size > ID_ROOM:
        return False
    for i in range(size):
        c = at[i]
        if not (97 <= c <= 122 or 65 <= c <= 90 or 48 <= c <= 58 or c == 45 or c == 46 or c == 95):
            return False
    return True


cdef int name_request(Exchange x, const char* buf, const Head* head) except -1:
    """The client's own x-request-id where it is fit to be repeated, else req-<16 hex digits>."""
    cdef uint64_t value
    cdef int i
    cdef const Field* field
    if head != NULL:
        field = field_of(head, K_X_REQUEST_ID)
        if field != NULL and is_id(buf + field.value, field.value_len):
            memcpy(x.request_id, buf + field.value, field.value_len)
            x.request_id_size = field.value_len
            return 0
    value = next_random(x.gateway)
    memcpy(x.request_id, b"req-", 4)
    for i in range(16):
        x.request_id[4 + i] = b"0123456789abcdef"[(value >> (60 - 4 * i)) & 15]
    x.request_id_size = 20
    return 0


cdef Exchange new_exchange(Downstream d):
    cdef Exchange x = Exchange.__new__(Exchange)
    x.gateway = d.gateway
    x.downstream = d
    x.address = d.peer
    x.surface = d.gateway.surfaces[0]
    x.state = READING
    x.started = d.gateway.now
    x.retry_after_ms = -1
    x.minor = 1
    x.scan_at = PIECE
    d.exchange = x
    return x


cdef Py_ssize_t begin(Downstream d, const char* buf, Py_ssize_t size) except -1:
    """Reads a request's head and decides on all that a head can decide. Returns the bytes used; 0: not all there."""
    cdef Gateway g = d.gateway
    cdef Head* head = &g.head
    cdef Exchange x
    cdef bint expects
    cdef int condition
    cdef int result = parse_request(buf, size, g.max_head, g.max_target, head)
    if result == HEAD_MORE:
        return 0
    x = new_exchange(d)
    if result < 0:
        name_request(x, NULL, NULL)
        x.surface = surface_like(g, PyBytes_FromStringAndSize(buf, min(size, <Py_ssize_t>64)).partition(b" ")[2], NULL)
        if result == HEAD_CODING:
            set_value(x, S_REASON, "a transfer coding other than chunked")
        refuse(x, head_condition(result), True)
        return size
    name_request(x, buf, head)
    x.method = head.method
    x.minor = head.minor
    x.keep_alive = head.keep_alive and not g.draining and not g.retiring
    x.chunked = head.chunked
    x.length = -1 if head.chunked else (0 if head.content_length < 0 else head.content_length)
    if g.cors is not None and head.known[K_ORIGIN] >= 0:
        note_origin(x, buf, head)
        if is_preflight(x, buf, head):
            answer_preflight(x, buf, head)
            return head.size
    condition = judge_head(x, buf, head)
    if condition:
        refuse_unread(x, condition)
        return head.size
    keep_head(x, buf, head)
    if x.route.own is not None:
        pass_over(x)
        answer_own(x)
        return head.size
    expects = head.expect_continue and size == head.size
    if is_upload(x):
        x.unread = x.length
    if x.unread or (x.length == 0 and not x.chunked):
        accept(x)
    else:
        d.deadline = g.now + g.body_ns
        if x.chunked:
            chunk_begin(&x.inbound)
    if expects and x.length and x.state != ENDED:
        d.write_bytes(b"HTTP/1.1 100 Continue\r\n\r\n")
    return head.size


cdef int judge_head(Exchange x, const char* buf, Head* head) except -1:
    """The condition that ends the request here, 0 for none. In the order in which a client would mend them."""
    cdef Gateway g = x.gateway
    cdef int64_t most
    cdef int condition = find_route(x, buf, head)
    if head.known[K_UPGRADE] >= 0 and x.route is not None and wants_websocket(buf, head):
        return upgrade_refused          # before the key: clients that have another way take it at once
    if g.draining and not (x.route is not None and x.route.open_to_all):
        return draining
    if condition:
        return condition
    if x.route.open_to_all:
        return 0
    condition = authenticate(x, buf, head)
    if condition:
        return condition
    if g.late and is_shed(x):
        x.retry_after_ms = 1000
        set_value(x, S_REASON, "CPU (the event loop is late)")
        return gateway_overloaded
    if head.has_body and x.route.own is None and x.method in (M_GET, M_HEAD):
        # RFC 9110 9.3.1: servers that do not read such a body take it for the next request, which is another client's.
        x.keep_alive = False
        set_value(x, S_REASON, "a body, which this method has none of")
        return request_malformed
    if head.known[K_CONTENT_ENCODING] >= 0 and head.has_body and x.route.own is None:
        condition = judge_coding(x, buf, head)
        if condition:
            return condition
    if x.route.json and x.method == M_POST and not is_json(buf, head):
        return content_type
    most = g.max_body if x.route.json or x.coding is not None else g.max_upload
    if x.length > most:
        set_value(x, S_LIMIT, most)
        return body_too_large
    if x.length and is_short_of_memory(0 if is_upload(x) else x.length):
        return out_of_memory
    return 0


cdef bint wants_websocket(const char* buf, const Head* head):
    """Whether this is a WebSocket's opening handshake (RFC 6455 4.1). Other upgrades are ignored (RFC 9110 7.8)."""
    return head.method == M_GET and b"websocket" in value_of(buf, field_of(head, K_UPGRADE)).lower()


cdef bint is_json(const char* buf, const Head* head) noexcept:
    """application/json, or application/<anything>+json, with parameters or without."""
    cdef const Field* field = field_of(head, K_CONTENT_TYPE)
    cdef bytes value
    if field == NULL:
        return False
    if field.value_len == 16 and memcmp(buf + field.value, b"application/json", 16) == 0:
        return True
    value = value_of(buf, field).lower().partition(b";")[0].strip()
    return value == b"application/json" or (value.startswith(b"application/") and value.endswith(b"+json"))


cdef int keep_head(Exchange x, const char* buf, const Head* head) except -1:
    """Copies what outlives the receive buffer: the fields that go on to the provider."""
    cdef Gateway g = x.gateway
    cdef Head* own = <Head*>head
    cdef const Field* field
    cdef const Field* trace
    cdef Surface surface
    cdef Writer out
    cdef int i
    if x.route.own is not None:
        return 0
    if g.owned:
        for i in range(head.n_fields):
            field = &own.fields[i]
            if field.relay and PyBytes_FromStringAndSize(buf + field.name, field.name_len).lower() in g.owned:
                own.fields[i].relay = 0
    write_into(&out, g.scratch, BUFFER)
    write_relayed(buf, head, &out)
    x.relayed = PyBytes_FromStringAndSize(g.scratch, written(&out))
    trace = field_of(head, K_TRACEPARENT)
    if trace != NULL:
        x.relayed += b"traceparent: " + value_of(buf, trace) + b"\r\n"
    surface = x.route.surface
    if surface.version >= 0 and field_of(head, surface.version) == NULL and surface.version_name not in g.owned:
        x.relayed += surface.version_line
    x.beta = field_of(head, K_BETA) != NULL
    field = field_of(head, K_STAINLESS_RETRY_COUNT)
    x.most_retries = g.max_retries
    if x.most_retries > 1 and field != NULL and buf[field.value] != 48:
        x.most_retries = 1              # the client is trying again itself
    if g.sticky is not None:
        x.session = session_of(buf, head, g.sticky)
    x.reads = reading_of(x, buf, head)
    x.body = Store.__new__(Store)
    if not x.chunked and x.length and not is_upload(x):
        x.body.reserve(min(x.length, RESERVE_MAX))
    return 0


cdef Py_ssize_t read_body(Downstream d, Exchange x, const char* buf, Py_ssize_t size) except -1:
    """Takes the body's bytes out of what has arrived; returns how many were used."""
    cdef Py_ssize_t take
    if x.chunked:
        return read_chunks(x, buf, size)
    if x.coded is not None:
        return 0                        # it is whole and being decoded: what comes now is another request
    take = x.length - x.body.size
    if take > size:
        take = size
    x.body.append(buf, take)
    if x.body.size == x.length:
        accept(x)
    else:
        scan_ahead(x)
    return take


cdef Py_ssize_t read_chunks(Exchange x, const char* buf, Py_ssize_t size) except -1:
    cdef size_t pos = 0, length
    cdef const char* data
    cdef int result
    while True:
        result = chunk_next(&x.inbound, buf, size, &pos, &data, &length)
        if result == CHUNK_DATA:
            if x.body.size + <Py_ssize_t>length > x.gateway.max_body:
                set_value(x, S_LIMIT, x.gateway.max_body)
                refuse(x, body_too_large, True)
                return size
            x.body.append(data, length)
            scan_ahead(x)
        elif result == CHUNK_END:
            x.length = x.body.size
            x.chunked = False
            accept(x)
            return pos
        elif result == CHUNK_BAD:
            refuse(x, body_unreadable, True)
            return size
        else:
            return pos


cdef int accept(Exchange x) except -1:
    """The request is whole, or goes on as it comes: to the provider without a pause, where a connection is at hand."""
    cdef int condition
    if x.coding is not None:
        return begin_decoding(x)
    condition = read_intent(x) if x.route.json else read_relayed(x)
    if condition:
        return refuse(x, condition, False)
    if x.route.makers is not None:
        lead_home(x)
    condition = admit(x) or route(x)
    if condition:
        return refuse(x, condition, False)
    return forward(x)
