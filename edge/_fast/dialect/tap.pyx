"""Usage and fate of an answer, found in passing: whole JSON bodies and server-sent events of three dialects.

Bytes are never changed, but that usage which only the gateway has asked for is taken out again. Sources: WHATWG HTML
section 9.2 (event streams); OpenAI API reference (chat completion chunks, streaming events of responses); Anthropic API
reference (streaming messages).

An event's data must be a JSON object: clients would fail on anything else, and show their users nothing but that. So
each is scanned, which gives its members, unless it is like those before it but for its text; a chat chunk's choices are
looked into where its line names a finish_reason.
"""
import json

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memmove, memset

from edge._fast.json.scan cimport (
    ABSENT, ARRAY, FALSE_, MAX_NAMES, NULL_, NUMBER, OBJECT, SCAN_MORE, SCAN_NOT_OBJECT, SCAN_OK, STRING, Member,
    Names, NameTable, Scan, integer, number, scan, scan_begin, scan_on,
)
from edge._fast.shared.slab cimport hash_of

cdef extern from "dialect/tap_kernel.h" nogil:
    const char* edge_line(const char* p, const char* end, unsigned* seen)
    bint edge_has_empty_line(const char* start, const char* p, const char* end)
    const char* edge_plain(const char* p, const char* end)

cdef enum:                      # indices of _top
    ERROR, USAGE, TYPE, ID, CHOICES, DATA, MESSAGE, RESPONSE, SEQUENCE, DELTA, STATUS
cdef enum:                      # indices of _counts
    PROMPT, COMPLETION, PROMPT_DETAILS, INPUT, OUTPUT, INPUT_DETAILS, CACHE_READ, CACHED, CACHE_CREATION, TOTAL

cdef Names _top = Names(("error", "usage", "type", "id", "choices", "data", "message", "response",
                         "sequence_number", "delta", "status"))
cdef Names _counts = Names((
    "prompt_tokens", "completion_tokens", "prompt_tokens_details", "input_tokens", "output_tokens",
    "input_tokens_details", "cache_read_input_tokens", "cached_tokens",
    "cache_creation_input_tokens", "total_tokens"))
cdef enum:                      # indices of _ends
    INDEX, FINISH, STOP
cdef Names _ends = Names(("index", "finish_reason", "stop_reason"))
cdef Names _none = Names(())
cdef const NameTable* TOP = &_top.table
cdef const NameTable* COUNTS = &_counts.table
cdef const NameTable* ENDS = &_ends.table
cdef const NameTable* NO_NAMES = &_none.table

include "tap_bodies.pxi"


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


cdef int type_says(const Dialect* dialect, Text type) noexcept nogil:
    cdef const Sign* sign
    cdef int i
    if says(type, "error", 5):
        return SAYS_ERROR
    for i in range(dialect.n_signs):
        sign = &dialect.signs[i]
        if says(type, sign.type.text, sign.type.size):
            return sign.says
    return NOTHING


cdef bint is_done(Text data) noexcept nogil:
    """[DONE], blanks around it or not."""
    while data.size and is_blank(data.text[data.size - 1]):
        data.size -= 1
    while data.size and is_blank(data.text[0]):
        data = Text(data.text + 1, data.size - 1)
    return says(data, "[DONE]", 6)


cdef int unreadable(Text data) noexcept with gil:
    """What our scanner refuses may still be JSON that clients read: half of a surrogate pair, a name given twice."""
    cdef int found = SAYS_NOTHING_READABLE
    try:
        if isinstance(json.loads(PyBytes_FromStringAndSize(data.text, data.size)), dict):
            found = NOTHING
    except ValueError:
        pass
    except RecursionError:
        found = NOTHING
    return found


include "tap_shape.pxi"
include "dialect_chat.pxi"
include "dialect_responses.pxi"
include "dialect_messages.pxi"
include "dialects.pxi"


# ---- what an event says ----

cdef int judge_typed(Tap* tap, Event* event) noexcept nogil:
    """Events of responses and messages. Without an `event:` line the type inside the data counts, which is
    where the OpenAI SDK looks for it, and so does a bare `error`."""
    cdef Member members[MAX_NAMES]
    cdef Py_ssize_t where
    cdef const char* text = event.data.text
    cdef int said = type_says(tap.dialect, event.type)
    if scan(text, event.data.size, TOP, members, &where) != SCAN_OK:
        return NOTHING if is_done(event.data) else said | unreadable(event.data)
    if not event.type.size:
        if is_trouble(text, &members[ERROR]):
            return SAYS_ERROR
        said = type_says(tap.dialect, string_of(text, &members[TYPE]))
    tap.dialect.heed(tap, text, members, said)
    return said


cdef int judge(Tap* tap, Event* event) noexcept nogil:
    cdef int said = SAYS_ERROR if says(event.type, "error", 5) else tap.dialect.judge(tap, event)
    if not said & (SAYS_ERROR | SAYS_NOTHING_READABLE):     # which may be shorter than any part of the answer
        count_bytes(tap, event)
    return said


cdef inline int judge_event(Tap* tap, Event* event) noexcept nogil:
    cdef int said = NOTHING
    if not fits(tap, event):
        said = judge(tap, event)
        if said == NOTHING:
            learn(tap, event)
    return said


cdef int judge_joined(Tap* tap, Event* event, const char* p, const char* end) noexcept nogil:
    """The same for an event whose data stands on several lines, which no provider is known to send."""
    cdef char* text = <char*>malloc(<size_t>(end - p))
    cdef int said
    if text == NULL:
        return NOTHING
    event.data = Text(text, join(p, end, text))
    event.seen = 1                          # the name's colon may be on another line
    said = judge(tap, event) if event.data.size else NOTHING
    event.cut = Text(NULL, 0)
    free(text)
    return said


cdef void set_data(Tap* tap, const char* buf, const Event* event) noexcept nogil:
    """Where the words of an error are, if they are JSON."""
    cdef Py_ssize_t where
    cdef int result
    if event.lines == 1:
        result = scan(event.data.text, event.data.size, NO_NAMES, NULL, &where)
        if result == SCAN_OK or result == SCAN_NOT_OBJECT:
            tap.data = event.data.text - buf
            tap.data_end = tap.data + event.data.size


cdef void tap_begin(Tap* tap, const Dialect* dialect) noexcept nogil:
    tap_end(tap)
    tap.dialect = dialect
    tap.usage = Usage(-1, -1, -1)
    tap.fresh = tap.written = tap.sequence = -1
    tap.least = <uint64_t>-1


cdef void tap_end(Tap* tap) noexcept nogil:
    if tap.shape != NULL:
        forget(tap)
    memset(tap, 0, sizeof(Tap))


cdef bint tap_is_whole(const Tap* tap) noexcept nogil:
    """Whether nothing but the last event is missing, and it can be added."""
    return tap.dialect.last.size > 0 and tap.dialect.is_whole(tap)


cdef inline char* put(char* out, const char* start, const char* end) noexcept nogil:
    if out != start:
        memmove(out, start, <size_t>(end - start))
    return out + (end - start)


cdef Py_ssize_t tap_events(Tap* tap, const char* buf, Py_ssize_t size) noexcept nogil:
    """Reads the whole events in `buf`; returns the offset behind the last of them, 0 when there is none.

    The caller relays `kept` bytes and gives what is behind the offset again, with more behind it: a tail is not walked
    again until an empty line arrives in what is new, so that feeding stays linear. Stops behind the terminal
    event, and before an error event, which the caller replaces: `data` is the span of its data in `buf`.
    After either, reads nothing more and returns 0. (What is not judged is consumed whole.) With `hide`, what is kept is
    moved together at the beginning of `buf`, which must be writable then.
    """
    cdef Event event
    cdef const char* end = buf + size
    cdef const char* p = buf
    cdef const char* done = buf             # everything before it was consumed
    cdef const char* begun                  # the event, behind a byte order mark
    cdef char* out = <char*>buf
    cdef int said
    tap.kept = size
    if not tap.dialect.judged:
        return size
    tap.kept = 0
    if tap.terminal or tap.error:
        return 0
    if not tap.begun and size > 3 and memcmp(buf, "\xef\xbb\xbf", 3) == 0:
        p += 3                              # a stream may begin with a byte order mark
    if 0 < tap.scanned <= size and not edge_has_empty_line(p, buf + tap.scanned, end):
        tap.scanned = size
        return 0
    while p < end:
        begun = p
        p = read_event(&event, p, end)
        if p == NULL:
            break
        said = NOTHING
        if event.lines and (event.data.size or event.lines > 1) and not says(event.type, "ping", 4):
            said = judge_event(tap, &event) if event.lines == 1 else judge_joined(tap, &event, begun, p)
            if said & (SAYS_ERROR | SAYS_NOTHING_READABLE):
                tap.error = T_UNREADABLE if said & SAYS_NOTHING_READABLE else T_SAID
                tap.scanned = 0
                set_data(tap, buf, &event)
                break
            tap.events += 1
            tap.terminal = 1 if said & SAYS_LAST else 0
            if said & SAYS_FAILED:
                tap.failed = 1
                set_data(tap, buf, &event)
        if tap.hide and not said & SAYS_USAGE_ALONE:
            if event.cut.size:
                out = put(out, done, event.cut.text)
                done = event.cut.text + event.cut.size
            out = put(out, done, p)
        done = p
        if tap.terminal:
            end = done
    tap.begun |= done > buf
    tap.kept = out - buf if tap.hide else done - buf
    if not tap.error:
        tap.scanned = end - done
    return done - buf


# ---- an event too long to be held ----

cdef int type_by(Tap* tap, const Event* event) noexcept nogil:
    """What an event says of itself by its beginning, as judge() reads whole ones: its type, or an `error`."""
    cdef Member members[MAX_NAMES]
    cdef Scan s
    cdef Py_ssize_t where
    cdef const char* text = event.data.text
    cdef int said = type_says(tap.dialect, event.type)
    if said & SAYS_ERROR or event.lines == 0 or (event.type.size and tap.dialect.n_signs):
        return said
    scan_begin(&s, TOP, members)
    scan_on(&s, text, event.data.size, True, &where)
    if is_trouble(text, &members[ERROR]):
        return SAYS_ERROR
    return type_says(tap.dialect, string_of(text, &members[TYPE])) if tap.dialect.n_signs else said


cdef bint tap_blind(Tap* tap, const char* buf, Py_ssize_t size) noexcept nogil:
    """Lets an event go on without looking into it; `buf` has its beginning, by which its type is known.

    False: it is the provider's error, which nobody is to see.
    """
    cdef Event event
    cdef unsigned seen = 0
    cdef int said
    cdef const char* p = buf
    cdef const char* end = buf + size
    cdef const char* at
    memset(&event, 0, sizeof(Event))
    while p < end and not event.lines:
        at = edge_line(p, end, &seen)
        take_line(&event, p, at, 0)
        p = at + 1
    said = type_by(tap, &event)
    tap.data = tap.data_end = 0             # its words are too many
    tap.scanned = 0
    if said & SAYS_ERROR:
        tap.error = T_SAID
        return False
    tap.failed = 1 if said & SAYS_FAILED else 0
    tap.blind = 2 if said & SAYS_LAST else 1
    tap.events += 1
    tap.line_begun = (end - 1)[0] != c"\n" and (end - 1)[0] != c"\r"
    tap.line_cr = (end - 1)[0] == c"\r"
    tap.begun = 1
    return True


cdef Py_ssize_t tap_skip(Tap* tap, const char* buf, Py_ssize_t size) noexcept nogil:
    """Looks for the end of such an event: the offset behind it, `size` and still `blind` where it is not there yet."""
    cdef const char* p = buf
    cdef const char* end = buf + size
    cdef const char* at
    cdef unsigned seen = 0
    while p < end:
        at = edge_line(p, end, &seen)
        if at > p:
            tap.line_begun = 1
            tap.line_cr = 0
        if at == end:
            break
        if tap.line_cr and at[0] == c"\n":
            tap.line_cr = 0                 # of a CRLF
        elif not tap.line_begun:
            tap.terminal = tap.blind == 2
            tap.blind = 0
            return at + 1 - buf
        else:
            tap.line_begun = 0
            tap.line_cr = at[0] == c"\r"
        p = at + 1
    return size


# ---- for tests and tools ----

cdef dict show(const Tap* tap, fed):
    return {"input": tap.usage.input, "output": tap.usage.output, "cached": tap.usage.cached,
            "events": tap.events, "terminal": bool(tap.terminal), "error": bool(tap.error),
            "data": bytes(fed[tap.data:tap.data_end])}


cdef dict show_end(const Tap* tap):
    return {"whole": bool(tap_is_whole(tap)), "failed": bool(tap.failed), "sequence": tap.sequence,
            "name": tap.name[:tap.name_size], "unreadable": tap.error == T_UNREADABLE}


def tap_stream(dialect, chunks, hide=False, choices=1):
    """Feeds a stream as a relay does and returns what the tap knows in the end.

    Keys: input, output, cached (-1: not said), events, terminal, error, data (bytes of the error event's
    data), consumed (how many bytes were), tail (the bytes that were not), relayed (what the client gets), whole (it
    would be so without its last event), failed, sequence, name, unreadable. `hide` and `choices` as in Tap.
    """
    cdef Tap tap
    cdef Py_buffer view
    cdef Py_ssize_t done, consumed = 0
    memset(&tap, 0, sizeof(Tap))
    tap_begin(&tap, dialect_named(dialect))
    tap.hide = hide
    tap.choices = choices
    tail = bytearray()
    data = relayed = b""
    for chunk in chunks:
        tail += chunk
        text = bytearray(tail) if hide else bytes(tail)     # to be changed in place
        PyObject_GetBuffer(text, &view, PyBUF_SIMPLE)
        done = tap_events(&tap, <const char*>view.buf, view.len)
        PyBuffer_Release(&view)
        if tap.data_end and not data:
            data = bytes(tail[tap.data:tap.data_end])
        consumed += done
        relayed += text[:tap.kept]
        del tail[:done]
    seen = {**show(&tap, b""), **show_end(&tap), "data": data, "consumed": consumed, "tail": bytes(tail),
            "relayed": bytes(relayed)}
    tap_end(&tap)
    return seen


def skip_event(data, cuts=()):
    """Passes a long event of the chat dialect: how many of the bytes belong to it, -1 where it has not ended."""
    cdef Tap tap
    cdef Py_buffer view
    cdef Py_ssize_t at = 0, done
    memset(&tap, 0, sizeof(Tap))
    tap_begin(&tap, dialect_named("chat"))
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    for end in (*cuts, view.len):
        if not tap.blind:
            tap_blind(&tap, <const char*>view.buf, end)
            at = end
            continue
        done = tap_skip(&tap, <const char*>view.buf + at, end - at)
        at += done
        if not tap.blind:
            break
    PyBuffer_Release(&view)
    return -1 if tap.blind else at


def tap_answer(dialect, body):
    """Reads a whole answer and returns what the tap knows: keys as in `tap_stream` without consumed and tail,
    and `valid`, which is false when the body is not a JSON object."""
    cdef Tap tap
    cdef Py_buffer view
    memset(&tap, 0, sizeof(Tap))
    tap_begin(&tap, dialect_named(dialect))
    PyObject_GetBuffer(body, &view, PyBUF_SIMPLE)
    valid = tap_body(&tap, <const char*>view.buf, view.len, False) == 0
    PyBuffer_Release(&view)
    return {"valid": valid, **show(&tap, body)}
