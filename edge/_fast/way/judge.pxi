# judge: what makes an answer an answer. What was asked for decides, and what came, not a field's word for it: a JSON
# object where a plain answer was asked for, an event stream where a stream was. All else under 2xx or 3xx is the
# provider's fault. Where it shows that nobody has done the work (a redirect, a proxy's page, nothing at all), another
# target may; what broke off, or came in another form than was asked for, has been paid and is not asked for again.
#
# Paths that are relayed as they are promise no form, so that only a redirect is judged there.

cdef enum:
    STALE_NS = 1000000000       # a reused connection that breaks sooner after a request was never read by the provider

cdef tuple NO_ANSWER = (204, 205, 206)      # they are 2xx, and promise no body or a part of one


cdef int answer_head(Exchange x, const char* buf, Head* head) except -1:
    """A final response head has come."""
    cdef Gateway g = x.gateway
    cdef bint judged = x.route.dialect.judged
    cdef Writer out
    x.move(HEAD)
    x.first_byte = g.now
    x.status = head.status
    x.answer_length = head.content_length
    x.undone = False
    x.dated = field_of(head, K_DATE) != NULL
    if x.surface.told is not None:
        withhold_limits(g, head, buf)
    x.fields = correct_fields(x, buf, head) if judged or head.status >= 400 else b""
    if head.status < 400 and (x.stream if judged else is_event_stream(buf, head)):
        x.fields += let_flow(buf, head)
    write_into(&out, g.scratch, BUFFER)
    write_relayed(buf, head, &out)
    hide_secrets(x, g.scratch, written(&out))
    x.fields += PyBytes_FromStringAndSize(g.scratch, written(&out))
    tap_begin(&x.tap, x.route.dialect)
    x.tap.choices = x.choices
    x.tap.keeps = x.keeps
    keep_provider_id(x, buf, head)
    x.tap.hide = x.asks_usage
    if head.status >= 400:
        x.mode = FAULT
        heed_head(x, buf, head)
        x.held = Store.__new__(Store)
        return AWAIT
    if head.status >= 300 and (judged or head.status != 304 or x.method not in (M_GET, M_HEAD)):
        x.undone = True
        return x.fail(provider_response_invalid, words_of_redirect(x, buf, head))
    if not judged:
        x.mode = PASS
        if x.route.makers is not None and brings_id(x, buf, head):
            x.copy = Store.__new__(Store)
        return AWAIT
    if head.status in NO_ANSWER:
        x.undone = True
        return x.fail(provider_response_invalid, f"status {head.status} in place of an answer")
    if field_of(head, K_CONTENT_ENCODING) != NULL and coding_of(buf, head) is not None:
        return x.fail(provider_response_invalid, f"a content coding that was not asked for: {coding_of(buf, head)}")
    x.mode = STREAM if x.stream else WHOLE
    x.unseen = x.stream
    return AWAIT


cdef bytes let_flow(const char* buf, Head* head):
    """What makes proxies and caches in front hand a stream on as it comes, whatever the provider said to its own.

    Of its Cache-Control, what forbids as much or more stands.
    """
    cdef int i, known
    cdef list said = []
    for i in range(head.n_fields):
        known = head.fields[i].known
        if known == K_CACHE_CONTROL:
            said.append(value_of(buf, &head.fields[i]))
        if known == K_CACHE_CONTROL or known == K_X_ACCEL_BUFFERING:
            head.fields[i].relay = 0
    caching = b", ".join(said)
    if not UNCACHED.fullmatch(caching):
        caching = b"no-cache"
    return b"x-accel-buffering: no\r\ncache-control: %b\r\n" % caching


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


cdef int answer_bytes(Exchange x, char* data, Py_ssize_t size, bint ended) except -1:
    """Some of the answer's body, its framing taken off; `ended` with the last of it."""
    await_more(x)
    if x.mode == WHOLE:
        return hold(x, data, size, ended)
    if x.mode == STREAM:
        return stream(x, data, size, ended)
    if x.mode == PASS:
        return pass_long(x, data, size, ended) if x.route.dialect.judged else pass_on(x, data, size, ended)
    if x.held.size + size > FAULT_MAX:
        size = FAULT_MAX - x.held.size
        if x.upstream is not None:
            x.upstream.keep_alive = False
        ended = True
    x.held.append(data, size)
    return classify(x) if ended else AWAIT


cdef int classify(Exchange x) except -1:
    """A provider's error status -> condition. Its 401, 402, 403 are about our key, never the client's."""
    cdef bytes body
    if x.status == 404 and x.route.makers and look_elsewhere(x):
        note_success(x)
        x.next = pick(x)
        x.undone = True
        return x.refuse(shut_out(x)) if x.next is None else RETRY
    x.condition = condition_of(x, x.held.at, x.held.size)
    if x.condition == provider_misconfigured:
        if x.status == 400 or is_ours(x):
            return misplaced(x, f"{x.status} {x.values[S_UPSTREAM_REASON]}")
        x.condition = provider_rejected         # the client has chosen path or method
    if x.condition not in REJECTED:
        if x.retry_after_ms < 0 and (x.condition == provider_rate_limited or x.condition == provider_overloaded):
            x.retry_after_ms = 1000
        return x.fail(x.condition, None)
    note_success(x)
    x.verbatim = x.surface.native and x.method != M_HEAD and is_error(x.held.at, x.held.size)
    return FAILED


cdef int pass_words(Exchange x) except -1:
    """The provider's own words of the client's mistake are the answer."""
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


cdef int read_end(Exchange x, object reason) except -1:
    """What the end of the connection means for the answer."""
    cdef Upstream upstream = x.upstream
    cdef Pool pool = upstream.pool
    detach(x)
    if upstream.answering and upstream.framing == F_CLOSE and reason == "Connection closed":
        return answer_bytes(x, NULL, 0, True)
    if upstream.answering and x.mode == FAULT and x.state == HOLDING:
        return classify(x)          # its status has said enough
    if upstream.answering:
        return x.fail(provider_cut, reason)
    if (upstream.pending is None and upstream.used and not x.redialled and not x.spent
            and x.gateway.now - x.sent < STALE_NS):
        # Closed while it was idle; the request crossed the closing on its way and was never read. It gets a new
        # connection: another used one may be just closing as well, and it is not to be sent a third time.
        x.redialled = 1
        pool.prune(upstream.idle_since)
        return REDIAL
    if upstream.pending is not None:
        return x.fail(provider_response_invalid, "the connection ended in the response head")
    words = "reset" if reason == "Connection reset" else "closed"
    return x.fail(provider_disconnected, f"{words} the connection without an answer")
