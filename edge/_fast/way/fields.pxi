# fields: a head's fields, and a body's members, as the stages read them.

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


cdef bytes field_named(const char* buf, const Head* head, bytes name):
    """The value of a field that the gateway does not know by number; None: it is not there."""
    cdef int i
    for i in range(head.n_fields):
        if is_named(buf, &head.fields[i], name):
            return value_of(buf, &head.fields[i])
    return None


cdef inline bint is_named(const char* buf, const Field* field, bytes name) noexcept:
    return field.name_len == PyBytes_GET_SIZE(name) and strncasecmp(
        buf + field.name, PyBytes_AS_STRING(name), field.name_len) == 0


cdef inline const Member* members_of(Exchange x) noexcept:
    """The members of a JSON body that was just read, in the order of its route's names."""
    if x.scanning is not None:
        return x.scanning.members
    return x.gateway.members
