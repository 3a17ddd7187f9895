"""A validating JSON scanner (RFC 8259) that finds top-level members without building objects.

It accepts less than orjson, never more, and reads what it accepts alike: UTF-8 is checked everywhere, in
skipped members too, a lone surrogate escape and a number beyond the range of a double are refused. Stricter
than orjson: nesting ends at MAX_DEPTH, a wanted member may be there once, its name is written without escapes, and no
other name may be taken for it by a decoder that ignores case. Where two readers could see two values of `model`, the
gateway must not be the one that picks. (What C's strings end at, an escaped NUL, ends a name for them.)

There is no recursion: the nesting is one bit per level. So a text can be read as it arrives, each piece while it is in
the processor's cache: what is known of its beginning is a Scan. The loops over bytes are in scan_kernel.h, those for
the long strings of requests in scan_blocks.h.
"""
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.math cimport NAN
from libc.stdint cimport INT64_MAX, INT64_MIN, uint64_t
from libc.string cimport memchr, memcmp, memset

cdef extern from "json/scan_kernel.h" nogil:
    int EDGE_KERNELS
    const char** edge_kernels
    void* edge_kernel(int i)
    bint edge_use_kernel(int i)
    bint edge_setup()
    edge_text edge_space(edge_text p, edge_text end)
    edge_text edge_string(edge_text p, edge_text end, edge_part* part, uint8_t* escaped, edge_text* bad)
    edge_text edge_string_rest(edge_text p, edge_text end, edge_part* part, uint8_t* escaped, edge_text* bad)
    edge_text edge_escape(edge_text p, edge_text end, uint32_t* point, edge_text* bad)
    edge_text edge_number(edge_text p, edge_text end, edge_text* bad)
    bint edge_is_cut(edge_text p, edge_text end)
    edge_text edge_word(edge_text p, edge_text end, const char* word, Py_ssize_t length, edge_text* bad)
    double edge_double(const char* text, size_t size)

if not edge_setup():
    raise MemoryError("no C locale")

cdef enum:
    LONGEST = 255               # bytes of a name

cdef enum Due:                  # what a text that is not all there goes on with
    VALUE, NAME, BEHIND, INSIDE     # INSIDE: the rest of a string that is a value


cdef class Names:
    """The names of wanted members, prepared for the scanner: at most 24, 1 to 255 bytes each as UTF-8."""

    def __init__(self, names):
        cdef Py_ssize_t size
        cdef const char* text
        cdef int i = 0
        self.names = tuple(names)
        memset(&self.table, 0, sizeof(NameTable))
        if len(self.names) > MAX_NAMES or len(set(self.names)) < len(self.names):
            raise ValueError(f"at most {MAX_NAMES} names, each once")
        for name in self.names:
            text = PyUnicode_AsUTF8AndSize(name, &size)     # kept by the str itself, which self.names keeps
            if not 0 < size < 256:
                raise ValueError(f"a name has 1 to 255 bytes: {name!r}")
            self.table.name[i] = text
            self.table.length[i] = <uint8_t>size
            self.table.by_length[size & 31] |= <uint32_t>1 << i
            self.table.by_first[<uint8_t>text[0] & 31] |= <uint32_t>1 << i
            i += 1
        self.table.count = i


cdef inline int find(const NameTable* names, edge_text text, Py_ssize_t size) noexcept nogil:
    """The index of a name, or -1."""
    cdef uint32_t likely
    cdef int i = 0
    if size == 0:
        return -1
    likely = names.by_length[size & 31] & names.by_first[text[0] & 31]
    while likely:
        if likely & 1 and names.length[i] == size and memcmp(names.name[i], text, <size_t>size) == 0:
            return i
        likely >>= 1
        i += 1
    return -1


cdef int unescape(edge_text p, edge_text end, uint8_t* plain) noexcept nogil:
    """Writes a name without its escapes (already seen to be valid); returns its length, -1: longer than any name."""
    cdef Py_ssize_t size = 0
    cdef uint32_t point = 0
    cdef edge_text bad
    while p < end:
        if size > LONGEST:
            return -1
        if p[0] != c"\\":
            plain[size] = p[0]
            size += 1
            p += 1
            continue
        p = edge_escape(p, end, &point, &bad)
        size += encode(point, plain + size)
    return <int>size


cdef int fold(const uint8_t* text, Py_ssize_t size, uint8_t* out) noexcept nogil:
    """Writes a name in small letters, as decoders that ignore case compare them; returns its length.

    Beside A to Z those are the long s, the Kelvin sign (Go's, Rust's) and the i without or with its dot (Java's).
    """
    cdef Py_ssize_t i = 0
    cdef int count = 0
    while i < size:
        if size - i > 1 and text[i] == 0xc5 and text[i + 1] == 0xbf:
            out[count] = c"s"
            i += 1
        elif size - i > 1 and text[i] == 0xc4 and text[i + 1] | 1 == 0xb1:
            out[count] = c"i"
            i += 1
        elif size - i > 2 and text[i] == 0xe2 and text[i + 1] == 0x84 and text[i + 2] == 0xaa:
            out[count] = c"k"
            i += 2
        else:
            out[count] = text[i] | 32 if 65 <= text[i] <= 90 else text[i]
        i += 1
        count += 1
    return count


cdef bint is_alike(const NameTable* names, edge_text name, edge_text end, bint escaped) noexcept nogil:
    """Whether some decoder takes this name, which is none of these, for one of them."""
    cdef uint8_t plain[LONGEST + 8]
    cdef uint8_t folded[LONGEST + 8]
    cdef uint8_t wanted[LONGEST + 8]
    cdef Py_ssize_t size = end - name
    cdef int i, count
    if escaped:
        size = unescape(name, end, plain)
        name = plain
        if size > 0 and memchr(name, 0, <size_t>size) != NULL:
            size = <edge_text>memchr(name, 0, <size_t>size) - name      # where C ends a string
    if not 0 < size <= LONGEST:
        return False
    count = fold(name, size, folded)
    for i in range(names.count):
        if (fold(<const uint8_t*>names.name[i], names.length[i], wanted) == count
                and memcmp(folded, wanted, <size_t>count) == 0):
            return True
    return False


cdef inline bint may_be_alike(const NameTable* names, edge_text name, edge_text end) noexcept nogil:
    """The cheap test before it: letters beyond ASCII, or the length and (as letters differ in bit 5) the first one."""
    cdef Py_ssize_t size = end - name
    cdef uint8_t high = 0
    if size == 0:
        return False
    if names.by_length[size & 31] & names.by_first[name[0] & 31]:
        return True
    while name < end:
        high |= name[0]
        name += 1
    return high >= 0x80


cdef int encode(uint32_t point, uint8_t* out) noexcept nogil:
    """Writes a character as UTF-8; returns its length."""
    cdef int size = 1 if point < 0x80 else 2 if point < 0x800 else 3 if point < 0x10000 else 4
    cdef int i
    if size == 1:
        out[0] = <uint8_t>point
        return 1
    for i in range(size - 1, 0, -1):
        out[i] = <uint8_t>(0x80 | (point & 0x3f))
        point >>= 6
    out[0] = <uint8_t>((0xf00 >> size) & 0xff) | <uint8_t>point
    return size


cdef edge_text open_member(Scan* s, edge_text name, edge_text end, bint escaped,
                           edge_text value) noexcept nogil:
    """Opens the member that a top-level name asks for, if any. NULL: it must not be there."""
    cdef int i = -1 if escaped else find(s.names, name, end - name)
    cdef uint8_t c
    s.member = NULL
    if i < 0 and not ((escaped or may_be_alike(s.names, name, end)) and is_alike(s.names, name, end, escaped)):
        return value
    if i < 0 or s.members[i].kind != ABSENT:
        s.bad = name - 1
        s.alike = True
        return NULL
    s.member = &s.members[i]
    s.member.start = value - s.start
    c = value[0]
    s.member.kind = (STRING if c == c'"' else OBJECT if c == c"{" else ARRAY if c == c"["
                     else TRUE_ if c == c"t" else FALSE_ if c == c"f" else NULL_ if c == c"n" else NUMBER)
    return value


cdef inline edge_text read_name(Scan* s, edge_text p) noexcept nogil:
    """From a member's name to its value."""
    cdef uint8_t escaped
    cdef edge_text name = p + 1, behind
    s.bad = p
    if p == s.end or p[0] != c'"':
        return NULL
    behind = edge_string(name, s.end, &s.part, &escaped, &s.bad)
    if behind == NULL:
        return NULL
    p = edge_space(behind, s.end)
    s.bad = p
    if p == s.end or p[0] != c":":
        return NULL
    p = edge_space(p + 1, s.end)
    if p == s.end:
        s.bad = p
        return NULL
    if s.depth == 1 and s.names.count:
        return open_member(s, name, behind - 1, escaped, p)
    return p


cdef inline edge_text read_plain(Scan* s, edge_text p) noexcept nogil:
    """Over a string, a number or a literal."""
    if p[0] == c'"':
        return edge_string(p + 1, s.end, &s.part, &s.escaped, &s.bad)
    if p[0] == c"-" or 48 <= p[0] <= 57:
        if s.part.more and edge_is_cut(p, s.end):
            s.bad = s.end
            return NULL
        return edge_number(p, s.end, &s.bad)
    if p[0] == c"t":
        return edge_word(p, s.end, "true", 4, &s.bad)
    if p[0] == c"f":
        return edge_word(p, s.end, "false", 5, &s.bad)
    if p[0] == c"n":
        return edge_word(p, s.end, "null", 4, &s.bad)
    s.bad = p
    return NULL


cdef inline void close_member(Scan* s, edge_text p) noexcept nogil:
    s.member.end = p - s.start
    s.member.escaped = s.escaped if s.member.kind == STRING else 0
    s.member = NULL


cdef inline edge_text open_level(Scan* s, edge_text p) noexcept nogil:
    """Into an object or array, to what is first in it, or to its end if it is empty."""
    cdef uint64_t bit = <uint64_t>1 << (s.depth & 63)
    if s.depth == MAX_DEPTH:
        return NULL
    s.bad = edge_space(p + 1, s.end)
    if s.bad == s.end:
        return NULL
    s.in_object = p[0] == c"{"
    if s.in_object:
        s.levels[s.depth >> 6] |= bit
    else:
        s.levels[s.depth >> 6] &= ~bit
    s.depth += 1
    return s.bad


cdef inline void close_level(Scan* s) noexcept nogil:
    s.depth -= 1
    if s.depth:
        s.in_object = s.levels[(s.depth - 1) >> 6] >> ((s.depth - 1) & 63) & 1


cdef int leave(Scan* s, edge_text p, int due) noexcept nogil:
    """The text cannot be read on from p: it is wrong, or not all there."""
    if s.alike:
        return SCAN_ALIKE
    if not s.part.more or s.bad < s.end:
        return SCAN_BAD
    s.at = p - s.start
    s.due = due
    return SCAN_MORE


cdef int finish(Scan* s, edge_text p) noexcept nogil:
    """The text has had its value: only space may follow."""
    s.bad = edge_space(p, s.end)
    if s.bad < s.end or s.part.more:
        return leave(s, p, BEHIND)
    s.bad = edge_space(s.start, s.end)
    return SCAN_OK if s.bad[0] == c"{" else SCAN_NOT_OBJECT


cdef int walk(Scan* s) noexcept nogil:
    """Over the text, from where it was left. The outer loop reads a value, the inner one what may stand behind it."""
    cdef edge_text end = s.end, p = s.start + s.at, next
    cdef int due = s.due
    cdef uint8_t c
    if due != INSIDE:
        p = edge_space(p, end)
    while True:
        if due == NAME:
            next = read_name(s, p)
            if next == NULL:
                return leave(s, p, NAME)
            p = next
            due = VALUE
        if due == INSIDE:
            p = edge_string_rest(p, end, &s.part, &s.escaped, &s.bad)
            if p == NULL:
                return leave(s, s.part.at, INSIDE)
        elif due == VALUE:
            s.bad = p
            if p == end:
                return leave(s, p, VALUE)
            c = p[0]
            if c == c"{" or c == c"[":
                next = open_level(s, p)
                if next == NULL:
                    return SCAN_DEEP if s.bad < end else leave(s, p, VALUE)
                p = next
                if p[0] != c + 2:                       # in ASCII, closers stand two behind openers
                    due = NAME if s.in_object else VALUE
                    continue
            else:
                next = read_plain(s, p)
                if next == NULL:
                    return leave(s, s.part.at, INSIDE) if c == c'"' else leave(s, p, VALUE)
                p = next
        while True:
            if s.depth <= 1:
                if s.depth == 0:
                    return finish(s, p)
                if s.member != NULL:
                    close_member(s, p)
            p = edge_space(p, end)
            s.bad = p
            if p == end:
                return leave(s, p, BEHIND)
            c = p[0]
            p += 1
            if c == c",":
                p = edge_space(p, end)
                due = NAME if s.in_object else VALUE
                break
            if c != (c"}" if s.in_object else c"]"):
                return SCAN_BAD
            close_level(s)


cdef void scan_begin(Scan* s, const NameTable* names, Member* members) noexcept nogil:
    """Nothing has been read yet. Names and members must live as long as the scan."""
    s.names = names
    s.members = members
    s.member = NULL
    s.at = 0
    s.due = VALUE
    s.depth = 0
    s.in_object = False
    s.alike = False
    if names.count:
        memset(members, 0, <size_t>names.count * sizeof(Member))


cdef int scan_on(Scan* s, const char* buf, Py_ssize_t size, bint more, Py_ssize_t* where) noexcept nogil:
    """Reads on in a text of which `size` bytes are there now, the same ones first; `more`: it goes on behind them.

    The text may have moved. Strings are read once; a number, a name or a literal that is cut is read again with the
    next piece, so pieces should at least double what is behind `at`. Returns a ScanResult; anything but SCAN_MORE is
    final. Errors as in `scan`.
    """
    cdef int result
    s.start = <edge_text>buf
    s.end = s.start + size
    s.part.more = more
    result = walk(s)
    where[0] = s.bad - s.start
    return result


cdef int scan(const char* buf, Py_ssize_t size, const NameTable* names, Member* members,
              Py_ssize_t* where) noexcept nogil:
    """Validates a whole text and finds the wanted members of its top-level object; the others are ABSENT.

    Returns a ScanResult. Unless it is SCAN_OK, `where` receives the offset of the trouble (`size` where the
    text ends too early; the name of a member that is another one's, or almost) and the members are not to be used.
    """
    cdef Scan s
    scan_begin(&s, names, members)
    return scan_on(&s, buf, size, False, where)


cdef int64_t integer(const char* buf, const Member* member) noexcept nogil:
    """The value of a number written without fraction and exponent; INT64_MIN for it and everything else."""
    cdef const char* p = buf + member.start
    cdef const char* end = buf + member.end
    cdef uint64_t value = 0
    cdef bint minus
    if member.kind != NUMBER or end - p > 20:
        return INT64_MIN
    minus = p[0] == c"-"
    p += minus
    if end - p > 19:                        # 19 digits fit 64 bits without a sign
        return INT64_MIN
    while p < end:
        if not 48 <= p[0] <= 57:
            return INT64_MIN
        value = value * 10 + <uint64_t>(p[0] - 48)
        p += 1
    if value > <uint64_t>INT64_MAX:
        return INT64_MIN
    return -<int64_t>value if minus else <int64_t>value


cdef double number(const char* buf, const Member* member) noexcept nogil:
    """The value of a number as the nearest double, whatever the locale; NaN where the member is none."""
    if member.kind != NUMBER:
        return NAN
    return edge_double(buf + member.start, <size_t>(member.end - member.start))


_KINDS = ("absent", "null", "false", "true", "number", "string", "array", "object")
_BAD = "not JSON, or a wanted member twice"
_REASONS = {SCAN_BAD: _BAD, SCAN_ALIKE: _BAD, SCAN_DEEP: "nested too deep",
            SCAN_NOT_OBJECT: "not an object"}


class ScanError(ValueError):
    """A text that the scanner refuses: why, and at which byte."""

    def __init__(self, reason, position):
        super().__init__(f"{reason} at byte {position}")
        self.reason = reason
        self.position = position


def scan_members(data, names, cuts=()):
    """The top-level members of these names that a JSON object has, for tests and tools.

    A dict of name: (kind, start, end), kind one of null, false, true, number, string, array, object; absent
    ones are left out. Raises ScanError. `data` is any contiguous buffer. With cuts it is given so many bytes at first,
    each time in another place.
    """
    cdef Names wanted_names = Names(names)
    cdef Member members[MAX_NAMES]
    cdef Scan s
    cdef Py_buffer view
    cdef Py_ssize_t position = 0
    cdef int result = SCAN_MORE
    scan_begin(&s, &wanted_names.table, members)
    for text in (*(bytes(data[:cut]) for cut in cuts), data):
        PyObject_GetBuffer(text, &view, PyBUF_SIMPLE)
        if result == SCAN_MORE:
            result = scan_on(&s, <const char*>view.buf, view.len, text is not data, &position)
        PyBuffer_Release(&view)
    if result != SCAN_OK:
        raise ScanError(_REASONS[result], position)
    return {name: (_KINDS[members[i].kind], members[i].start, members[i].end)
            for i, name in enumerate(wanted_names.names) if members[i].kind != ABSENT}


def is_object(bytes data, Names names):
    """Whether the scanner takes a text for a JSON object; nothing is built (what the benchmark times)."""
    cdef Member members[MAX_NAMES]
    cdef Py_ssize_t position
    return scan(data, len(data), &names.table, members, &position) == SCAN_OK


def read_number(data):
    """What `integer` and `number` make of the member `n` of a JSON object, as (int or None, float)."""
    cdef Names wanted_names = Names(("n",))
    cdef Member member
    cdef Py_ssize_t position
    cdef bytes text = data
    if scan(text, len(text), &wanted_names.table, &member, &position) != SCAN_OK:
        raise ScanError("not a JSON object", position)
    whole = integer(text, &member)
    return None if whole == INT64_MIN else whole, number(text, &member)


def kernels():
    """The ways of reading long strings that this processor has, the one chosen at import first."""
    return tuple(edge_kernels[i].decode() for i in range(EDGE_KERNELS) if edge_kernel(i) != NULL)


def use_kernel(name):
    """Reads long strings in one of these ways from now on, in the whole process: for tests and measurements."""
    for i in range(EDGE_KERNELS):
        if edge_kernels[i].decode() == name and edge_use_kernel(i):
            return
    raise ValueError(f"no kernel of this processor: {name!r}")
