# An event like the ones before it: most differ in their text alone, and a comparison costs a fifth of a scan.
#
# A shape is an event that was scanned and said nothing, with the places at which the next one of its kind differed.
# What equals it everywhere else, and has plain text or a number there, is JSON as well and says as little. Only what
# never decides anything may differ: the members of FREE, and a response's sequence_number, which is read.

cdef enum:
    MISSES = 16                 # events that do not fit, after which the shape is learnt anew
    MISSES_MAX = 255            # where that came to nothing, twice as many as before, up to this

cdef frozenset FREE = frozenset((b'"content"', b'"text"', b'"delta"', b'"obfuscation"', b'"partial_json"',
                                 b'"thinking"', b'"reasoning"', b'"reasoning_content"', b'"arguments"'))


cdef bint is_free(const char* name, Py_ssize_t size) noexcept with gil:
    return PyBytes_FromStringAndSize(name, size) in FREE


cdef inline bint is_named(const Event* event, const Shape* shape) noexcept nogil:
    """Whether the event is of the shape's type. (For no bytes at NULL memcmp takes 80 ns: a masked load is trapped.)"""
    return event.type.size == shape.type_size and (
        shape.type_size == 0 or memcmp(event.type.text, shape.type, shape.type_size) == 0)


cdef inline bint is_part(const Event* event) noexcept nogil:
    """Whether a typed event is some of the answer: others repeat it, or the request. (Without a type who knows?)"""
    return event.type.size == 0 or (
        event.type.size > 5 and memcmp(event.type.text + event.type.size - 5, "delta", 5) == 0)


cdef inline void count_bytes(Tap* tap, const Event* event) noexcept nogil:
    if event.data.size > 6 and (tap.dialect.n_signs == 0 or is_part(event)):    # (6: [DONE])
        tap.bytes += event.data.size
        tap.least = min(tap.least, <uint64_t>event.data.size)


cdef bint fits(Tap* tap, Event* event) noexcept nogil:
    """Whether the event is as the shape says. Does for it what judge() would."""
    cdef Shape* shape = tap.shape
    cdef const char* p = event.data.text
    cdef const char* end = p + event.data.size
    cdef int64_t sequence = -1
    cdef Py_ssize_t at = 0, size
    cdef int i
    if shape == NULL or not shape.known or not is_named(event, shape):
        return False
    for i in range(shape.holes + 1):
        size = (shape.starts[i] if i < shape.holes else shape.size) - at
        if end - p < size or memcmp(p, text_of(shape) + at, <size_t>size):
            return False
        if shape.cut_size and at <= shape.cut < at + size:
            event.cut = Text(p + (shape.cut - at), shape.cut_size)
        p += size
        if i == shape.holes:
            break
        at = shape.ends[i]
        if shape.numbers[i]:
            p = behind_number(p, end, &sequence)
        else:
            p = edge_plain(p, end)
        if p == NULL:
            return False                    # (the text ends at what comes next in the shape: its quote)
    if p != end:
        return False
    tap.sequence = max(tap.sequence, sequence)
    count_bytes(tap, event)
    return True


cdef const char* behind_number(const char* p, const char* end, int64_t* value) noexcept nogil:
    """Where a whole number of at most 18 digits ends; NULL: it is none as JSON writes them."""
    cdef const char* start = p
    value[0] = 0
    while p < end and c"0" <= p[0] <= c"9" and p - start < 18:
        value[0] = value[0] * 10 + (p[0] - c"0")
        p += 1
    if p == start or (start[0] == c"0" and p - start > 1):
        return NULL
    return p


cdef inline char* text_of(const Shape* shape) noexcept nogil:
    return <char*>(shape + 1)


cdef Shape* with_room(Tap* tap, Py_ssize_t size) noexcept with gil:
    """The tap's shape, with room for so long an event. NULL: no memory is left, and each event is scanned.

    It lies among Python's small objects, where they fill their pages: not between uvloop's buffers of 256 KB for TLS.
    """
    cdef Shape* shape = tap.shape
    cdef Py_ssize_t room = (size + 63) & ~<Py_ssize_t>63
    if shape != NULL and shape.room >= size:
        return shape
    shape = <Shape*>PyMem_Realloc(shape, sizeof(Shape) + <size_t>room)
    if shape == NULL:
        return NULL
    if tap.shape == NULL:
        memset(shape, 0, sizeof(Shape))
    shape.room = <uint16_t>room
    tap.shape = shape
    return shape


cdef void forget(Tap* tap) noexcept with gil:
    PyMem_Free(tap.shape)


cdef void learn(Tap* tap, const Event* event) noexcept nogil:
    """Of an event that was scanned, said nothing and did not fit: it becomes an example, or a shape with the last."""
    cdef Shape* shape = tap.shape
    if shape != NULL and shape.wait:
        shape.wait -= 1
        return
    if event.data.size > SHAPE_MAX or event.type.size > TYPE_ROOM:
        return
    shape = with_room(tap, event.data.size)
    if shape == NULL:
        return
    if shape.size and not shape.known and compare(shape, event, tap.dialect.numbered):
        shape.known = 1
        shape.wait = shape.patience = MISSES
    elif shape.size and not shape.known:
        shape.size = 0
        shape.patience = min(<int>MISSES_MAX, 2 * shape.patience + 1)
        shape.wait = shape.patience
        return
    else:
        shape.known = 0
    shape.size = <uint16_t>event.data.size
    memcpy(text_of(shape), event.data.text, <size_t>event.data.size)
    shape.type_size = <uint8_t>event.type.size
    if event.type.size:
        memcpy(shape.type, event.type.text, <size_t>event.type.size)
    shape.cut_size = 0
    if event.cut.size:
        shape.cut = <uint16_t>(event.cut.text - event.data.text)
        shape.cut_size = <uint16_t>event.cut.size


cdef inline const char* behind_string(const char* p, const char* end) noexcept nogil:
    """Behind the string that begins at p, in valid JSON."""
    p += 1
    while p < end and p[0] != c'"':
        p += 2 if p[0] == c"\\" else 1
    return p + 1


cdef inline const char* behind_digits(const char* p, const char* end) noexcept nogil:
    while p < end and c"0" <= p[0] <= c"9":
        p += 1
    return p


cdef bint compare(Shape* shape, const Event* event, bint numbered) noexcept nogil:
    """Finds where the event differs from the example; the places are those in the event. False: in more than may be."""
    cdef const char* a = text_of(shape)
    cdef const char* a_end = a + shape.size
    cdef const char* p = event.data.text
    cdef const char* end = p + event.data.size
    cdef const char* a_next
    cdef const char* next
    cdef Text name = Text(NULL, 0)
    cdef bint number, digit
    if not is_named(event, shape):
        return False
    shape.holes = 0
    while a < a_end and p < end:
        number = c"0" <= p[0] <= c"9"
        digit = c"0" <= a[0] <= c"9"
        if number and digit:
            a_next, next = behind_digits(a, a_end), behind_digits(p, end)
        elif p[0] == c'"' and a[0] == c'"':
            a_next, next = behind_string(a, a_end), behind_string(p, end)
        elif p[0] == a[0]:
            a += 1
            p += 1
            continue
        else:
            return False
        if next - p != a_next - a or memcmp(p, a, <size_t>(next - p)):
            if shape.holes == HOLES or not may_differ(name, p, next, end, numbered):
                return False
            shape.starts[shape.holes] = <uint16_t>(p - event.data.text + (not number))
            shape.ends[shape.holes] = <uint16_t>(next - event.data.text - (not number))
            shape.numbers[shape.holes] = number
            shape.holes += 1
        elif not number:
            name = Text(p, next - p)
        a, p = a_next, next
    return a == a_end and p == end


cdef bint may_differ(Text name, const char* p, const char* next, const char* end, bint numbered) noexcept nogil:
    """Whether this string or number is the value of a member that decides nothing."""
    cdef const char* q = name.text + name.size
    if name.size == 0 or q == end or q[0] != c":":
        return False
    q += 1
    if q < p and q[0] == c" ":
        q += 1
    if q != p or next == end or not (next[0] == c"," or next[0] == c"}"):
        return False                        # it stands elsewhere, or the number goes on
    if p[0] != c'"':
        return numbered and says(name, b'"sequence_number"', 17)
    return is_free(name.text, name.size)
