"""Strict HTTP/1.1 heads: see head.pxd for the shapes.

One pass from the first byte; the first thing wrong decides, so the result is the same however the bytes are
cut: the caller parses from the start again when more have come. Syntax is refused at the byte that breaks it,
a second field where there must be one at its colon, a field's meaning at the end of its line, what the head
lacks as a whole (Host) at its end. Where RFC 9112 leaves a choice:

- origin-form and absolute-form (section 3.2): this is a gateway, no forward proxy, so that the authority of a
  target, or of Host, decides nothing and goes no further; "*" goes with OPTIONS alone. The bytes of a target are
  those of RFC 3986, and "[" and "]", which clients leave bare in query parameters;
- of Transfer-Encoding chunked alone is read; known codings beneath it are 501, and what does not end in it is 400;
- one empty line before the request line is skipped (section 2.2), a second one is garbage;
- no leniency in lines: bare CR or LF, folded lines (5.2), space before the colon (5.1) are refused both ways;
- Content-Length once, also when a second one is equal, and never with Transfer-Encoding (6.3);
- the second space of a status line may be missing when there is no reason (section 4 wants it, many servers
  leave it out).

Steps return the offset at which the next one begins, or a HeadResult that is not positive.
"""
from cpython.buffer cimport Py_buffer, PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.string cimport memchr, memcmp, memcpy, memset, strlen
from libc.stdint cimport int16_t, int64_t, uint8_t, uint16_t, uint32_t

from .writer cimport Writer, put, write_into, written

include "head_bytes.pxi"
include "head_lines.pxi"
include "head_fields.pxi"


cdef inline void _begin(Head* head) noexcept nogil:
    head.size = 0
    head.method = M_OTHER
    head.minor = head.keep_alive = head.chunked = head.expect_continue = head.has_body = 0
    head.status = head.n_fields = 0
    head.path = head.path_len = head.query = head.query_len = head.method_at = 0
    head.method_len = 0
    head.content_length = -1
    head.options = head.nominated = 0


cdef inline void _finish(const uint8_t* buf, uint32_t size, Head* head) noexcept nogil:
    head.size = size
    if head.options & SAID_CLOSE:               # RFC 9112 9.3, in its order
        head.keep_alive = 0
    else:
        head.keep_alive = 1 if head.minor else head.options & SAID_KEEP_ALIVE != 0
    if head.nominated:
        _drop_nominated(buf, head)


cdef int parse_request(const char* buf, size_t size, size_t max_size, size_t max_target,
                       Head* head) noexcept nogil:
    """Parse a request's head from its first byte. Bytes behind the head are left alone."""
    cdef const uint8_t* bytes = <const uint8_t*>buf
    cdef size_t largest = min(max_size, <size_t>MAX_SIZE)
    cdef uint32_t end = <uint32_t>min(size, largest)
    cdef int64_t step
    _begin(head)
    step = _request_line(bytes, end, <uint32_t>min(max_target, largest), head)
    if step > 0:
        step = _fields(bytes, <uint32_t>step, end, False, head)
    if step <= 0:
        return HEAD_LARGE if step == HEAD_MORE and size >= largest else <int>step
    if head.minor == 1 and head.known[K_HOST] < 0:
        return HEAD_BAD
    head.has_body = head.chunked or head.content_length > 0
    head.expect_continue &= head.has_body       # RFC 9110 10.1.1: else there is nothing to wait for
    _finish(bytes, <uint32_t>step, head)
    return HEAD_DONE


cdef int parse_response(const char* buf, size_t size, size_t max_size, bint to_head,
                        Head* head) noexcept nogil:
    """Parse a response's head; to_head: it answers a HEAD request.

    Without a body, chunked and content_length only tell what the fields say. A body that is neither chunked
    nor has a content_length ends with the connection.
    """
    cdef const uint8_t* bytes = <const uint8_t*>buf
    cdef size_t largest = min(max_size, <size_t>MAX_SIZE)
    cdef uint32_t end = <uint32_t>min(size, largest)
    cdef int64_t step
    cdef bint framed
    _begin(head)
    step = _status_line(bytes, end, head)
    if step > 0:
        step = _fields(bytes, <uint32_t>step, end, True, head)
    if step <= 0:
        return HEAD_LARGE if step == HEAD_MORE and size >= largest else <int>step
    framed = head.chunked or head.content_length >= 0
    head.has_body = not (to_head or head.status < 200 or head.status == 204 or head.status == 304)
    if head.status < 200 and (head.chunked or head.content_length > 0):
        return HEAD_BAD                         # RFC 9112 6.1, RFC 9110 8.6: or is the next answer its body?
    _finish(bytes, <uint32_t>step, head)
    if head.has_body and not framed:
        head.keep_alive = 0
    if head.status == 204 and (head.chunked or head.content_length > 0):
        head.keep_alive = 0                     # forbidden, yet seen: whatever follows is nobody's answer
    return HEAD_DONE


cdef void write_relayed(const char* buf, const Head* head, Writer* out) noexcept nogil:
    """Write the fields that go on as "name: value" lines; at most head.size + head.n_fields bytes.

    Neighbours that already stand in that form are copied together: SDKs send all of theirs so.
    """
    cdef uint32_t start = 0, stop = 0, length
    cdef const Field* field
    cdef int i
    for i in range(head.n_fields):
        field = &head.fields[i]
        if not field.relay:
            continue
        length = field.name_len + 2 + field.value_len + 2
        if field.value != field.name + field.name_len + 2 or buf[field.value - 1] != SPACE \
                or buf[field.value + field.value_len] != CR:
            put(out, buf + start, stop - start)
            start = stop = 0
            _write_line(buf, field, out)
        elif field.name == stop:
            stop += length
        else:
            put(out, buf + start, stop - start)
            start = field.name
            stop = start + length
    put(out, buf + start, stop - start)


cdef void _write_line(const char* buf, const Field* field, Writer* out) noexcept nogil:
    put(out, buf + field.name, field.name_len)
    put(out, b": ", 2)
    put(out, buf + field.value, field.value_len)
    put(out, b"\r\n", 2)


# --- for tests and benchmarks ---------------------------------------------------------------------

class HeadError(ValueError):
    """A head that is refused; result: "bad", "large", "target_long", "version" or "coding"."""

    def __init__(self, result):
        super().__init__(result)
        self.result = result


cdef dict _RESULTS = {
    HEAD_BAD: "bad",
    HEAD_LARGE: "large",
    HEAD_TARGET_LONG: "target_long",
    HEAD_VERSION: "version",
    HEAD_CODING: "coding",
}


cdef dict _as_dict(const char* buf, Head* head):
    cdef list fields = []
    cdef Field f
    for i in range(head.n_fields):
        f = head.fields[i]
        fields.append((buf[f.name:f.name + f.name_len], buf[f.value:f.value + f.value_len], bool(f.relay)))
    return {
        "size": head.size,
        "method": buf[head.method_at:head.method_at + head.method_len],
        "method_id": head.method,
        "path": buf[head.path:head.path + head.path_len],
        "query": buf[head.query:head.query + head.query_len],
        "minor": head.minor,
        "status": head.status,
        "keep_alive": bool(head.keep_alive),
        "chunked": bool(head.chunked),
        "content_length": head.content_length if head.content_length >= 0 else None,
        "expect_continue": bool(head.expect_continue),
        "has_body": bool(head.has_body),
        "fields": fields,
        "known": {fields[i][0].lower(): i for i in head.known if i >= 0},
    }


cdef object _outcome(const char* buf, int result, Head* head):
    if result < 0:
        raise HeadError(_RESULTS[result])
    return _as_dict(buf, head) if result == HEAD_DONE else None


def request_head(data, size_t max_size=65536, size_t max_target=8192):
    """Parse a request's head in place: a dict, None when more is needed, HeadError."""
    cdef Head head
    cdef Py_buffer view
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        return _outcome(<char*>view.buf,
                        parse_request(<char*>view.buf, view.len, max_size, max_target, &head), &head)
    finally:
        PyBuffer_Release(&view)


def response_head(data, size_t max_size=65536, bint to_head=False):
    """Parse a response's head in place: a dict, None when more is needed, HeadError."""
    cdef Head head
    cdef Py_buffer view
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        return _outcome(<char*>view.buf,
                        parse_response(<char*>view.buf, view.len, max_size, to_head, &head), &head)
    finally:
        PyBuffer_Release(&view)


def relayed(bytes data not None, bint response=False):
    """Return the field lines that go on to the other side; HeadError when the head is not whole ("more")."""
    cdef Head head
    cdef Writer to
    cdef int result = parse_response(data, len(data), len(data) + 1, False, &head) if response else \
        parse_request(data, len(data), len(data) + 1, len(data), &head)
    if result != HEAD_DONE:
        raise HeadError(_RESULTS.get(result, "more"))
    cdef bytes out = bytes(head.size + head.n_fields)
    write_into(&to, out, len(out))
    write_relayed(data, &head, &to)
    return out[:written(&to)]


def parse_rounds(bytes data not None, int rounds, bint response=False):
    """Parse the same head again and again, for benchmarks; the last result as a number."""
    cdef Head head
    cdef const char* buf = data
    cdef size_t size = len(data)
    cdef int result = 0
    for _ in range(rounds):
        result = parse_response(buf, size, 65536, False, &head) if response else \
            parse_request(buf, size, 65536, 8192, &head)
    return result


def relay_rounds(bytes data not None, int rounds):
    """Write the relayed fields of one request again and again, for benchmarks; the number of bytes."""
    cdef Head head
    cdef bytes out = bytes(2 * len(data))
    cdef Writer to
    cdef const char* buf = data
    cdef size_t size = 0
    if parse_request(buf, len(data), 65536, 8192, &head) == HEAD_DONE:
        for _ in range(rounds):
            write_into(&to, out, len(out))
            write_relayed(buf, &head, &to)
            size = written(&to)
    return size
