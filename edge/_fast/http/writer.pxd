"""The one way into a buffer of fixed size: a cursor that knows its end.

What does not fit is left out, and the cursor remembers that: `written` is the one place where it is noticed. All of it
is inline: a comparison more than a bare pointer.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

cdef struct Writer:
    char* start
    char* at
    char* end
    bint full                   # something did not fit: nothing of what stands there may be used


cdef inline void write_into(Writer* out, char* start, Py_ssize_t room) noexcept nogil:
    out.start = start
    out.at = start
    out.end = start + room
    out.full = False


cdef inline void put(Writer* out, const char* data, Py_ssize_t size) noexcept nogil:
    if size > out.end - out.at:
        out.full = True
        return
    memcpy(out.at, data, size)
    out.at += size


cdef inline void put_byte(Writer* out, char byte) noexcept nogil:
    if out.at == out.end:
        out.full = True
        return
    out.at[0] = byte
    out.at += 1


cdef inline void put_bytes(Writer* out, bytes data) noexcept:
    put(out, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))


cdef inline void put_digits(Writer* out, uint64_t value, unsigned int base) noexcept nogil:
    cdef char digits[20]
    cdef int n = 20
    while True:
        n -= 1
        digits[n] = b"0123456789abcdef"[value % base]
        value //= base
        if value == 0:
            break
    put(out, digits + n, 20 - n)


cdef inline void put_number(Writer* out, uint64_t value) noexcept nogil:
    put_digits(out, value, 10)


cdef inline void put_hex(Writer* out, uint64_t value) noexcept nogil:
    put_digits(out, value, 16)


cdef inline Py_ssize_t written(const Writer* out) except -1:
    """Bytes. OverflowError where something did not fit: a limit that should have kept it out is wrong."""
    if out.full:
        raise OverflowError(f"more than {out.end - out.start} bytes for a buffer")
    return out.at - out.start
