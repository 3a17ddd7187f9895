# chat: OpenAI's chat completions, completions and embeddings. Each event is looked into: none has a type, a choice ends
# with its finish_reason, and usage that only the gateway has asked for is taken out again.

cdef int judge_chat(Tap* tap, Event* event) noexcept nogil:
    cdef Member members[MAX_NAMES]
    cdef Py_ssize_t where
    cdef const char* text = event.data.text
    if scan(text, event.data.size, TOP, members, &where) != SCAN_OK:
        return SAYS_LAST if is_done(event.data) else unreadable(event.data)
    if is_trouble(text, &members[ERROR]):
        return SAYS_ERROR
    if tap.keeps and not tap.made:
        remember_id(tap, text, &members[ID])
    if members[CHOICES].kind != ABSENT:
        read_choices(tap, text, &members[CHOICES], event.seen)
    if members[USAGE].kind == ABSENT:
        return NOTHING
    read_usage(tap, text, &members[USAGE])
    if not tap.hide:
        return NOTHING
    if members[USAGE].kind == OBJECT and (members[CHOICES].kind <= NULL_ or is_empty(text, &members[CHOICES])):
        return SAYS_USAGE_ALONE
    event.cut = member_of(text, &members[USAGE])
    return NOTHING


cdef void read_choice(Tap* tap, const char* text, Py_ssize_t size) noexcept nogil:
    cdef Member members[MAX_NAMES]
    cdef Py_ssize_t where
    cdef int64_t index
    if scan(text, size, ENDS, members, &where) != SCAN_OK:
        return
    index = 0 if members[INDEX].kind == ABSENT else integer(text, &members[INDEX])
    if not 0 <= index < 63:
        index = 63                          # one that never finishes here: such a stream needs its [DONE]
    tap.seen |= <uint64_t>1 << index
    if is_said(&members[FINISH]) and index < 63:
        tap.finished |= <uint64_t>1 << index


cdef void read_choices(Tap* tap, const char* text, const Member* choices, bint finishing) noexcept nogil:
    """Which choices have begun, and which have finished. Most chunks have one, its index in front, and go on."""
    cdef const char* p = text + choices.start + 1
    cdef const char* end = text + choices.end - 1
    cdef const char* behind
    if choices.kind != ARRAY:
        return
    if not finishing and end - p > 11 and memcmp(p, b'{"index":0,', 11) == 0:
        tap.seen |= 1
        return
    while p < end:
        behind = behind_value(p, end)
        read_choice(tap, p, behind - p)
        p = behind + 1


cdef bint choices_finished(const Tap* tap) noexcept nogil:
    """Every choice has, as many as were asked for."""
    cdef uint64_t left = tap.finished
    cdef int count = 0
    while left:
        left &= left - 1
        count += 1
    return count > 0 and count >= tap.choices and tap.seen & ~tap.finished == 0


cdef void count_chat(Tap* tap, const char* buf, const Member* members) noexcept nogil:
    keep(&tap.usage.input, buf, &members[PROMPT])
    keep(&tap.usage.output, buf, &members[COMPLETION])
    keep_rest(tap, buf, &members[TOTAL], integer(buf, &members[PROMPT]), integer(buf, &members[COMPLETION]))
    read_details(tap, buf, &members[PROMPT_DETAILS])


cdef int chat_fate(const char* buf, const Member* members) noexcept nogil:
    """An error where nothing else is: some servers have an `error` beside their choices."""
    return AN_ERROR if (members[CHOICES].kind == ABSENT and members[DATA].kind == ABSENT
                        and is_trouble(buf, &members[ERROR])) else GOOD


cdef Dialect CHAT
CHAT.name = b"chat"
CHAT.judged = CHAT.has_tokens = CHAT.mark = True
CHAT.last = Text(b"data: [DONE]\n\n", 14)
CHAT.judge, CHAT.count, CHAT.fate, CHAT.is_whole = judge_chat, count_chat, chat_fate, choices_finished


# ---- usage that nobody but the gateway has asked for ----

cdef Text member_of(const char* text, const Member* usage) noexcept nogil:
    """The member `usage` with one of the commas beside it."""
    cdef const char* start = text + usage.start - 1
    cdef const char* end = text + usage.end
    while start[0] != c":":
        start -= 1
    start -= 1
    while start[0] != c'"':
        start -= 1
    start -= 6                              # "usage" is written without escapes, or it is not found
    while is_blank((start - 1)[0]):
        start -= 1
    if (start - 1)[0] == c",":
        start -= 1
    else:
        while is_blank(end[0]):
            end += 1
        if end[0] == c",":
            end += 1
    return Text(start, end - start)


cdef bint is_empty(const char* text, const Member* array) noexcept nogil:
    cdef const char* p = text + array.start + 1
    while is_blank(p[0]):
        p += 1
    return array.kind == ARRAY and p == text + array.end - 1
