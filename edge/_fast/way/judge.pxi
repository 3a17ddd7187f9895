# judge: what makes an answer an answer. What was asked for decides, and what came, not a field's word for it: a JSON
# object where a plain answer was asked for, an event stream where a stream was. All else under 2xx or 3xx is the
# provider's fault. Where it shows that nobody has done the work (a redirect, a proxy's page, nothing at all), another
# target may; what broke off, or came in another form than was asked for, has been paid and is not asked for again.
#
# Paths that are relayed as they are promise no form, so that only a redirect is judged there.

cdef enum Look:                 # of a body, by its first bytes
    L_BLANK                     # nothing has been said yet
    L_OBJECT
    L_EVENTS
    L_OTHER                     # a page, a word, JSON that is no object

cdef enum Given:                # of an answer's head: what need not be added, and that it is a stream
    G_DATE = 1
    G_BUFFERING = 2
    G_CACHING = 4
    G_EVENTS = 8

cdef tuple EVENT_FIELDS = (b"data", b"event", b"id", b"retry")
cdef tuple NO_ANSWER = (204, 205, 206)      # they are 2xx, and promise no body or a part of one


cdef int answer_head(Exchange x, const char* buf, Head* head) except -1:
    """A final response head has come."""
    cdef Gateway g = x.gateway
    cdef bint judged = x.route.dialect != D_NONE
    cdef Writer out
    move(x, E_HEAD)
    x.first_byte = g.now
    x.status = head.status
    x.answer_length = head.content_length
    x.undone = False
    x.given = given_by(buf, head)
    x.fields = correct_fields(x, buf, head) if judged or head.status >= 400 else b""
    write_into(&out, g.scratch, BUFFER)
    write_relayed(buf, head, &out)
    hide_secrets(x, g.scratch, written(&out))
    x.fields += PyBytes_FromStringAndSize(g.scratch, written(&out))
    tap_begin(&x.tap, x.route.dialect)
    x.tap.choices = x.choices
    keep_provider_id(x, buf, head)
    x.tap.hide = x.asks_usage
    if head.status >= 400:
        x.mode = FAULT
        heed_head(x, buf, head)
        x.held = Store.__new__(Store)
        return 0
    if head.status >= 300 and (judged or head.status != 304 or x.method not in (M_GET, M_HEAD)):
        x.undone = True
        return fail(x, provider_response_invalid, words_of_redirect(x, buf, head))
    if not judged:
        x.mode = PASS
        if x.route.makers is not None and brings_id(x, buf, head):
            x.copy = Store.__new__(Store)
        return 0
    if head.status in NO_ANSWER:
        x.undone = True
        return fail(x, provider_response_invalid, f"status {head.status} in place of an answer")
    if field_of(head, K_CONTENT_ENCODING) != NULL and coding_of(buf, head) is not None:
        return fail(x, provider_response_invalid, f"a content coding that was not asked for: {coding_of(buf, head)}")
    x.mode = STREAM if x.stream else PASS if head.content_length > HOLD_MAX else WHOLE
    x.unseen = x.mode != WHOLE
    return 0


cdef int given_by(const char* buf, const Head* head) noexcept nogil:
    return ((G_DATE if field_of(head, K_DATE) != NULL else 0)
            | (G_BUFFERING if field_of(head, K_X_ACCEL_BUFFERING) != NULL else 0)
            | (G_CACHING if field_of(head, K_CACHE_CONTROL) != NULL else 0)
            | (G_EVENTS if is_event_stream(buf, head) else 0))


cdef bytes correct_fields(Exchange x, const char* buf, Head* head):
    """Names what goes on, where the provider's Content-Type does not: the form that was asked for, or a plain error."""
    cdef int i, known
    cdef bint streams = x.stream and head.status < 400
    cdef bint right = is_event_stream(buf, head) if streams else is_json(buf, head)
    if right and field_of(head, K_CONTENT_ENCODING) == NULL:
        return b""
    for i in range(head.n_fields):
        known = head.fields[i].known
        if known == K_CONTENT_ENCODING or known == K_CONTENT_TYPE and not right:
            head.fields[i].relay = 0
    if right:
        return b""
    return b"content-type: text/event-stream\r\n" if streams else b"content-type: application/json\r\n"


cdef bint is_event_stream(const char* buf, const Head* head) noexcept nogil:
    cdef const Field* field = field_of(head, K_CONTENT_TYPE)
    return field != NULL and field.value_len >= 17 and strncasecmp(buf + field.value, b"text/event-stream", 17) == 0


cdef str coding_of(const char* buf, const Head* head):
    """What the body is coded in, None for nothing. (Providers are asked for identity, which some say aloud.)"""
    cdef int i
    for i in range(head.n_fields):
        if head.fields[i].known == K_CONTENT_ENCODING:
            for coding in value_of(buf, &head.fields[i]).decode("latin-1").lower().split(","):
                if coding.strip() not in ("", "identity"):
                    return coding.strip()
    return None


cdef str words_of_redirect(Exchange x, const char* buf, const Head* head):
    """A redirect is not followed, here or by the client: it would carry prompt and key to whom nobody has chosen.

    Its words name the host that it leads to, and no more of the URL, in which there may be secrets.
    """
    cdef const Field* field = field_of(head, K_LOCATION)
    base = urlsplit(x.target.pool.provider.base_url).hostname
    try:
        host = urlsplit(value_of(buf, field).decode("latin-1")).hostname if field != NULL else None
    except ValueError:
        host = None
    if host is not None and not HOST_NAME.fullmatch(host):
        host = "another host"
    return f"status {head.status}, a redirect {f'to {host}' if host else f'within {base}'}: check base_url"


cdef int look_at(const char* data, Py_ssize_t size) noexcept:
    """What a body is, as soon as its first bytes say so. A byte order mark and empty lines say nothing."""
    cdef const char* end = data + size
    if size >= 3 and memcmp(data, b"\xef\xbb\xbf", 3) == 0:
        data += 3
    elif 0 < size < 3 and memcmp(data, b"\xef\xbb\xbf", <size_t>size) == 0:
        return L_BLANK
    while data < end and (data[0] == c" " or 9 <= data[0] <= 13):
        data += 1
    if data == end:
        return L_BLANK
    if data[0] == c"{":
        return L_OBJECT
    if data[0] == c":":
        return L_EVENTS
    for name in EVENT_FIELDS:
        size = min(end - data, <Py_ssize_t>PyBytes_GET_SIZE(name))
        if memcmp(data, PyBytes_AS_STRING(name), size) == 0:
            if data + size == end:
                return L_BLANK
            if data[size] in b":\r\n":
                return L_EVENTS
    return L_OTHER


cdef int answer_bytes(Exchange x, char* data, Py_ssize_t size, bint ended) except -1:
    """Some of the answer's body, its framing taken off; `ended` with the last of it."""
    cdef int64_t due = x.gateway.now + x.target.pool.idle_ns
    x.downstream.deadline = due if x.target.pool.idle_ns and due < x.deadline else x.deadline
    if x.mode == WHOLE:
        return hold(x, data, size, ended)
    if x.mode == STREAM:
        return stream(x, data, size, ended)
    if x.mode == PASS:
        return pass_on(x, data, size, ended) if x.route.dialect == D_NONE else pass_long(x, data, size, ended)
    if x.held.size + size > FAULT_MAX:
        size = FAULT_MAX - x.held.size
        if x.upstream is not None:
            x.upstream.keep_alive = False
        ended = True
    x.held.append(data, size)
    return classify(x) if ended else 0


cdef int hold(Exchange x, char* data, Py_ssize_t size, bint ended) except -1:
    if x.held is None:
        if ended:
            return judge_whole(x, data, size)
        x.held = Store.__new__(Store)
        x.held.reserve(min(x.answer_length, HOLD_MAX) + 1 if x.answer_length > 0 else size)
    x.held.append(data, size)
    if ended:
        return judge_whole(x, x.held.at, x.held.size)
    if x.held.size > HOLD_MAX:
        if x.stream:
            return fail(x, provider_response_invalid, PLAIN)
        x.mode = PASS
        x.unseen = True
        return pass_long(x, x.held.at, x.held.size, False)
    return 0


cdef str PLAIN = "a plain answer in place of an event stream"


cdef int judge_whole(Exchange x, char* data, Py_ssize_t size) except -1:
    """A complete JSON answer: good, an error in disguise, or no JSON at all."""
    cdef iovec parts[2]
    cdef int condition
    if tap_body(&x.tap, data, size) != 0:
        return not_an_object(x, look_at(data, size))
    if x.tap.error:
        return fail(x, condition_of(x, data + x.tap.data, x.tap.data_end - x.tap.data), None)
    if x.stream:
        return fail(x, provider_response_invalid, PLAIN)
    x.answer_length = size
    x.framing = F_LENGTH
    part_of(&parts[1], data, size)
    if x.tap.failed:
        condition = condition_of(x, data + x.tap.data, x.tap.data_end - x.tap.data)
        send_head(x, parts, 2)
        return end_failed(x, condition)
    send_head(x, parts, 2)
    return succeed(x)


cdef int not_an_object(Exchange x, int look) except -1:
    """A body, or its beginning, that is not what was asked for."""
    x.undone = look == L_BLANK or look == L_OTHER
    return fail(x, provider_response_invalid, (
        "empty response", "response is not valid JSON", "an event stream in place of a plain answer",
        "no event stream, but something else" if x.stream else "response is not a JSON object")[look])


cdef int pass_long(Exchange x, char* data, Py_ssize_t size, bint ended) except -1:
    """JSON that is too long to be held: its first byte that is not blank, and its last, must be an object's."""
    cdef Py_ssize_t at = size
    cdef int look
    if size == 0 and not ended:
        return 0
    if x.unseen:
        look = look_at(data, size)
        if look != L_OBJECT and (look != L_BLANK or ended):
            return not_an_object(x, look)
        x.unseen = look == L_BLANK
    while at and (data[at - 1] == c" " or 9 <= data[at - 1] <= 13):
        at -= 1
    if at:
        x.closed = data[at - 1] == c"}"
    if ended and not x.closed:
        return fail(x, provider_cut, "JSON without its end")
    return pass_on(x, data, size, ended)


cdef int classify(Exchange x) except -1:
    """A provider's error status -> condition. Its 401, 402, 403 are about our key, never the client's."""
    cdef bytes body
    if x.status == 404 and x.route.makers and ask_next(x):
        return 0
    x.condition = condition_of(x, x.held.at, x.held.size)
    if x.condition == provider_misconfigured:
        if x.status == 400 or is_ours(x):
            return misplaced(x, f"{x.status} {x.values[S_UPSTREAM_REASON]}")
        x.condition = provider_rejected         # the client has chosen path or method
    if x.condition not in REJECTED:
        if x.retry_after_ms < 0 and (x.condition == provider_rate_limited or x.condition == provider_overloaded):
            x.retry_after_ms = 1000
        return fail(x, x.condition, None)
    note_success(x)
    if not x.surface.native or x.method == M_HEAD or not is_error(x.held.at, x.held.size):
        return fail(x, x.condition, None)
    if x.advice == ADVISED and retry(x, x.condition):
        return 0
    x.answer_length = x.held.size
    x.mode = PASS
    return pass_on(x, x.held.at, x.held.size, True)


cdef bint is_ours(Exchange x) noexcept:
    """Whether who runs the gateway has chosen what the provider does not know, not the client."""
    if x.route.json:
        return True
    if x.line.partition(b"?")[0] != x.route.path:
        return False
    return x.method == M_GET if x.route.name == "models" else x.method == M_POST and x.status == 404


cdef Names ERROR = Names(("error",))


cdef bint is_error(const char* data, Py_ssize_t size) noexcept:
    """Whether this is an error as both dialects write it. A proxy's page or a framework's own form is nobody's."""
    cdef Member found
    cdef Py_ssize_t where
    return scan(data, size, &ERROR.table, &found, &where) == SCAN_OK and found.kind == OBJECT


cdef int hide_secrets(Exchange x, char* data, Py_ssize_t size) noexcept:
    """Some servers repeat the key that they refuse: ours must not reach a client or a log. No length changes."""
    cdef bytes secret
    cdef char* end = data + size
    cdef char* at
    for secret in x.target.pool.secrets:
        at = <char*>edge_find(data, end - data, PyBytes_AS_STRING(secret), PyBytes_GET_SIZE(secret))
        while at != NULL:
            memset(at, c"*", PyBytes_GET_SIZE(secret))
            at = <char*>edge_find(at, end - at, PyBytes_AS_STRING(secret), PyBytes_GET_SIZE(secret))
    return 0


cdef dict USUAL_STATUS = {
    provider_auth: 401, provider_quota: 402, provider_region: 403, provider_rate_limited: 429, provider_overloaded: 503,
    provider_rejected: 400, context_length: 400, model_unknown: 404}


cdef int condition_of(Exchange x, char* data, Py_ssize_t size) except -1:
    """What the provider's own error says, and its words for contracts that pass them on, free of our secrets."""
    cdef int status = x.status
    cdef bytes body
    hide_secrets(x, data, size)
    body = PyBytes_FromStringAndSize(data, size)
    condition, message, _, x.doubtful = x.gateway.classify(status, body)
    x.told = True
    if status < 400:                # the answer had begun well: the status is not the error's
        x.details = x.gateway.details(body)
        status = x.details.status or USUAL_STATUS.get(condition, 500)
    set_value(x, S_UPSTREAM_STATUS, status)
    set_value(x, S_UPSTREAM_REASON, REASONS.get(status, "Unknown"))
    if message:
        set_value(x, S_MESSAGE, message)
    if condition == provider_timeout:       # its patience, not ours
        set_value(x, S_REASON, f"gave up: {status} {x.values[S_UPSTREAM_REASON]}")
    return condition


cdef int misplaced(Exchange x, str what) except -1:
    """Who is asked does not know what we ask for, as the configuration leads to the wrong place."""
    x.told = True
    tell_misplaced(x.target.pool, what)
    return fail(x, provider_misconfigured, what)


cdef int tell_misplaced(Pool pool, str what) except -1:
    """Said once, until the configuration changes: each request that fails of it has a line of its own."""
    if not pool.misplaced:
        pool.misplaced = True
        pool.gateway.notice("provider is asked in the wrong place", {
            "provider": pool.name, "base_url": pool.provider.base_url, "reason": what,
            "way_out": f"check base_url of providers.{pool.name}: its scheme, host, port and path"})
    return 0


cdef int keep_provider_id(Exchange x, const char* buf, const Head* head) noexcept:
    """What the provider calls the request: for the log, which may need it long after the head."""
    cdef const Field* field = field_of(head, K_X_REQUEST_ID)
    cdef const Field* other
    cdef int i
    for i in range(head.n_fields if field == NULL else 0):
        other = &head.fields[i]             # request-id, apim-request-id, x-amzn-requestid
        if (other.name_len >= 10 and strncasecmp(buf + other.name + other.name_len - 10, b"request-id", 10) == 0
                or other.name_len >= 9 and strncasecmp(buf + other.name + other.name_len - 9, b"requestid", 9) == 0):
            field = other
            break
    if field != NULL and is_id(buf + field.value, field.value_len):
        memcpy(x.provider_id, buf + field.value, field.value_len)
        x.provider_id_size = field.value_len
    return 0


cdef int heed_head(Exchange x, const char* buf, const Head* head) except -1:
    """What an error's head says of a further attempt: when the provider wants to be asked again, and whether."""
    cdef int i
    fields = {PyBytes_FromStringAndSize(buf + head.fields[i].name, head.fields[i].name_len).lower():
              value_of(buf, &head.fields[i]) for i in range(head.n_fields)}
    wait = x.gateway.wait_ms(fields, time(NULL))
    x.retry_after_ms = -1 if wait is None else wait
    said = fields.get(b"x-should-retry", b"").strip().lower()
    x.advice = ADVISED if said == b"true" else ADVISED_AGAINST if said == b"false" else UNADVISED
    return 0
