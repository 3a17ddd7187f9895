# Whole answers, and what the codecs of all dialects read by: usage, errors, values.

cdef inline void keep(int64_t* count, const char* buf, const Member* member) noexcept nogil:
    """The last word counts: providers repeat running totals, and leave out what has not changed."""
    cdef int64_t value = integer(buf, member)
    if value >= 0:
        count[0] = value


cdef void read_details(Tap* tap, const char* buf, const Member* details) noexcept nogil:
    cdef Member members[MAX_NAMES]
    cdef Py_ssize_t where
    if details.kind == OBJECT and scan(buf + details.start, details.end - details.start, COUNTS, members,
                                       &where) == SCAN_OK:
        keep(&tap.usage.cached, buf + details.start, &members[CACHED])


cdef void keep_rest(Tap* tap, const char* buf, const Member* total, int64_t input, int64_t output) noexcept nogil:
    """What a total has beyond both: reasoning, which some providers leave out of the output (xAI, Gemini); or all of
    the input, where nothing else is told (embeddings of Voyage)."""
    cdef int64_t whole = integer(buf, total)
    if whole <= 0 or whole - max(input, <int64_t>0) <= max(output, <int64_t>0):
        return
    if input < 0:
        tap.usage.input = whole - max(output, <int64_t>0)
    else:
        tap.usage.output = whole - input


cdef void read_usage(Tap* tap, const char* buf, const Member* usage) noexcept nogil:
    """Takes over what a usage object says in the tap's dialect."""
    cdef Member members[MAX_NAMES]
    cdef Py_ssize_t where
    if usage.kind != OBJECT or usage.end == 0:
        return
    buf += usage.start
    if scan(buf, usage.end - usage.start, COUNTS, members, &where) != SCAN_OK:
        return
    tap.dialect.count(tap, buf, members)


cdef void read_inner_usage(Tap* tap, const char* buf, const Member* outer) noexcept nogil:
    """The same for the usage inside an event's `message` or `response`."""
    cdef Member members[MAX_NAMES]
    cdef Py_ssize_t where
    if outer.kind == OBJECT and scan(buf + outer.start, outer.end - outer.start, TOP, members,
                                     &where) == SCAN_OK:
        read_usage(tap, buf + outer.start, &members[USAGE])


# ---- values ----

cdef inline bint is_blank(char c) noexcept nogil:
    return c == c" " or 9 <= c <= 13


cdef inline bint says(Text text, const char* word, Py_ssize_t size) noexcept nogil:
    return text.size == size and memcmp(text.text, word, <size_t>size) == 0


cdef Text string_of(const char* buf, const Member* member) noexcept nogil:
    cdef Text text = Text(NULL, 0)
    if member.kind == STRING and not member.escaped:
        text = Text(buf + member.start + 1, member.end - member.start - 2)
    return text


cdef bint is_trouble(const char* buf, const Member* error) noexcept nogil:
    """Whether an `error` member reports one: the OpenAI SDK raises where Python would call its value true."""
    cdef Py_ssize_t at = error.start + 1
    if error.kind == ABSENT or error.kind == NULL_ or error.kind == FALSE_:
        return False
    if error.end == 0:
        return True                         # it has begun, and goes on behind what is there
    if error.kind == NUMBER:
        return number(buf, error) != 0
    if error.kind == STRING:
        return error.end - error.start > 2
    if error.kind == OBJECT or error.kind == ARRAY:
        while buf[at] == c" " or 9 <= buf[at] <= 13:
            at += 1
        return at < error.end - 1
    return True


cdef const char* behind_value(const char* p, const char* end) noexcept nogil:
    """Where a value ends that stands in valid JSON: at the comma or bracket behind it."""
    cdef int depth = 0
    while p < end:
        if p[0] == c'"':
            p += 1
            while p < end and p[0] != c'"':
                p += 2 if p[0] == c"\\" else 1
        elif p[0] == c"{" or p[0] == c"[":
            depth += 1
        elif p[0] == c"}" or p[0] == c"]":
            if depth == 0:
                return p
            depth -= 1
        elif p[0] == c"," and depth == 0:
            return p
        p += 1
    return end


cdef inline bint is_said(const Member* member) noexcept nogil:
    """A reason: a string that is not empty."""
    return member.kind == STRING and member.end - member.start > 2


# ---- whole answers ----

cdef inline void remember_id(Tap* tap, const char* buf, const Member* member) noexcept nogil:
    cdef Text name = string_of(buf, member)
    if tap.keeps and name.size > 0:
        tap.made = hash_of(name.text, name.size)


cdef int tap_body(Tap* tap, const char* buf, Py_ssize_t size, bint more) noexcept nogil:
    """Reads an answer that is not a stream, whole, or with `more` the beginning of one that is too long for that.

    0: it is a JSON object, as far as it is there; -1: it is not. Takes its usage, and sets `terminal`; or `error` with
    the span of the error object, where a provider sent an error under a status of 200. (What is not judged is well.)
    """
    cdef Scan s
    cdef Member members[MAX_NAMES]
    cdef Py_ssize_t where
    cdef int fate
    if not tap.dialect.judged:
        tap.terminal = 1
        return 0
    scan_begin(&s, TOP, members)
    if scan_on(&s, buf, size, more, &where) != (SCAN_MORE if more else SCAN_OK):
        return -1
    remember_id(tap, buf, &members[ID])
    if tap.dialect.has_tokens:
        read_usage(tap, buf, &members[USAGE])
    fate = tap.dialect.fate(buf, members)
    tap.failed = fate == FAILED
    if fate != AN_ERROR:
        tap.terminal = 1
    if fate == GOOD:
        return 0
    if fate == AN_ERROR:
        tap.error = T_SAID
    if members[ERROR].end:
        tap.data, tap.data_end = members[ERROR].start, members[ERROR].end
    elif not more:
        tap.data, tap.data_end = 0, size
    return 0


cdef void tap_tail(Tap* tap, const char* buf, Py_ssize_t size) noexcept nogil:
    """Takes the usage of JSON that was not held, and has ended, from its last bytes: the last object of that name.

    It stands behind all content in each of the dialects, and no string looks like it: its quotes would be escaped.
    """
    cdef Member usage
    cdef const char* end = buf + size
    cdef const char* p = end - 8
    cdef const char* at
    tap.terminal = 1
    while tap.dialect.has_tokens and p > buf:
        if p[0] == c'"' and (p - 1)[0] != c"\\" and memcmp(p, b'"usage"', 7) == 0:
            at = behind_blanks(p + 7, end)
            at = behind_blanks(at + 1, end) if at < end and at[0] == c":" else end
            if at < end and at[0] == c"{":
                memset(&usage, 0, sizeof(Member))
                usage.kind = OBJECT
                usage.start = at - buf
                usage.end = behind_value(at, end) - buf
                read_usage(tap, buf, &usage)
                return
        p -= 1


cdef inline const char* behind_blanks(const char* p, const char* end) noexcept nogil:
    while p < end and is_blank(p[0]):
        p += 1
    return p
