# What is inside a chat chunk or a message's end: choices that finish, and usage that is to be taken out.

# ---- the ends of choices ----

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


cdef void read_stop(Tap* tap, const char* text, const Member* delta) noexcept nogil:
    cdef Member members[MAX_NAMES]
    cdef Py_ssize_t where
    if delta.kind == OBJECT and scan(text + delta.start, delta.end - delta.start, ENDS, members, &where) == SCAN_OK:
        tap.stopped |= is_said(&members[STOP])


cdef bint tap_is_whole(const Tap* tap) noexcept nogil:
    """Whether nothing but the last event is missing: every choice has finished, or the message has stopped."""
    cdef uint64_t left = tap.finished
    cdef int count = 0
    while left:
        left &= left - 1
        count += 1
    if tap.dialect == D_CHAT:
        return count > 0 and count >= tap.choices and tap.seen & ~tap.finished == 0
    return tap.dialect == D_MESSAGES and tap.stopped


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


cdef inline char* put(char* out, const char* start, const char* end) noexcept nogil:
    if out != start:
        memmove(out, start, <size_t>(end - start))
    return out + (end - start)
