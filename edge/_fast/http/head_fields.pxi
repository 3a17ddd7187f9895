# Field lines (RFC 9112 section 5), and the meaning of those that decide about framing, connection and host.

cdef int _content_length(const uint8_t* text, uint32_t length, Head* head) noexcept nogil:
    cdef int64_t value = 0
    cdef uint32_t i
    if length == 0 or length > 18 or head.chunked:      # 18 digits fit; nobody sends an exabyte
        return HEAD_BAD
    for i in range(length):
        if not KIND[text[i]] & DIGIT:
            return HEAD_BAD
        value = value * 10 + (text[i] - c"0")
    head.content_length = value
    return HEAD_DONE


cdef int _transfer_encoding(const uint8_t* text, uint32_t length, Head* head) noexcept nogil:
    if length == 0 or head.minor == 0 or head.content_length >= 0:      # RFC 9112 6.1, 6.3
        return HEAD_BAD
    if length != 7 or not _same(text, <const uint8_t*>b"chunked", 7):
        return _other_codings(text, length)
    head.chunked = 1
    return HEAD_DONE


cdef int _other_codings(const uint8_t* text, uint32_t length) noexcept nogil:
    """HEAD_CODING where known codings come before chunked; else nobody knows where the body ends (RFC 9112 6.3)."""
    cdef uint32_t at = 0, size = 0, after
    cdef bint coded = False
    while _next_option(text, length, &at, &size):
        after = at + size
        while after < length and (text[after] == SPACE or text[after] == TAB):
            after += 1
        if size == 0 or (after < length and text[after] != c","):
            return HEAD_BAD
        if after == length:
            return HEAD_CODING if coded and size == 7 and _same(text + at, <const uint8_t*>b"chunked", 7) else HEAD_BAD
        if not _is_coding(text + at, size):
            return HEAD_BAD
        coded = True
    return HEAD_BAD


cdef bint _is_coding(const uint8_t* text, uint32_t size) noexcept nogil:
    """Those of IANA's registry of transfer codings but chunked (RFC 9112 7.2)."""
    return (size == 4 and _same(text, <const uint8_t*>b"gzip", 4)
            or size == 6 and _same(text, <const uint8_t*>b"x-gzip", 6)
            or size == 7 and _same(text, <const uint8_t*>b"deflate", 7)
            or size == 8 and _same(text, <const uint8_t*>b"compress", 8)
            or size == 10 and _same(text, <const uint8_t*>b"x-compress", 10))


cdef inline bint _next_option(const uint8_t* text, uint32_t length, uint32_t* at,
                              uint32_t* size) noexcept nogil:
    """Step from one element of a list to the next (RFC 9110 5.6.1, empty ones skipped); false at its end."""
    cdef uint32_t start, i
    at[0] += size[0]
    while at[0] < length and (text[at[0]] == c"," or text[at[0]] == SPACE or text[at[0]] == TAB):
        at[0] += 1
    start = i = at[0]
    while i < length and KIND[text[i]] & TOKEN:
        i += 1
    size[0] = i - start
    return start < length


cdef int _connection(const uint8_t* text, uint32_t length, Head* head) noexcept nogil:
    cdef uint32_t at = 0, size = 0, after
    while _next_option(text, length, &at, &size):
        after = at + size
        while after < length and (text[after] == SPACE or text[after] == TAB):
            after += 1
        if size == 0 or (after < length and text[after] != c","):
            return HEAD_BAD
        if size == 5 and _same(text + at, <const uint8_t*>b"close", 5):
            head.options |= SAID_CLOSE
        elif size == 10 and _same(text + at, <const uint8_t*>b"keep-alive", 10):
            head.options |= SAID_KEEP_ALIVE
        elif head.nominated == MAX_NOMINATED:
            return HEAD_LARGE
        else:
            head.nominated += 1
    return HEAD_DONE


cdef void _drop_nominated(const uint8_t* buf, Head* head) noexcept nogil:
    """Keep back the fields that Connection names (RFC 9110 7.6.1)."""
    cdef uint32_t at, size, i, j, k
    cdef const uint8_t* text
    cdef Field* field
    for i in range(head.n_fields):
        if head.fields[i].known != K_CONNECTION:
            continue
        text = buf + head.fields[i].value
        at = size = 0
        while _next_option(text, head.fields[i].value_len, &at, &size):
            for j in range(head.n_fields):
                field = &head.fields[j]
                if field.name_len != size:
                    continue
                k = 0
                while k < size and LOWER[buf[field.name + k]] == LOWER[text[at + k]]:
                    k += 1
                if k == size:
                    field.relay = 0


cdef int _meaning(const uint8_t* buf, const Field* field, bint response, Head* head) noexcept nogil:
    """Read a field that decides about framing, connection or host."""
    cdef const uint8_t* text = buf + field.value
    if field.known == K_CONTENT_LENGTH:
        return _content_length(text, field.value_len, head)
    if field.known == K_TRANSFER_ENCODING:
        return _transfer_encoding(text, field.value_len, head)
    if field.known == K_CONNECTION:
        return _connection(text, field.value_len, head)
    if response:
        return HEAD_DONE
    if field.known == K_HOST:
        return HEAD_DONE if _is_host(text, field.value_len) else HEAD_BAD
    if field.known == K_EXPECT:
        if field.value_len != 12 or not _same(text, <const uint8_t*>b"100-continue", 12):
            return HEAD_BAD
        head.expect_continue = head.minor       # RFC 9110 10.1.1: an HTTP/1.0 client cannot mean it
    return HEAD_DONE


cdef inline int64_t _fields(const uint8_t* buf, uint32_t at, uint32_t end, bint response,
                            Head* head) noexcept nogil:
    """Skip the field lines and the empty line behind them."""
    cdef uint32_t start, last, once = ONCE_IN_RESPONSES if response else ONCE_IN_REQUESTS
    cdef const Name* name
    cdef Field* field
    cdef int64_t step
    memset(head.known, 0xff, sizeof(head.known))
    while at < end and buf[at] != CR:
        if head.n_fields == MAX_FIELDS:
            return HEAD_LARGE
        field = &head.fields[head.n_fields]
        start = at
        while at < end and KIND[buf[at]] & TOKEN:
            at += 1
        if at - start > MAX_NAME:
            return HEAD_LARGE
        if at == end:
            return HEAD_MORE
        if buf[at] != c":" or at == start:
            return HEAD_BAD
        field.name = start
        field.name_len = <uint16_t>(at - start)
        name = _name(buf + start, at - start, response)
        if name == &UNKNOWN and not response and memchr(buf + start, c"_", at - start) != NULL:
            name = _means_another(buf + start, at - start)
        field.known = name.known
        field.relay = name.responses if response else name.requests
        if field.known != K_OTHER and field.known != K_DROPPED:
            if head.known[field.known] < 0:
                head.known[field.known] = <int16_t>head.n_fields
            elif once >> field.known & 1:
                return HEAD_BAD
        at += 1
        while at < end and (buf[at] == SPACE or buf[at] == TAB):
            at += 1
        start = at
        at = last = text_end(buf, at, end)
        step = _line_end(buf, at, end)
        if step <= 0:
            return step
        while last > start and (buf[last - 1] == SPACE or buf[last - 1] == TAB):
            last -= 1
        field.value = start
        field.value_len = last - start
        at = <uint32_t>step
        if field.known and field.known <= K_EXPECT:
            step = _meaning(buf, field, response, head)
            if step <= 0:
                return step
        head.n_fields += 1
    return _line_end(buf, at, end)
