# Request lines and status lines (RFC 9112 sections 3 and 4).

cdef inline int64_t _line_end(const uint8_t* buf, uint32_t at, uint32_t end) noexcept nogil:
    if at >= end:
        return HEAD_MORE
    if buf[at] != CR:
        return HEAD_BAD
    if at + 1 == end:
        return HEAD_MORE
    return at + 2 if buf[at + 1] == LF else HEAD_BAD


cdef int64_t _version(const uint8_t* buf, uint32_t at, uint32_t end, Head* head) noexcept nogil:
    cdef const char* name = b"HTTP/"
    cdef uint32_t i
    for i in range(8):
        if at + i == end:
            return HEAD_MORE
        if i < 5 and buf[at + i] != <uint8_t>name[i]:
            return HEAD_BAD
        if i == 6 and buf[at + i] != c".":
            return HEAD_BAD
        if (i == 5 or i == 7) and not KIND[buf[at + i]] & DIGIT:
            return HEAD_BAD
    if buf[at + 5] != c"1" or buf[at + 7] > c"1":
        return HEAD_VERSION
    head.minor = buf[at + 7] - c"0"
    return at + 8


cdef uint8_t _method(const uint8_t* name, uint32_t length) noexcept nogil:
    if length == 4:
        if memcmp(name, b"POST", 4) == 0:
            return M_POST
        if memcmp(name, b"HEAD", 4) == 0:
            return M_HEAD
    elif length == 3:
        if memcmp(name, b"GET", 3) == 0:
            return M_GET
        if memcmp(name, b"PUT", 3) == 0:
            return M_PUT
    elif length == 5 and memcmp(name, b"PATCH", 5) == 0:
        return M_PATCH
    elif length == 6 and memcmp(name, b"DELETE", 6) == 0:
        return M_DELETE
    elif length == 7 and memcmp(name, b"OPTIONS", 7) == 0:
        return M_OPTIONS
    return M_OTHER


cdef inline int64_t _escape(const uint8_t* buf, uint32_t at, uint32_t end) noexcept nogil:
    """Skip a percent-encoded byte (RFC 3986 2.1)."""
    cdef uint32_t i
    for i in range(at + 1, at + 3):
        if i >= end:
            return HEAD_MORE
        if not KIND[buf[i]] & HEX:
            return HEAD_BAD
    return at + 3


cdef bint _is_host(const uint8_t* host, uint32_t length) noexcept nogil:
    """Tell whether a value is uri-host [":" port] (RFC 9110 7.2), not empty (4.2.1), not merged by commas."""
    cdef uint32_t at = 0
    cdef char literal[46]
    cdef uint8_t address[16]
    if length and host[0] == c"[":
        while at < length and host[at] != c"]":
            at += 1
        if at == length or at - 1 >= sizeof(literal):
            return False
        memcpy(literal, host + 1, at - 1)
        literal[at - 1] = 0
        if inet_pton(AF_INET6, literal, address) != 1:
            return False
        at += 1
    else:
        while at < length and (KIND[host[at]] & HOST or host[at] == c"%"):
            if host[at] == c"%":
                if _escape(host, at, length) <= 0:
                    return False
                at += 2
            at += 1
        if at == 0:
            return False
    if at < length and host[at] == c":":
        at += 1
        while at < length and KIND[host[at]] & DIGIT:
            at += 1
    return at == length


cdef int64_t _authority(const uint8_t* buf, uint32_t start, uint32_t end, uint32_t longest) noexcept nogil:
    """Skip what an absolute-form target has before its path (RFC 9112 3.2.2), a host of http or https.

    It stands for Host, which is not read any further than to see that there is one: nothing of it goes on.
    """
    cdef const char* scheme = b"http://"
    cdef uint32_t at = start, host, i
    for i in range(7):
        if i == 4 and at < end and LOWER[buf[at]] == c"s":
            at += 1
        if at == end:
            return HEAD_MORE
        if LOWER[buf[at]] != <uint8_t>scheme[i]:
            return HEAD_BAD
        at += 1
    host = at
    while at < end and at - start <= longest and buf[at] != c"/" and buf[at] != c"?" and buf[at] != SPACE:
        at += 1
    if at - start > longest:
        return HEAD_TARGET_LONG
    if at == end:
        return HEAD_MORE
    if not _is_host(buf + host, at - host):
        return HEAD_BAD
    return at


cdef int64_t _target(const uint8_t* buf, uint32_t start, uint32_t end, uint32_t longest,
                     Head* head) noexcept nogil:
    """Skip a target in origin-form or absolute-form, and the space behind it."""
    cdef uint32_t at = start, path = start, query = 0
    cdef int64_t step
    if at == end:
        return HEAD_MORE
    if buf[at] != c"/":
        step = _authority(buf, start, end, longest)
        if step <= 0:
            return step
        path = at = <uint32_t>step
    while at < end and at - start <= longest:
        if KIND[buf[at]] & TARGET:
            at += 1
        elif buf[at] == c"?":
            if query == 0:
                query = at
            at += 1
        elif buf[at] == c"%":
            step = _escape(buf, at, end)
            if step <= 0:
                return step
            at = <uint32_t>step
        else:
            break
    if at - start > longest:
        return HEAD_TARGET_LONG
    if at == end:
        return HEAD_MORE
    if buf[at] != SPACE:
        return HEAD_BAD
    head.path = path
    head.path_len = (query if query else at) - path
    if head.path_len == 0:                      # http://host alone means its root: a slash of its own stands for it
        head.path = start + (6 if LOWER[buf[start + 4]] == c"s" else 5)
        head.path_len = 1
    head.query = query if query else at
    head.query_len = at - head.query
    return at + 1


cdef int64_t _asterisk(const uint8_t* buf, uint32_t at, uint32_t end, Head* head) noexcept nogil:
    """Skip the asterisk-form of OPTIONS, and of the HTTP/2 preface: its version is to earn it a 505."""
    cdef bint preface = head.method_len == 3 and memcmp(buf + head.method_at, b"PRI", 3) == 0
    cdef int64_t step
    if head.method != M_OPTIONS and not preface:
        return HEAD_BAD
    head.path = at
    head.path_len = 1
    head.query = at + 1
    head.query_len = 0
    if at + 1 == end:
        return HEAD_MORE
    if buf[at + 1] != SPACE:
        return HEAD_BAD
    if not preface:
        return at + 2
    step = _version(buf, at + 2, end, head)
    return HEAD_BAD if step > 0 else step


cdef int64_t _request_line(const uint8_t* buf, uint32_t end, uint32_t longest, Head* head) noexcept nogil:
    cdef uint32_t start = 0, at
    cdef int64_t step
    if end and buf[0] == CR:
        step = _line_end(buf, 0, end)
        if step <= 0:
            return step
        start = <uint32_t>step
    at = start
    while at < end and KIND[buf[at]] & TOKEN:
        at += 1
    if at - start > MAX_METHOD:
        return HEAD_BAD
    if at == end:
        return HEAD_MORE
    if buf[at] != SPACE or at == start:
        return HEAD_BAD
    head.method_at = start
    head.method_len = <uint16_t>(at - start)
    head.method = _method(buf + start, at - start)
    if head.method_len == 7 and memcmp(buf + start, b"CONNECT", 7) == 0:
        return HEAD_BAD         # its target is an authority (RFC 9112 3.2.3): for forward proxies
    at += 1
    if at < end and buf[at] == c"*":
        step = _asterisk(buf, at, end, head)
    else:
        step = _target(buf, at, end, longest, head)
    if step > 0:
        step = _version(buf, <uint32_t>step, end, head)
    return _line_end(buf, <uint32_t>step, end) if step > 0 else step


cdef int64_t _status_line(const uint8_t* buf, uint32_t end, Head* head) noexcept nogil:
    cdef int64_t step = _version(buf, 0, end, head)
    cdef uint32_t at = 9, i
    if step <= 0:
        return step
    if end == 8:
        return HEAD_MORE
    if buf[8] != SPACE:
        return HEAD_BAD
    head.status = 0
    for i in range(3):
        if at == end:
            return HEAD_MORE
        if not KIND[buf[at]] & DIGIT or (i == 0 and (buf[at] == c"0" or buf[at] > c"5")):
            return HEAD_BAD
        head.status = head.status * 10 + (buf[at] - c"0")
        at += 1
    if head.status == 101:
        return HEAD_BAD         # nobody asked to switch protocols (RFC 9110 7.8)
    if at < end and buf[at] == SPACE:
        at = text_end(buf, at + 1, end)
    return _line_end(buf, at, end)
