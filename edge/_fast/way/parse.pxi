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
    x.client = d.peer
    x.surface = d.gateway.surfaces[0]
    x.state = READING
    x.started = d.gateway.now
    x.retry_after_ms = -1
    x.binding = -1
    x.minor = 1
    x.scan_at = PIECE
    d.exchange = x
    return x


cdef int read_head(Exchange x, const char* buf, Py_ssize_t size, int result) except -1:
    """Decides on all that a request's head can decide. `result` is the parser's; the head is the gateway's."""
    cdef Gateway g = x.gateway
    cdef Downstream d = x.downstream
    cdef Head* head = &g.head
    cdef int condition
    d.used = size
    if result < 0:
        return refuse_bytes(x, buf, size, result)
    d.used = head.size
    name_request(x, buf, head)
    begin_trace(x, buf, head)
    if head.known[K_X_FORWARDED_FOR] >= 0:
        trace_back(buf, head, g.proxies, &x.client)
    x.method = head.method
    x.minor = head.minor
    x.keep_alive = head.keep_alive and not g.draining and not g.retiring
    x.chunked = head.chunked
    x.length = -1 if head.chunked else (0 if head.content_length < 0 else head.content_length)
    if g.cors is not None and head.known[K_ORIGIN] >= 0:
        note_origin(x, buf, head)
        if is_preflight(x, buf, head):
            pass_over(x)
            return answer_preflight(x, buf, head)
    condition = judge_head(x, buf, head)
    if condition:
        pass_over(x)
        return x.refuse(condition)
    keep_head(x, buf, head)
    if x.route.own is not None:
        pass_over(x)
        return answer_own(x)
    if is_upload(x):
        x.unread = x.length
    x.expects = head.expect_continue and size == head.size and x.length != 0
    if x.unread or (x.length == 0 and not x.chunked):
        return ARRIVED
    d.set_timer(AWAITS_BODY, g.body_ns)
    if x.chunked:
        chunk_begin(&x.inbound)
    invite(x)
    return AWAIT


cdef int refuse_bytes(Exchange x, const char* buf, Py_ssize_t size, int result) except -1:
    """These are no head: where the next request would begin is not known either."""
    name_request(x, NULL, NULL)
    x.surface = surface_like(
        x.gateway, PyBytes_FromStringAndSize(buf, min(size, <Py_ssize_t>64)).partition(b" ")[2], NULL)
    if result == HEAD_CODING:
        x.say(S_REASON, "a transfer coding other than chunked")
    elif result == HEAD_PROXY:
        x.say(S_REASON, "the connection must begin with a PROXY header")
    x.unsynced = True
    return x.refuse(head_condition(result))


cdef int invite(Exchange x) except -1:
    """The client asks before it sends its body, which is welcome (RFC 9110 section 10.1.1)."""
    if x.expects:
        x.expects = False
        x.downstream.write_bytes(b"HTTP/1.1 100 Continue\r\n\r\n")
    return 0


cdef int pass_over(Exchange x) noexcept:
    """Of a request that is answered on its head alone: a short body is skipped, a long one ends the connection."""
    if x.chunked or x.gateway.head.expect_continue or x.length > SKIP_MAX or (x.length and not x.keep_alive):
        x.unread = max(<int64_t>1, x.length)
        x.keep_alive = False
    else:
        x.downstream.skip = x.length
    return 0


cdef int judge_head(Exchange x, const char* buf, Head* head) except -1:
    """The condition that ends the request here, 0 for none. In the order in which a client would mend them."""
    cdef Gateway g = x.gateway
    cdef int64_t most
    cdef int condition = find_route(x, buf, head)
    if head.known[K_UPGRADE] >= 0 and x.route is not None and wants_websocket(buf, head):
        return upgrade_refused          # before the key: clients that have another way take it at once
    if x.route is None or not x.route.open_to_all:
        if g.draining:
            return draining
        if is_anything_said(g.board):
            condition = judge_maintenance(x) or condition
    if condition:
        return condition
    if x.route.open_to_all:
        return 0
    condition = authenticate(x, buf, head)
    if condition:
        return condition
    if g.strain and x.tenant.priority:
        return refuse_strained(x)
    if g.late and is_shed(x):
        x.retry_after_ms = 1000
        x.say(S_REASON, "CPU (the event loop is late)")
        return gateway_overloaded
    if head.has_body and x.route.own is None and x.method in (M_GET, M_HEAD):
        # RFC 9110 9.3.1: servers that do not read such a body take it for the next request, which is another client's.
        x.keep_alive = False
        x.say(S_REASON, "a body, which this method has none of")
        return request_malformed
    if head.known[K_CONTENT_ENCODING] >= 0 and head.has_body and x.route.own is None:
        condition = judge_coding(x, buf, head)
        if condition:
            return condition
    if x.route.json and x.method == M_POST and not is_json(buf, head):
        x.say(S_REASON, value_of(buf, field_of(head, K_CONTENT_TYPE)) if head.known[K_CONTENT_TYPE] >= 0
              else "no Content-Type")
        return content_type
    if g.cache is not None and x.route.json and x.method == M_POST:
        condition = judge_use(x, buf, head)
        if condition:
            return condition
    most = g.max_body if x.route.json or x.coding is not None else g.max_upload
    if x.length > most:
        x.say(S_LIMIT, most)
        return body_too_large
    if x.length and is_short_of_memory(0 if is_upload(x) else x.length):
        return out_of_memory
    return 0


cdef bint wants_websocket(const char* buf, const Head* head):
    """Whether this is a WebSocket's opening handshake (RFC 6455 4.1). Other upgrades, and
    those of HTTP/1.0, are ignored (RFC 9110 7.8)."""
    return head.method == M_GET and head.minor and b"websocket" in value_of(buf, field_of(head, K_UPGRADE)).lower()


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
    if trace != NULL and not g.traced:
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


cdef int read_body(Exchange x, const char* buf, Py_ssize_t size) except -1:
    """Takes the body's bytes out of what has arrived; no `buf`: they lie in their place already."""
    cdef Downstream d = x.downstream
    cdef Py_ssize_t take
    if x.chunked:
        return read_chunks(x, buf, size)
    if x.coded is not None:
        return AWAIT                    # it is whole and being decoded: what comes now is another request
    if buf == NULL:
        x.body.filled(size)
    else:
        take = min(size, x.length - x.body.size)
        x.body.append(buf, take)
        d.used = take
    if x.body.size == x.length:
        return ARRIVED
    scan_ahead(x)
    if buf == NULL and x.body.size == x.body.room:
        x.body.reserve(x.length - x.body.size)
    return AWAIT


cdef int read_chunks(Exchange x, const char* buf, Py_ssize_t size) except -1:
    cdef size_t pos = 0, length
    cdef const char* data
    cdef int result
    x.downstream.used = size
    while True:
        result = chunk_next(&x.inbound, buf, size, &pos, &data, &length)
        if result == CHUNK_DATA:
            if x.body.size + <Py_ssize_t>length > x.gateway.max_body:
                x.say(S_LIMIT, x.gateway.max_body)
                x.unsynced = True
                return x.refuse(body_too_large)
            x.body.append(data, length)
            scan_ahead(x)
        elif result == CHUNK_END:
            x.length = x.body.size
            x.chunked = False
            x.downstream.used = pos
            return ARRIVED
        elif result == CHUNK_BAD:
            x.unsynced = True
            return x.refuse(body_unreadable)
        else:
            x.downstream.used = pos
            return AWAIT
