# responses: OpenAI's responses. Events have types and numbers; the last holds the whole response: nobody can add it.

cdef void heed_response(Tap* tap, const char* text, const Member* members, int said) noexcept nogil:
    if members[SEQUENCE].kind == NUMBER:
        tap.sequence = max(tap.sequence, integer(text, &members[SEQUENCE]))
    if said & SAYS_BEGUN:
        remember_name(tap, text, &members[RESPONSE])
    if said & SAYS_USAGE:
        read_usage(tap, text, &members[USAGE])
        read_inner_usage(tap, text, &members[RESPONSE])


cdef void remember_name(Tap* tap, const char* text, const Member* response) noexcept nogil:
    cdef Member members[MAX_NAMES]
    cdef Py_ssize_t where
    cdef Text name
    if response.kind == OBJECT and scan(text + response.start, response.end - response.start, TOP, members,
                                        &where) == SCAN_OK:
        remember_id(tap, text + response.start, &members[ID])
        name = string_of(text + response.start, &members[ID])
        if 0 < name.size <= NAME_ROOM:
            memcpy(tap.name, name.text, <size_t>name.size)
            tap.name_size = <uint8_t>name.size


cdef void count_response(Tap* tap, const char* buf, const Member* members) noexcept nogil:
    keep(&tap.usage.input, buf, &members[INPUT])
    keep(&tap.usage.output, buf, &members[OUTPUT])
    keep_rest(tap, buf, &members[TOTAL], integer(buf, &members[INPUT]), integer(buf, &members[OUTPUT]))
    read_details(tap, buf, &members[INPUT_DETAILS])


cdef int response_fate(const char* buf, const Member* members) noexcept nogil:
    """A stored response that failed has an `error` and an `id`."""
    if not is_trouble(buf, &members[ERROR]):
        return GOOD
    if members[ID].kind == ABSENT:
        return AN_ERROR
    return FAILED if says(string_of(buf, &members[STATUS]), "failed", 6) else GOOD


cdef Sign[4] RESPONSE_SIGNS = [
    Sign(Text(b"response.created", 16), SAYS_BEGUN),
    Sign(Text(b"response.completed", 18), SAYS_USAGE | SAYS_LAST),
    Sign(Text(b"response.incomplete", 19), SAYS_USAGE | SAYS_LAST),
    Sign(Text(b"response.failed", 15), SAYS_USAGE | SAYS_LAST | SAYS_FAILED),
]

cdef Dialect RESPONSES
RESPONSES.name = b"responses"
RESPONSES.judged = RESPONSES.has_tokens = RESPONSES.numbered = True
RESPONSES.signs, RESPONSES.n_signs = &RESPONSE_SIGNS[0], 4
RESPONSES.judge, RESPONSES.heed = judge_typed, heed_response
RESPONSES.count, RESPONSES.fate = count_response, response_fate
