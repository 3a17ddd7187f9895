# messages: Anthropic's messages. Events have types; usage comes with the first and with the one before the last.

cdef void heed_message(Tap* tap, const char* text, const Member* members, int said) noexcept nogil:
    if said & SAYS_USAGE:
        read_usage(tap, text, &members[USAGE])
        read_inner_usage(tap, text, &members[MESSAGE])
        read_stop(tap, text, &members[DELTA])


cdef void read_stop(Tap* tap, const char* text, const Member* delta) noexcept nogil:
    cdef Member members[MAX_NAMES]
    cdef Py_ssize_t where
    if delta.kind == OBJECT and scan(text + delta.start, delta.end - delta.start, ENDS, members, &where) == SCAN_OK:
        tap.stopped |= is_said(&members[STOP])


cdef bint message_stopped(const Tap* tap) noexcept nogil:
    return tap.stopped


cdef void count_message(Tap* tap, const char* buf, const Member* members) noexcept nogil:
    """What was written to the cache, what was read from it, and the rest are counted apart: input is all three."""
    keep(&tap.usage.output, buf, &members[OUTPUT])
    keep(&tap.fresh, buf, &members[INPUT])
    keep(&tap.written, buf, &members[CACHE_CREATION])
    keep(&tap.usage.cached, buf, &members[CACHE_READ])
    if tap.fresh >= 0:
        tap.usage.input = bounded(tap.fresh) + bounded(tap.written) + bounded(tap.usage.cached)


cdef inline int64_t bounded(int64_t count) noexcept nogil:
    """A count that can be added to two others; 0 where none was given."""
    return 0 if count < 0 else min(count, <int64_t>1 << 60)


cdef int message_fate(const char* buf, const Member* members) noexcept nogil:
    return AN_ERROR if says(string_of(buf, &members[TYPE]), "error", 5) else GOOD


cdef Sign[3] MESSAGE_SIGNS = [
    Sign(Text(b"message_start", 13), SAYS_USAGE),
    Sign(Text(b"message_delta", 13), SAYS_USAGE),
    Sign(Text(b"message_stop", 12), SAYS_LAST),
]

cdef Dialect MESSAGES
MESSAGES.name = b"messages"
MESSAGES.judged = MESSAGES.has_tokens = True
MESSAGES.last = Text(b'event: message_stop\ndata: {"type":"message_stop"}\n\n', 51)
MESSAGES.signs, MESSAGES.n_signs = &MESSAGE_SIGNS[0], 3
MESSAGES.judge, MESSAGES.heed = judge_typed, heed_message
MESSAGES.count, MESSAGES.fate, MESSAGES.is_whole = count_message, message_fate, message_stopped
