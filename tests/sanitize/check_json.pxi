# What holds for every JSON text, answer and stream. A check returns what is wrong, or NULL.

# ---- JSON ----

cdef const char* check_member(const char* text, uint32_t size, const Member* member) noexcept:
    """A member's span is a value of its kind, and a number's two readings are of one number."""
    cdef Py_ssize_t where
    cdef int64_t whole = integer(text, member)
    cdef double real = number(text, member)
    if member.kind != NUMBER and (whole != INT64_MIN or not isnan(real)):
        return "what is no number has a value"
    if member.kind == ABSENT:
        return NULL
    if not 0 < member.start < member.end < size:
        return "a member outside of the text"
    if scan(text + member.start, member.end - member.start, &_no_names.table, NULL, &where) != (
            SCAN_OK if member.kind == OBJECT else SCAN_NOT_OBJECT) or text[member.start] == c" ":
        return "a member's value is none"
    if member.kind == NUMBER and (not isfinite(real) or whole != INT64_MIN and <double>whole != real):
        return "a number has two values"
    return NULL


cdef int scan_pieces(Case* c, Member* members, Py_ssize_t* where) noexcept:
    """The text as it may arrive: at random cuts, each time in another place."""
    cdef Scan s
    cdef uint32_t end = 0
    cdef int result = SCAN_MORE
    scan_begin(&s, &_names.table, members)
    while result == SCAN_MORE:
        end = next_cut(c, end, RANDOM) if end < c.size else end
        result = scan_on(&s, put(c, 0, end), end, end < c.size, where)
    return result


cdef bint differ(int got, const Member* members, Py_ssize_t where, int result, const Member* again,
                 Py_ssize_t other) noexcept:
    """Whether two readings of one text tell something else."""
    if got != result:
        return True
    return memcmp(members, again, _names.table.count * sizeof(Member)) != 0 if got == SCAN_OK else other != where


cdef const char* check_scan(Case* c) noexcept:
    cdef Member members[MAX_NAMES]
    cdef Member again[MAX_NAMES]
    cdef Py_ssize_t where = 0, other = 0
    cdef const char* text = NULL
    cdef const char* wrong
    cdef uint32_t cut, size = c.size
    cdef int result = 1, got, i
    global cover_on
    for name in KERNELS:
        use_kernel(name)
        text = put(c, 0, c.size)
        cover_on = True
        got = scan(text, c.size, &_names.table, again, &other)
        cover_on = False
        if result == 1:
            result, where = got, other
            memcpy(members, again, sizeof(members))
        if differ(got, members, where, result, again, other):
            return "two kernels disagree"
        got = scan_pieces(c, again, &other)
        if differ(got, members, where, result, again, other):
            return "other cuts tell something else"
    text = put(c, 0, c.size)
    if result != SCAN_OK:
        if not 0 <= where <= c.size:
            return "the trouble is outside of the text"
        return NULL
    c.accepted = True
    for i in range(_names.table.count):
        wrong = check_member(text, c.size, &members[i])
        if wrong != NULL:
            return wrong
    while text[size - 1] != c"}":
        size -= 1
    cut = edge_below(&c.chance, size)
    if scan(put(c, 0, cut), cut, &_names.table, again, &other) == SCAN_OK or not 0 <= other <= cut:
        return "a beginning is taken for the whole"
    return NULL


# ---- answers and streams ----

cdef struct Told:
    int64_t counts[3]
    uint32_t events
    uint8_t terminal
    uint8_t error
    int valid                   # of a body; of a stream, how many bytes were consumed
    Py_ssize_t data             # bytes of the error, copied to `out`


cdef const char* tell(const Tap* tap, int valid, Told* told) noexcept:
    told.counts[0], told.counts[1], told.counts[2] = tap.usage.input, tap.usage.output, tap.usage.cached
    told.events, told.terminal, told.error, told.valid = tap.events, tap.terminal, tap.error, valid
    if tap.terminal and tap.error:
        return "an end and an error at once"
    if min(told.counts[0], told.counts[1], told.counts[2]) < -1:
        return "a count below none"
    return NULL


cdef const char* tell_error(const Tap* tap, const char* text, Py_ssize_t size, char* out, Told* told) noexcept:
    """The error's span lies in what was given, and is JSON."""
    cdef Py_ssize_t where
    told.data = tap.data_end - tap.data
    if not 0 <= tap.data <= tap.data_end <= size:
        return "an error outside of what was given"
    if told.data and scan(text + tap.data, told.data, &_no_names.table, NULL, &where) not in (SCAN_OK, SCAN_NOT_OBJECT):
        return "an error that is no JSON"
    memcpy(out, text + tap.data, <size_t>told.data)
    return NULL


cdef const char* follow(Case* c, Cuts cuts, char* out, Told* told) noexcept:
    """What is wrong with a stream that is cut so."""
    cdef Tap tap
    cdef const char* wrong
    memset(&tap, 0, sizeof(Tap))
    tap_begin(&tap, c.dialect)
    wrong = feed(&tap, c, cuts, out, told)
    tap_end(&tap)
    return wrong


cdef const char* feed(Tap* tap, Case* c, Cuts cuts, char* out, Told* told) noexcept:
    """Feeds a stream as a relay does: what was not consumed is given again, with more behind it."""
    cdef const char* text
    cdef const char* wrong
    cdef uint32_t at = 0, end = 0
    cdef Py_ssize_t done
    told.data = 0
    while end < c.size and not tap.terminal and not tap.error:
        end = next_cut(c, end, cuts)
        text = put(c, at, end - at)
        done = tap_events(tap, text, end - at)
        if not 0 <= done <= end - at:
            return "more was consumed than given"
        if tap.error:
            wrong = tell_error(tap, text, end - at, out, told)
            if wrong != NULL:
                return wrong
        at += <uint32_t>done
    if (tap.terminal or tap.error) and tap_events(tap, put(c, at, c.size - at), c.size - at):
        return "something was consumed behind the end"
    return tell(tap, at, told)


cdef const char* check_stream(Case* c) noexcept:
    cdef Told whole, part
    cdef char* other = c.out + c.size
    cdef const char* wrong
    cdef Cuts first
    cdef int i
    global cover_on
    memset(&whole, 0, sizeof(Told))
    memset(&part, 0, sizeof(Told))
    # The bytes of a long one cost the square of its length: mostly, its cuts are random.
    first = BYTES if c.size <= 300 or edge_below(&c.chance, 32) == 0 else RANDOM
    use_kernel(KERNELS[0])
    cover_on = True
    wrong = follow(c, WHOLE, c.out, &whole)
    c.accepted = whole.terminal or whole.error
    for i in range(3):
        if wrong == NULL:
            wrong = follow(c, RANDOM if i else first, other, &part)
        cover_on = False
        if wrong == NULL and (memcmp(&whole, &part, sizeof(Told)) or memcmp(c.out, other, <size_t>whole.data)):
            wrong = "other cuts tell something else"
    return wrong


cdef const char* check_body(Case* c) noexcept:
    cdef Tap tap
    cdef Told whole, part
    cdef const char* text = put(c, 0, c.size)
    cdef const char* wrong
    global cover_on
    memset(&tap, 0, sizeof(Tap))
    memset(&whole, 0, sizeof(Told))
    for name in KERNELS:
        memset(&part, 0, sizeof(Told))
        use_kernel(name)
        cover_on = True
        tap_begin(&tap, c.dialect)
        wrong = tell(&tap, tap_body(&tap, text, c.size, False), &part)
        cover_on = False
        if wrong == NULL:
            wrong = tell_error(&tap, text, c.size, c.out, &part)
        if wrong == NULL and part.valid == 0 and not part.terminal and not part.error:
            wrong = "an answer that is neither whole nor an error"
        if wrong != NULL:
            return wrong
        if name is KERNELS[0]:
            whole = part
        if memcmp(&whole, &part, sizeof(Told)):
            return "two kernels disagree"
    c.accepted = whole.valid == 0
    return check_beginning(c) if c.accepted and c.size else NULL


cdef const char* check_beginning(Case* c) noexcept:
    """Wherever a good answer is cut, its beginning is one, and what is said of an error in it lies in it."""
    cdef Tap tap
    cdef Py_ssize_t size = edge_below(&c.chance, <uint32_t>c.size) + 1
    memset(&tap, 0, sizeof(Tap))
    tap_begin(&tap, c.dialect)
    tap.keeps = True
    if tap_body(&tap, put(c, 0, size), size, True) != 0:
        return "a good answer has a beginning that is none"
    if not 0 <= tap.data <= tap.data_end <= size:
        return "an error beyond the beginning"
    return NULL
