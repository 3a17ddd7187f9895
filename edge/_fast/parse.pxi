# parse: bytes -> Head -> Intent. What the client asks for, and whether it may be asked at all.

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
    x.state = READING
    x.started = d.gateway.now
    x.retry_after_ms = -1
    x.soonest_ms = -1
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
        if size > 17 and memcmp(buf, b"POST /v1/messages", 17) == 0:
            x.surface = ANTHROPIC
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


cdef int judge_head(Exchange x, const char* buf, const Head* head) except -1:
    """The condition that ends the request here, 0 for none. In the order in which a client would mend them."""
    cdef Gateway g = x.gateway
    cdef int64_t most
    cdef int condition = find_route(x, buf, head)
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
        set_value(x, S_REASON, "event loop")
        return gateway_overloaded
    if x.route.json and x.method == M_POST and not is_json(buf, head):
        return content_type
    most = g.max_body if x.route.json else g.max_upload
    if x.length > most:
        set_value(x, S_LIMIT, most)
        return body_too_large
    if x.length and is_short_of_memory(0 if is_upload(x) else x.length):
        return out_of_memory
    return 0


cdef int find_route(Exchange x, const char* buf, const Head* head) except -1:
    """Sets route and surface. Unknown paths are answered in the dialect that the path looks like."""
    cdef Gateway g = x.gateway
    cdef Downstream d = x.downstream
    cdef bytes path
    cdef Route route = d.route
    if d.version != g.version:
        d.route, d.tenant, d.model, d.key, d.model_name = None, None, None, None, None
        d.version = g.version
    elif route is not None and head.method == M_POST and same(route.path, buf + head.path, head.path_len):
        x.route = route
        x.surface = route.surface
        x.line = route.path
        if head.query_len:
            x.line += PyBytes_FromStringAndSize(buf + head.query, head.query_len)
        return 0
    path = PyBytes_FromStringAndSize(buf + head.path, head.path_len)
    route = g.routes.get(path)
    if route is None and path.startswith(b"/v1/v1/"):
        # SDKs that append /v1 to a base URL that already ends with it.
        path = path[3:]
        route = g.routes.get(path)
    if route is None:
        route = by_prefix(g, path)
    if route is None:
        x.surface = ANTHROPIC if path.startswith(b"/v1/messages") else OPENAI
        set_value(x, S_PATH, path)
        set_value(x, S_METHOD, METHODS[head.method])
        return endpoint_unknown
    if route.anthropic is not None and field_of(head, K_ANTHROPIC_VERSION) != NULL:
        route = route.anthropic
    x.route = route
    x.surface = route.surface
    if route.own is not None:
        if head.method != M_GET and head.method != M_HEAD:
            set_value(x, S_METHOD, METHODS[head.method])
            return method_not_allowed
    elif head.method == M_OTHER or head.method == M_OPTIONS or (route.json and head.method != M_POST):
        set_value(x, S_METHOD, METHODS[head.method])
        return method_not_allowed
    elif route.json:
        d.route = route
    x.line = path
    if head.query_len:
        x.line = path + PyBytes_FromStringAndSize(buf + head.query, head.query_len)
    return 0


cdef Route by_prefix(Gateway g, bytes path):
    """The relayed path that this one lies in. One that could mean another path at the provider lies in none."""
    if b"." in path or b"%" in path:
        plain = path.lower().replace(b"%2e", b".")
        if b"/./" in plain or b"/../" in plain or plain.endswith((b"/.", b"/..")) or b"%2f" in plain or b"%5c" in plain:
            return None
    for prefix, route in g.prefixes:
        # A slash at the end alone names the collection, which has a route of its own with rules of its own.
        if path.startswith(prefix) and not (prefix.endswith(b"/") and len(path) == len(prefix)):
            return route
    return None


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
    cdef int i
    if x.route.own is not None:
        return 0
    if g.owned:
        for i in range(head.n_fields):
            field = &own.fields[i]
            if field.relay and PyBytes_FromStringAndSize(buf + field.name, field.name_len).lower() in g.owned:
                own.fields[i].relay = 0
    x.relayed = PyBytes_FromStringAndSize(g.scratch, write_relayed(buf, head, g.scratch))
    trace = field_of(head, K_TRACEPARENT)
    if trace != NULL:
        x.relayed += b"traceparent: " + value_of(buf, trace) + b"\r\n"
    if x.route.surface == ANTHROPIC and field_of(head, K_ANTHROPIC_VERSION) == NULL:
        x.relayed += b"anthropic-version: 2023-06-01\r\n"
    field = field_of(head, K_STAINLESS_RETRY_COUNT)
    x.most_retries = g.max_retries
    if x.most_retries > 1 and field != NULL and buf[field.value] != 48:
        x.most_retries = 1              # the client is trying again itself
    if g.sticky is not None:
        x.session = session_of(buf, head, g.sticky)
    x.body = Store.__new__(Store)
    if not x.chunked and x.length and not is_upload(x):
        x.body.reserve(min(x.length, RESERVE_MAX))
    return 0


cdef Py_ssize_t read_body(Downstream d, Exchange x, const char* buf, Py_ssize_t size) except -1:
    """Takes the body's bytes out of what has arrived; returns how many were used."""
    cdef Py_ssize_t take
    if x.chunked:
        return read_chunks(x, buf, size)
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
    if x.route.json:
        condition = read_intent(x)
        if condition:
            return refuse(x, condition, False)
    else:
        x.plan = x.route.plan
        x.target = <Target>x.plan[0]
    condition = admit(x) or route(x)
    if condition:
        return refuse(x, condition, False)
    return forward(x)


cdef class Scanning:

    cdef int go_on(self, Store body, bint more) noexcept:
        """Reads what has come, unless it is known to be wrong already."""
        if self.result == SCAN_MORE:
            self.result = scan_on(&self.scan, body.at, body.size, more, &self.where)
        return self.result


cdef int scan_ahead(Exchange x) except -1:
    """Scans what is there of a long body: it is in the processor's cache now, and nobody has to wait for all of it.

    Each time at least as much must have come as may have to be read again: see scan_on().
    """
    if not x.route.json or x.body.size < x.scan_at:
        return 0
    if x.scanning is None:
        x.scanning = Scanning.__new__(Scanning)
        x.scanning.result = SCAN_MORE
        scan_begin(&x.scanning.scan, &x.route.names.table, x.scanning.members)
    x.scanning.go_on(x.body, True)
    x.scan_at = x.body.size + max(<Py_ssize_t>PIECE, x.body.size - x.scanning.scan.at)
    return 0


cdef int read_intent(Exchange x) except -1:
    """Body -> model, stream; every rule of the route is checked. Returns the condition that ends it, or 0."""
    cdef Gateway g = x.gateway
    cdef Route route = x.route
    cdef Member* members = g.members
    cdef Py_ssize_t where = 0
    cdef int i, condition, result
    if x.scanning is None:
        result = scan(x.body.at, x.body.size, &route.names.table, members, &where)
    else:
        result = x.scanning.go_on(x.body, False)
        members, where = x.scanning.members, x.scanning.where
    if result != SCAN_OK:
        set_value(x, S_REASON, f"at byte {where}")
        return json_invalid
    for i in range(route.names.table.count):
        condition = check_member(x, i, &members[i])
        if condition:
            return condition
    if route.stream_at >= 0:
        x.stream = members[route.stream_at].kind == TRUE_
    return find_model(x, &members[route.model_at])


cdef int check_member(Exchange x, int i, const Member* member) except -1:
    cdef const Check* check = &x.route.checks[i]
    cdef double value
    if member.kind == ABSENT or member.kind == NULL_:
        if check.required:
            set_value(x, S_FIELD, x.route.names.names[i])
            return field_missing
        return 0
    if not check.kinds & (1 << member.kind):
        set_value(x, S_FIELD, x.route.names.names[i])
        set_value(x, S_EXPECTED, x.route.words[i])
        set_value(x, S_GOT, KINDS[member.kind])
        return field_type
    if member.kind == NUMBER:
        value = number(x.body.at, member)
        if value < check.low or value > check.high:
            set_value(x, S_FIELD, x.route.names.names[i])
            set_value(x, S_EXPECTED, f"between {check.low:g} and {check.high:g}" if check.high < INFINITY
                      else f"at least {check.low:g}")
            set_value(x, S_GOT, PyBytes_FromStringAndSize(x.body.at + member.start, member.end - member.start))
            return field_value
    elif member.kind == STRING and check.required and member.end - member.start == 2:
        set_value(x, S_FIELD, x.route.names.names[i])
        return field_missing
    return 0


cdef Model look_up(Gateway g, bytes name):
    """By name, else by pattern; what a pattern gave is remembered, up to a number: names come from outside."""
    cdef Model model = g.models.get(name)
    if model is None:
        model = g.resolve(name)
        if model is not None and len(g.models) < 4096:
            g.models[name] = model
    return model


cdef int find_model(Exchange x, const Member* member) except -1:
    """Model name -> targets. The name's span is kept, so that an alias can be spliced in."""
    cdef Downstream d = x.downstream
    cdef const char* at = x.body.at + member.start + 1
    cdef Py_ssize_t size = member.end - member.start - 2
    cdef bytes raw = d.model_name
    cdef Model model = d.model
    x.model_start = member.start
    x.model_end = member.end
    if not same(raw, at, size) or member.escaped:
        raw = PyBytes_FromStringAndSize(at, size)
        if member.escaped:
            raw = orjson.loads(b'"' + raw + b'"').encode()
        model = look_up(x.gateway, raw)
        if model is None:
            set_value(x, S_MODEL, raw)
            return model_unknown
        d.model_name = raw
        d.model = model
    if x.tenant.allows is not None and not is_allowed(x.tenant, raw):
        set_value(x, S_MODEL, raw)
        return model_denied
    targets = model.targets[x.surface]
    if not targets:
        set_value(x, S_REASON, b"the model " + raw + b" in this API's format")
        return not_implemented
    x.plan = targets
    x.target = <Target>x.plan[0]
    return 0
