"""Usage and fate of an answer, found in passing: whole JSON bodies and server-sent events of three dialects.

Bytes are never changed. What cannot be read is not an error here: an event whose data is no JSON says nothing
about usage and passes through. Sources: WHATWG HTML section 9.2 (event streams); OpenAI API reference (chat
completion chunks, streaming events of responses); Anthropic API reference (streaming messages).

Most events carry nothing of interest, so each line is walked once, and the same walk looks for the two names
(`usage`, `error`) that make a chat chunk worth a scan; events of the other dialects say their type in front.
"""
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

from .scan cimport (
    ABSENT, ARRAY, FALSE_, MAX_NAMES, NULL_, NUMBER, OBJECT, SCAN_NOT_OBJECT, SCAN_OK, STRING, Member, Names,
    NameTable, integer, number, scan,
)

cdef extern from "tap_kernel.h" nogil:
    enum:
        EDGE_SEEN_USAGE
        EDGE_SEEN_ERROR
    const char* edge_line(const char* p, const char* end, unsigned* seen)
    bint edge_has_empty_line(const char* start, const char* p, const char* end)

cdef enum:                      # indices of _top
    ERROR, USAGE, TYPE, ID, CHOICES, DATA, MESSAGE, RESPONSE
cdef enum:                      # indices of _counts
    PROMPT, COMPLETION, PROMPT_DETAILS, INPUT, OUTPUT, INPUT_DETAILS, CACHE_READ, CACHED, CACHE_CREATION

cdef Names _top = Names(("error", "usage", "type", "id", "choices", "data", "message", "response"))
cdef Names _counts = Names((
    "prompt_tokens", "completion_tokens", "prompt_tokens_details", "input_tokens", "output_tokens",
    "input_tokens_details", "cache_read_input_tokens", "cached_tokens",
    "cache_creation_input_tokens"))
cdef Names _none = Names(())
cdef const NameTable* TOP = &_top.table
cdef const NameTable* COUNTS = &_counts.table
cdef const NameTable* NO_NAMES = &_none.table

cdef enum Says:                 # what an event's type says about it; bits
    NOTHING = 0
    SAYS_USAGE = 1
    SAYS_LAST = 2
    SAYS_ERROR = 4

cdef struct Text:
    const char* text            # NULL: there is none
    Py_ssize_t size

cdef struct Event:
    Text type                   # of its `event:` line
    Text data                   # of its `data:` lines, joined where there is more than one
    unsigned seen
    uint32_t lines              # `data:` lines


# ---- usage ----

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


cdef inline int64_t bounded(int64_t count) noexcept nogil:
    """A count that can be added to two others; 0 where none was given."""
    return 0 if count < 0 else min(count, <int64_t>1 << 60)


cdef void read_cache(Tap* tap, const char* buf, const Member* members) noexcept nogil:
    """Anthropic counts apart what was written to its cache, what was read from it, and the rest: input is all three."""
    keep(&tap.fresh, buf, &members[INPUT])
    keep(&tap.written, buf, &members[CACHE_CREATION])
    keep(&tap.usage.cached, buf, &members[CACHE_READ])
    if tap.fresh >= 0:
        tap.usage.input = bounded(tap.fresh) + bounded(tap.written) + bounded(tap.usage.cached)


cdef void read_usage(Tap* tap, const char* buf, const Member* usage) noexcept nogil:
    """Takes over what a usage object says in the tap's dialect."""
    cdef Member members[MAX_NAMES]
    cdef Py_ssize_t where
    if usage.kind != OBJECT:
        return
    buf += usage.start
    if scan(buf, usage.end - usage.start, COUNTS, members, &where) != SCAN_OK:
        return
    if tap.dialect == D_CHAT:
        keep(&tap.usage.input, buf, &members[PROMPT])
        keep(&tap.usage.output, buf, &members[COMPLETION])
        read_details(tap, buf, &members[PROMPT_DETAILS])
        return
    keep(&tap.usage.input, buf, &members[INPUT])
    keep(&tap.usage.output, buf, &members[OUTPUT])
    if tap.dialect == D_RESPONSES:
        read_details(tap, buf, &members[INPUT_DETAILS])
    else:
        read_cache(tap, buf, members)


cdef void read_inner_usage(Tap* tap, const char* buf, const Member* outer) noexcept nogil:
    """The same for the usage inside an event's `message` or `response`."""
    cdef Member members[MAX_NAMES]
    cdef Py_ssize_t where
    if outer.kind == OBJECT and scan(buf + outer.start, outer.end - outer.start, TOP, members,
                                     &where) == SCAN_OK:
        read_usage(tap, buf + outer.start, &members[USAGE])


# ---- small readers ----

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
    if error.kind == NUMBER:
        return number(buf, error) != 0
    if error.kind == STRING:
        return error.end - error.start > 2
    if error.kind == OBJECT or error.kind == ARRAY:
        while buf[at] == c" " or 9 <= buf[at] <= 13:
            at += 1
        return at < error.end - 1
    return True


# ---- whole answers ----

cdef int tap_body(Tap* tap, const char* buf, Py_ssize_t size) noexcept nogil:
    """Reads a whole answer that is not a stream. 0: it is a JSON object; -1: it is not.

    Takes its usage, and sets `terminal`; or `error` with the span of the error object, where a provider sent
    an error under a status of 200. (In D_NONE nothing is looked at and every answer is well.)
    """
    cdef Member members[MAX_NAMES]
    cdef Py_ssize_t where
    cdef bint failed
    if tap.dialect == D_NONE:
        tap.terminal = 1
        return 0
    if scan(buf, size, TOP, members, &where) != SCAN_OK:
        return -1
    if tap.dialect == D_MESSAGES:
        failed = says(string_of(buf, &members[TYPE]), "error", 5)
    elif tap.dialect == D_RESPONSES:            # a stored response that failed has an `error` and an `id`
        failed = members[ID].kind == ABSENT and is_trouble(buf, &members[ERROR])
    else:
        failed = (members[CHOICES].kind == ABSENT and members[DATA].kind == ABSENT
                  and is_trouble(buf, &members[ERROR]))
    if tap.dialect != D_OBJECT:
        read_usage(tap, buf, &members[USAGE])
    if not failed:
        tap.terminal = 1
        return 0
    tap.error = 1
    tap.data = members[ERROR].start if members[ERROR].kind != ABSENT else 0
    tap.data_end = members[ERROR].end if members[ERROR].kind != ABSENT else size
    return 0


# ---- events ----

cdef inline void take_line(Event* event, const char* p, const char* end, unsigned seen) noexcept nogil:
    """One line of an event that is not empty. Comments and other fields say nothing to the gateway."""
    cdef Py_ssize_t size = end - p
    cdef Py_ssize_t name = 4
    if size >= 4 and memcmp(p, "data", 4) == 0:
        pass
    elif size >= 5 and memcmp(p, "event", 5) == 0:
        name = 5
    else:
        return
    if size > name and p[name] != c":":
        return
    p += name
    if p < end:
        p += 1
    if p < end and p[0] == c" ":
        p += 1
    if name == 5:
        event.type = Text(p, end - p)
        return
    if event.lines == 0:
        event.data = Text(p, end - p)
    event.seen |= seen
    event.lines += 1


cdef const char* read_event(Event* event, const char* p, const char* end) noexcept nogil:
    """Reads the event at p. Returns where the next one begins, NULL when this one is not whole yet.

    An empty line that is CR alone ends the event at once, unless the line before ended in CRLF: then an LF
    belongs to it and is waited for. So the same bytes give the same ends however they are cut.
    """
    cdef const char* at
    cdef unsigned seen
    cdef bint crlf = False
    memset(event, 0, sizeof(Event))
    while True:
        seen = 0
        at = edge_line(p, end, &seen)
        if at == end:
            return NULL
        if at == p:
            if at[0] == c"\n" or not crlf:
                return at + 1
            if at + 1 == end:
                return NULL
            return at + 2 if at[1] == c"\n" else at + 1
        take_line(event, p, at, seen)
        crlf = at[0] == c"\r" and at + 1 < end and at[1] == c"\n"
        p = at + 2 if crlf else at + 1


cdef Py_ssize_t join(const char* p, const char* end, char* out) noexcept nogil:
    """The data of an event that spreads it over several lines, put together with LF between them."""
    cdef Event line
    cdef const char* at
    cdef unsigned seen = 0
    cdef Py_ssize_t size = 0
    while p < end:
        at = edge_line(p, end, &seen)
        memset(&line, 0, sizeof(Event))
        take_line(&line, p, at, 0)
        if line.lines:
            memcpy(out + size, line.data.text, <size_t>line.data.size)
            out[size + line.data.size] = c"\n"
            size += line.data.size + 1
        p = at + 1                          # the LF of a CRLF reads as one more empty line
    return size - 1


cdef int type_says(int dialect, Text type) noexcept nogil:
    if says(type, "error", 5):
        return SAYS_ERROR
    if dialect == D_MESSAGES:
        if says(type, "message_start", 13) or says(type, "message_delta", 13):
            return SAYS_USAGE
        return SAYS_LAST if says(type, "message_stop", 12) else NOTHING
    if dialect == D_RESPONSES and (says(type, "response.completed", 18) or says(type, "response.failed", 15)
                                   or says(type, "response.incomplete", 19)):
        return SAYS_USAGE | SAYS_LAST
    return NOTHING


cdef int judge_chat(Tap* tap, const Event* event) noexcept nogil:
    cdef Member members[MAX_NAMES]
    cdef Py_ssize_t where
    if not event.seen:
        return SAYS_LAST if says(event.data, "[DONE]", 6) else NOTHING
    if scan(event.data.text, event.data.size, TOP, members, &where) != SCAN_OK:
        return NOTHING
    if is_trouble(event.data.text, &members[ERROR]):
        return SAYS_ERROR
    read_usage(tap, event.data.text, &members[USAGE])
    return NOTHING


cdef int judge_typed(Tap* tap, const Event* event) noexcept nogil:
    """Events of responses and messages. Without an `event:` line the type inside the data counts, which is
    where the OpenAI SDK looks for it, and so does a bare `error`."""
    cdef Member members[MAX_NAMES]
    cdef Py_ssize_t where
    cdef const char* text = event.data.text
    cdef int said = type_says(tap.dialect, event.type)
    if event.type.size and not said & SAYS_USAGE:
        return said
    if scan(text, event.data.size, TOP, members, &where) != SCAN_OK:
        return said
    if not event.type.size:
        if is_trouble(text, &members[ERROR]):
            return SAYS_ERROR
        said = type_says(tap.dialect, string_of(text, &members[TYPE]))
    if said & SAYS_USAGE:
        read_usage(tap, text, &members[USAGE])
        read_inner_usage(tap, text, &members[RESPONSE if tap.dialect == D_RESPONSES else MESSAGE])
    return said


cdef int judge(Tap* tap, Event* event) noexcept nogil:
    if says(event.type, "error", 5):
        return SAYS_ERROR
    if tap.dialect == D_CHAT:
        return judge_chat(tap, event)
    return judge_typed(tap, event)


cdef int judge_joined(Tap* tap, Event* event, const char* p, const char* end) noexcept nogil:
    """The same for an event whose data stands on several lines, which no provider is known to send."""
    cdef char* text = <char*>malloc(<size_t>(end - p))
    cdef int said
    if text == NULL:
        return NOTHING
    event.data = Text(text, join(p, end, text))
    event.seen = EDGE_SEEN_USAGE | EDGE_SEEN_ERROR      # the names' colons may be on another line
    said = judge(tap, event)
    free(text)
    return said


cdef void set_error(Tap* tap, const char* buf, const Event* event) noexcept nogil:
    cdef Py_ssize_t where
    cdef int result
    tap.error = 1
    tap.scanned = 0
    if event.lines == 1:
        result = scan(event.data.text, event.data.size, NO_NAMES, NULL, &where)
        if result == SCAN_OK or result == SCAN_NOT_OBJECT:
            tap.data = event.data.text - buf
            tap.data_end = tap.data + event.data.size


cdef void tap_begin(Tap* tap, int dialect) noexcept nogil:
    memset(tap, 0, sizeof(Tap))
    tap.dialect = <uint8_t>dialect
    tap.usage = Usage(-1, -1, -1)
    tap.fresh = tap.written = -1


cdef Py_ssize_t tap_events(Tap* tap, const char* buf, Py_ssize_t size) noexcept nogil:
    """Reads the whole events in `buf`; returns the offset behind the last of them, 0 when there is none.

    The caller relays that many bytes and gives the rest again, with more behind it: a tail is not walked
    again until an empty line arrives in what is new, so that feeding stays linear. Stops behind the terminal
    event, and before an error event, which the caller replaces: `data` is the span of its data in `buf`.
    After either, reads nothing more and returns 0. (In D_NONE everything is consumed.)
    """
    cdef Event event
    cdef const char* end = buf + size
    cdef const char* p = buf
    cdef const char* done = buf             # everything before it was consumed
    cdef int said
    if tap.dialect == D_NONE:
        return size
    if tap.terminal or tap.error:
        return 0
    if not tap.begun and size > 3 and memcmp(buf, "\xef\xbb\xbf", 3) == 0:
        p += 3                              # a stream may begin with a byte order mark
    if 0 < tap.scanned <= size and not edge_has_empty_line(p, buf + tap.scanned, end):
        tap.scanned = size
        return 0
    while p < end:
        p = read_event(&event, p, end)
        if p == NULL:
            break
        if event.lines and not says(event.type, "ping", 4):
            said = judge(tap, &event) if event.lines == 1 else judge_joined(tap, &event, done, p)
            if said & SAYS_ERROR:
                set_error(tap, buf, &event)
                return done - buf
            tap.events += 1
            tap.terminal = 1 if said & SAYS_LAST else 0
        done = p
        if tap.terminal:
            end = done
    tap.begun |= done > buf
    tap.scanned = end - done
    return done - buf


# ---- for tests and tools ----

_DIALECTS = {"none": D_NONE, "chat": D_CHAT, "responses": D_RESPONSES, "messages": D_MESSAGES, "object": D_OBJECT}


cdef dict show(const Tap* tap, fed):
    return {"input": tap.usage.input, "output": tap.usage.output, "cached": tap.usage.cached,
            "events": tap.events, "terminal": bool(tap.terminal), "error": bool(tap.error),
            "data": bytes(fed[tap.data:tap.data_end])}


def tap_stream(dialect, chunks):
    """Feeds a stream as a relay does and returns what the tap knows in the end.

    Keys: input, output, cached (-1: not said), events, terminal, error, data (bytes of the error event's
    data), consumed (how many bytes were), tail (the bytes that were not).
    """
    cdef Tap tap
    cdef Py_buffer view
    cdef Py_ssize_t done, consumed = 0
    tap_begin(&tap, _DIALECTS[dialect])
    tail = b""
    data = b""
    for chunk in chunks:
        tail = bytes(tail) + chunk if len(tail) else chunk
        PyObject_GetBuffer(tail, &view, PyBUF_SIMPLE)
        done = tap_events(&tap, <const char*>view.buf, view.len)
        PyBuffer_Release(&view)
        if tap.data_end and not data:
            data = bytes(tail[tap.data:tap.data_end])
        consumed += done
        tail = tail[done:]
    return {**show(&tap, b""), "data": data, "consumed": consumed, "tail": bytes(tail)}


def tap_answer(dialect, body):
    """Reads a whole answer and returns what the tap knows: keys as in `tap_stream` without consumed and tail,
    and `valid`, which is false when the body is not a JSON object."""
    cdef Tap tap
    cdef Py_buffer view
    tap_begin(&tap, _DIALECTS[dialect])
    PyObject_GetBuffer(body, &view, PyBUF_SIMPLE)
    valid = tap_body(&tap, <const char*>view.buf, view.len) == 0
    PyBuffer_Release(&view)
    return {"valid": valid, **show(&tap, body)}
