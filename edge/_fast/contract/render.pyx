"""Fills error templates. Everything that does not depend on the request was put together at load time.

A value comes from outside (a path, a model's name, a provider's words), so each one is cut to a length, made
valid UTF-8 and escaped for JSON on its way in. Fields of the head take the request's id alone, reduced to
characters that cannot end a field.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_SIZE
from cpython.long cimport PyLong_Check
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Realloc
from libc.stdint cimport int64_t, uint8_t

from edge._fast.http.writer cimport Writer, put, put_byte, put_bytes, put_number, write_into, written

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL
    long long PyLong_AsLongLongAndOverflow(object number, int* overflow) except? -1

cdef enum:
    STATUS = 64             # two pseudo slots for contracts that name the upstream's own status
    STATUS_NAME = 65
    LONGEST = 512           # bytes of a value from outside
    LONGEST_MESSAGE = 2048  # of a provider's message, which may list what is wrong with a schema
    LONGEST_TOKEN = 128
    GROWTH = 6              # bytes that one byte becomes at most: \u0000
    FIELDS = 1024

# Above this a client library would sleep for longer than its program expects (Anthropic's sleeps as long as
# it is told), so that it is told not to: the program sees the error, with the true time in Retry-After.
cdef int64_t PATIENCE_MS = 60000
cdef int64_t YEAR_MS = 31536000000

NEVER = NEVER_MS
# RFC 9110 section 15, RFC 6585, RFC 7725, and Anthropic's 529. http.HTTPStatus words some of them anew from
# one Python to the next, and they are part of contracts.
PHRASES = {
    400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 406: "Not Acceptable", 407: "Proxy Authentication Required", 408: "Request Timeout",
    409: "Conflict", 410: "Gone", 411: "Length Required", 412: "Precondition Failed", 413: "Content Too Large",
    414: "URI Too Long", 415: "Unsupported Media Type", 416: "Range Not Satisfiable", 417: "Expectation Failed",
    421: "Misdirected Request", 422: "Unprocessable Content", 423: "Locked", 424: "Failed Dependency",
    425: "Too Early", 426: "Upgrade Required", 428: "Precondition Required", 429: "Too Many Requests",
    431: "Request Header Fields Too Large", 451: "Unavailable For Legal Reasons", 500: "Internal Server Error",
    501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
    505: "HTTP Version Not Supported", 507: "Insufficient Storage", 508: "Loop Detected", 529: "Overloaded",
}
SLOTS = {
    "request_id": S_REQUEST_ID, "trace_id": S_TRACE_ID, "retry_after": S_RETRY_AFTER_MS, "field": S_FIELD,
    "expected": S_EXPECTED, "got": S_GOT, "model": S_MODEL, "reason": S_REASON,
    "upstream_status": S_UPSTREAM_STATUS, "upstream_reason": S_UPSTREAM_REASON, "timeout": S_TIMEOUT,
    "message": S_MESSAGE, "line": S_LINE, "method": S_METHOD, "path": S_PATH, "limit": S_LIMIT,
    "status": STATUS, "status_name": STATUS_NAME,
}

cdef struct Facts:          # of one rendering
    int status
    int64_t wait_ms         # NEVER_MS, 0, or how long
    int64_t seconds         # the same, rounded up
    bint wanted             # whether the client is to try again

cdef char* scratch = NULL   # one body at a time: the interpreter's lock is held throughout
cdef Py_ssize_t room = 0
cdef uint8_t PLAIN[256]     # goes into a JSON string as it is
cdef list LINES = []        # status lines of 400 to 499, for answers that keep the upstream's status
cdef list NAMES = []        # and the snake case of their phrases


def _make_tables():
    cdef int i
    for i in range(256):
        PLAIN[i] = 0x20 <= i < 0x7f and i != 0x22 and i != 0x5c
    for i in range(400, 500):
        phrase = PHRASES.get(i, "Client Error")
        LINES.append(f"HTTP/1.1 {i} {phrase}\r\n".encode())
        NAMES.append(phrase.lower().replace(" ", "_").encode())


_make_tables()


cdef class Template:
    """One condition in one contract, for one surface, as bytes with slots.

    `head` has the status line (none where `status` is 0) and the fixed fields, each line with its CRLF. A
    piece is bytes, or (slot, stand-in): the value inside a JSON string; with ~slot it is a JSON value of its
    own, null when missing. `wait_ms` says whether a retry helps: NEVER, 0 for at once, or how long where
    nobody knows better.
    """

    def __cinit__(self, str condition, int status, bytes head, tuple pieces, tuple event_pieces,
                  int wait_ms):
        self.condition = condition
        self.status = status
        self.head = head
        self.pieces = pieces
        self.event_pieces = event_pieces
        self.wait_ms = wait_ms
        self.body_count = len(pieces)
        self.event_count = len(event_pieces)
        self.body_parts = compile_pieces(pieces)
        self.event_parts = compile_pieces(event_pieces)

    def __dealloc__(self):
        PyMem_Free(self.body_parts)
        PyMem_Free(self.event_parts)

    cpdef bytes render(self, list values, bytes extra, bint close):
        """The complete answer. `values` by slot, None where missing; `extra`: field lines, each with CRLF."""
        cdef char room_for_fields[FIELDS]
        cdef Facts facts
        cdef Writer body, fields, out
        cdef bytes line = b""
        cdef bytes answer
        find_facts(self, values, &facts)
        write_into(&body, scratch, room)
        put_pieces(&body, self.body_parts, self.body_count, values, &facts)
        write_into(&fields, room_for_fields, FIELDS)
        put_fields(&fields, values, &facts, written(&body))
        if self.status == 0:
            line = <bytes>LINES[facts.status - 400] if facts.status < 500 else b"HTTP/1.1 502 Bad Gateway\r\n"
        if extra is None:
            extra = b""
        answer = PyBytes_FromStringAndSize(
            NULL, PyBytes_GET_SIZE(line) + PyBytes_GET_SIZE(self.head) + written(&fields) + PyBytes_GET_SIZE(extra)
            + (21 if close else 2) + written(&body))
        write_into(&out, PyBytes_AS_STRING(answer), PyBytes_GET_SIZE(answer))
        put_bytes(&out, line)
        put_bytes(&out, self.head)
        put(&out, fields.start, written(&fields))
        put_bytes(&out, extra)
        if close:
            put(&out, b"connection: close\r\n", 19)
        put(&out, b"\r\n", 2)
        put(&out, body.start, written(&body))
        written(&out)
        return answer

    cpdef bytes event(self, list values):
        """The error as the event that ends a stream which has begun."""
        cdef Facts facts
        cdef Writer out
        find_facts(self, values, &facts)
        write_into(&out, scratch, room)
        put_pieces(&out, self.event_parts, self.event_count, values, &facts)
        return PyBytes_FromStringAndSize(scratch, written(&out))


cdef int find_facts(Template template, list values, Facts* facts) except -1:
    """What a rendering needs to know before its first byte."""
    cdef object given
    cdef int64_t wait
    if values is None or PyList_GET_SIZE(values) != N_SLOTS:
        raise ValueError("a value for each slot, please")
    facts.status = template.status
    if template.status == 0:
        given = values[S_UPSTREAM_STATUS]
        facts.status = clamped(given, 0, 999) if PyLong_Check(given) else 0
        if facts.status < 400 or facts.status > 499:
            facts.status = 502              # there is no status of the client's own to repeat
    facts.wait_ms = template.wait_ms
    if PyLong_Check(values[S_RETRY_AFTER_MS]):
        wait = clamped(values[S_RETRY_AFTER_MS], NEVER_MS, YEAR_MS)
        if wait == NEVER_MS:
            facts.wait_ms = NEVER_MS
        elif template.wait_ms > 0:
            facts.wait_ms = max(<int64_t>1, wait)
    facts.seconds = (facts.wait_ms + 999) // 1000 if facts.wait_ms > 0 else 1
    facts.wanted = facts.wait_ms != NEVER_MS and facts.wait_ms <= PATIENCE_MS
    if values[S_FINAL] is not None:
        facts.wanted = not values[S_FINAL]
    return 0


cdef Piece* compile_pieces(tuple pieces) except NULL:
    """The pieces as C, and room for the longest text they can become."""
    global scratch, room
    cdef Py_ssize_t needed = 0
    cdef int i, slot
    cdef void* grown
    cdef bytes text
    cdef Piece* parts
    for piece in pieces:
        slot, text = piece if isinstance(piece, tuple) else (STATUS, piece)
        if not (-S_FINAL <= slot < S_FINAL or slot in (STATUS, STATUS_NAME, ~STATUS, ~STATUS_NAME)) or text is None:
            raise ValueError("no such slot")
        needed += GROWTH * LONGEST_MESSAGE + 8 + PyBytes_GET_SIZE(text)
    if needed > room:
        grown = PyMem_Realloc(scratch, needed)
        if grown == NULL:
            raise MemoryError()
        scratch = <char*>grown
        room = needed
    parts = <Piece*>PyMem_Calloc(len(pieces) + 1, sizeof(Piece))
    if parts == NULL:
        raise MemoryError()
    for i, piece in enumerate(pieces):
        slot, text = piece if isinstance(piece, tuple) else (0, piece)
        parts[i].whole = slot < 0
        parts[i].slot = -1 if isinstance(piece, bytes) else ~slot if slot < 0 else slot
        parts[i].text = PyBytes_AS_STRING(text)
        parts[i].size = PyBytes_GET_SIZE(text)
    return parts


cdef int64_t clamped(object number, int64_t low, int64_t high) except? -1:
    cdef int overflow = 0
    cdef int64_t value = PyLong_AsLongLongAndOverflow(number, &overflow)
    if overflow:
        return high if overflow > 0 else low
    return low if value < low else high if value > high else value


cdef int put_fields(Writer* out, list values, const Facts* facts, Py_ssize_t body_size) except -1:
    """Content-Length, both ids, and what client libraries ask before they try again.

    OpenAI's SDK reads x-request-id, Anthropic's request-id; both obey x-should-retry and read retry-after-ms
    before retry-after.
    """
    cdef char* name
    cdef Py_ssize_t size
    put(out, b"content-length: ", 16)
    put_number(out, body_size)
    put(out, b"\r\nx-request-id: ", 16)
    name = out.at
    put_token(out, values[S_REQUEST_ID])
    size = out.at - name
    put(out, b"\r\nrequest-id: ", 14)
    put(out, name, size)
    if facts.wait_ms > 0:
        put(out, b"\r\nretry-after: ", 15)
        put_number(out, facts.seconds)
        put(out, b"\r\nretry-after-ms: ", 18)
        put_number(out, facts.wait_ms)
    if facts.wanted:
        put(out, b"\r\nx-should-retry: true\r\n", 24)
    else:
        put(out, b"\r\nx-should-retry: false\r\n", 25)
    return 0


cdef int put_pieces(Writer* out, const Piece* piece, int count, list values, const Facts* facts) except -1:
    cdef const Piece* end = piece + count
    while piece < end:
        if piece.slot < 0:
            put(out, piece.text, piece.size)
        elif piece.whole:
            put_whole(out, piece, values, facts)
        else:
            put_slot(out, piece, values, facts)
        piece += 1
    return 0


cdef int put_whole(Writer* out, const Piece* piece, list values, const Facts* facts) except -1:
    """A JSON value of its own: a string, or null for a value that is missing."""
    if piece.slot < N_SLOTS and piece.slot > S_RETRY_AFTER_MS and values[piece.slot] is None:
        put(out, b"null", 4)
        return 0
    put_byte(out, 0x22)
    put_slot(out, piece, values, facts)
    put_byte(out, 0x22)
    return 0


cdef int put_slot(Writer* out, const Piece* piece, list values, const Facts* facts) except -1:
    """A value inside a JSON string."""
    cdef object value
    if piece.slot == S_REQUEST_ID or piece.slot == S_TRACE_ID:
        return put_token(out, values[piece.slot])
    if piece.slot == S_RETRY_AFTER_MS or piece.slot == STATUS:
        put_number(out, facts.seconds if piece.slot == S_RETRY_AFTER_MS else facts.status)
        return 0
    if piece.slot == STATUS_NAME:
        value = <bytes>NAMES[facts.status - 400] if facts.status < 500 else b"bad_gateway"
    else:
        value = values[piece.slot]
    if value is None:
        put(out, piece.text, piece.size)
        return 0
    return put_value(out, value, LONGEST_MESSAGE if piece.slot == S_MESSAGE else LONGEST)


cdef int put_value(Writer* out, object value, Py_ssize_t longest) except -1:
    """Any object's text, cut behind a character, escaped. Bytes are UTF-8, or as much of it as they are."""
    cdef const char* data = NULL
    cdef Py_ssize_t size = 0, cut
    if not isinstance(value, (bytes, str)):
        value = str(value)
    if isinstance(value, str):
        try:
            data = PyUnicode_AsUTF8AndSize(value, &size)
        except UnicodeEncodeError:          # lone surrogates
            value = (<str>value).encode("utf-8", "replace")
    if isinstance(value, bytes):
        data = PyBytes_AS_STRING(value)
        size = PyBytes_GET_SIZE(value)
    if size <= longest:
        put_text(out, <const uint8_t*>data, size)
        return 0
    cut = longest
    while cut > longest - 4 and (<uint8_t>data[cut] & 0xc0) == 0x80:
        cut -= 1
    put_text(out, <const uint8_t*>data, cut)
    put(out, b"...", 3)
    return 0


cdef void put_text(Writer* out, const uint8_t* data, Py_ssize_t size) noexcept:
    """UTF-8 -> the inside of a JSON string. Invalid bytes become U+FFFD, one for each maximal part.

    Escaped besides what RFC 8259 section 7 asks for: U+0080 to U+009F, U+2028 and U+2029, at which readers of
    event streams may split lines.
    """
    cdef Py_ssize_t i = 0, n
    cdef uint8_t c
    while i < size:
        n = i
        while i < size and PLAIN[data[i]]:
            i += 1
        put(out, <const char*>data + n, i - n)
        if i == size:
            return
        c = data[i]
        if c < 0x80:
            put_escape(out, c)
            i += 1
            continue
        n = sequence(data + i, size - i)
        if n < 0:
            put(out, b"\xef\xbf\xbd", 3)
            i -= n
            continue
        if c == 0xc2 and data[i + 1] < 0xa0:
            put_unicode(out, data[i + 1])
        elif c == 0xe2 and data[i + 1] == 0x80 and (data[i + 2] | 1) == 0xa9:
            put_unicode(out, 0x2000 + (data[i + 2] & 0x3f))
        else:
            put(out, <const char*>data + i, n)
        i += n


cdef Py_ssize_t sequence(const uint8_t* data, Py_ssize_t size) noexcept:
    """The length of the well-formed sequence at `data`, which is not ASCII; negative: of the part to replace.

    Unicode, table 3-7.
    """
    cdef uint8_t c = data[0]
    cdef uint8_t low = 0x80, high = 0xbf
    cdef Py_ssize_t length, i
    if 0xc2 <= c <= 0xdf:
        length = 2
    elif 0xe0 <= c <= 0xef:
        length = 3
        low = 0xa0 if c == 0xe0 else 0x80
        high = 0x9f if c == 0xed else 0xbf
    elif 0xf0 <= c <= 0xf4:
        length = 4
        low = 0x90 if c == 0xf0 else 0x80
        high = 0x8f if c == 0xf4 else 0xbf
    else:
        return -1
    for i in range(1, length):
        if i >= size or data[i] < low or data[i] > high:
            return -i
        low = 0x80
        high = 0xbf
    return length


cdef void put_escape(Writer* out, uint8_t c) noexcept:
    cdef char short = 0
    if c == 0x22 or c == 0x5c:
        short = c
    elif c == 0x0a:
        short = b"n"
    elif c == 0x0d:
        short = b"r"
    elif c == 0x09:
        short = b"t"
    if short == 0:
        put_unicode(out, c)
        return
    put_byte(out, 0x5c)
    put_byte(out, short)


cdef void put_unicode(Writer* out, int code) noexcept:
    cdef int shift = 12
    put(out, b"\\u", 2)
    while shift >= 0:
        put_byte(out, b"0123456789abcdef"[(code >> shift) & 15])
        shift -= 4


cdef int put_token(Writer* out, object value) except -1:
    """An id, the same in field and body: visible ASCII that needs no escape in either; `-` when missing."""
    cdef const uint8_t* data
    cdef Py_ssize_t size, i
    if isinstance(value, str):
        value = (<str>value).encode("ascii", "replace")
    if not isinstance(value, bytes) or PyBytes_GET_SIZE(value) == 0:
        put(out, b"-", 1)
        return 0
    data = <const uint8_t*>PyBytes_AS_STRING(value)
    size = min(PyBytes_GET_SIZE(value), LONGEST_TOKEN)
    for i in range(size):
        put_byte(out, data[i] if PLAIN[data[i]] and data[i] != 0x20 else b"_")
    return 0
