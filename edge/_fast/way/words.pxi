# words: what a body is by its first bytes, and what a provider's own error says.

cdef enum Look:                 # of a body, by its first bytes
    L_BLANK                     # nothing has been said yet
    L_OBJECT
    L_EVENTS
    L_OTHER                     # a page, a word, JSON that is no object


cdef tuple EVENT_FIELDS = (b"data", b"event", b"id", b"retry")


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


cdef int not_an_object(Exchange x, int look) except -1:
    """A body, or its beginning, that is not what was asked for."""
    x.undone = look == L_BLANK or look == L_OTHER
    return x.fail(provider_response_invalid, (
        "empty response", "response is not valid JSON", "an event stream in place of a plain answer",
        "no event stream, but something else" if x.stream else "response is not a JSON object")[look])


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
    x.say(S_UPSTREAM_STATUS, status)
    x.say(S_UPSTREAM_REASON, REASONS.get(status, "Unknown"))
    if message:
        x.say(S_MESSAGE, message)
    if condition == provider_timeout:       # its patience, not ours
        x.say(S_REASON, f"gave up: {status} {x.values[S_UPSTREAM_REASON]}")
    return condition


cdef int misplaced(Exchange x, str what) except -1:
    """Who is asked does not know what we ask for, as the configuration leads to the wrong place."""
    x.told = True
    tell_misplaced(x.target.pool, what)
    return x.fail(provider_misconfigured, what)


cdef int tell_misplaced(Pool pool, str what) except -1:
    """Said once, until the configuration changes: each request that fails of it has a line of its own."""
    if not pool.misplaced:
        pool.misplaced = True
        pool.gateway.notice("provider is asked in the wrong place", {
            "provider": pool.name, "base_url": pool.provider.base_url, "reason": what,
            "way_out": f"check base_url of providers.{pool.name}: its scheme, host, port and path"})
    return 0
