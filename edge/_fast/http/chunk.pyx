"""The chunked transfer coding (RFC 9112 section 7.1): see chunk.pxd.

Strict where a lenient reader would see another body: a chunk's size is 1 to 16 hexadecimal digits and below
2^60, lines end in CRLF and nothing else, there is no space in a chunk's first line, not even where 7.1.1
would have "bad" white space read. Chunk extensions are checked and skipped, but nobody who talks to a model
needs them, so that all of a body's together get EXTENSIONS bytes. Trailer fields are checked like other
fields and dropped (7.1.2), in TRAILERS bytes.
"""
from cpython.buffer cimport Py_buffer, PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint8_t, uint64_t

from .head cimport is_token

cdef enum:
    EXTENSIONS = 1024
    TRAILERS = 8192
    MAX_DIGITS = 16

cdef enum:                      # Chunked.state: what the next byte belongs to
    AT_SIZE                     # the first digit of a size
    IN_SIZE
    AT_EXTENSION                # the first byte of an extension's name
    IN_EXTENSION
    AT_VALUE                    # the first byte of an extension's value
    IN_VALUE
    IN_QUOTED
    IN_ESCAPE                   # the byte behind a backslash
    BEHIND_QUOTED
    SIZE_LF                     # the LF of a size's line
    IN_DATA
    DATA_CR
    DATA_LF
    AT_TRAILER                  # the first byte of a trailer's line, or the CR of the empty one
    IN_TRAILER_NAME
    IN_TRAILER_VALUE
    TRAILER_LF
    LAST_LF
    ENDED
    FAILED


cdef void chunk_begin(Chunked* c) noexcept nogil:
    c.left = 0
    c.overhead = 0
    c.state = AT_SIZE
    c.digits = 0


cdef inline bint _is_text(uint8_t byte) noexcept nogil:
    return byte >= 32 and byte != 127 or byte == 9


cdef inline int _digit(uint8_t byte) noexcept nogil:
    if c"0" <= byte <= c"9":
        return byte - c"0"
    byte |= 32
    return byte - c"a" + 10 if c"a" <= byte <= c"f" else -1


cdef uint8_t _extension_byte(Chunked* c, uint8_t byte) noexcept nogil:
    """Take a byte of *( ";" token [ "=" ( token / quoted-string ) ] ) CR; the next state."""
    c.overhead += 1
    if c.overhead > EXTENSIONS:
        return FAILED
    if c.state == IN_QUOTED:
        if byte == c'"':
            return BEHIND_QUOTED
        if byte == c"\\":
            return IN_ESCAPE
        return IN_QUOTED if _is_text(byte) else FAILED
    if c.state == IN_ESCAPE:
        return IN_QUOTED if _is_text(byte) else FAILED
    if c.state == AT_EXTENSION or c.state == AT_VALUE:
        if byte == c'"' and c.state == AT_VALUE:
            return IN_QUOTED
        return c.state + 1 if is_token(byte) else FAILED
    if byte == 13:
        return SIZE_LF
    if byte == c";":
        return AT_EXTENSION
    if byte == c"=" and c.state == IN_EXTENSION:
        return AT_VALUE
    return c.state if c.state != BEHIND_QUOTED and is_token(byte) else FAILED


cdef inline uint8_t _size_byte(Chunked* c, uint8_t byte) noexcept nogil:
    """Take a byte of a chunk's size or of its line's end; the next state."""
    cdef int digit
    if c.state == SIZE_LF:
        c.digits = 0
        if byte != 10:
            return FAILED
        return IN_DATA if c.left else AT_TRAILER
    digit = _digit(byte)
    if digit >= 0:
        if c.digits == MAX_DIGITS or c.left >> 56:
            return FAILED
        c.digits += 1
        c.left = c.left << 4 | <uint64_t>digit
        return IN_SIZE
    if c.state == AT_SIZE:
        return FAILED
    if byte == 13:
        return SIZE_LF
    return AT_EXTENSION if byte == c";" else FAILED


cdef uint8_t _trailer_byte(Chunked* c, uint8_t byte) noexcept nogil:
    """Take a byte of the trailer section; the next state."""
    c.overhead += 1
    if c.overhead > TRAILERS:
        return FAILED
    if c.state == AT_TRAILER:
        if byte == 13:
            return LAST_LF
        return IN_TRAILER_NAME if is_token(byte) else FAILED
    if c.state == IN_TRAILER_NAME:
        if byte == c":":
            return IN_TRAILER_VALUE
        return IN_TRAILER_NAME if is_token(byte) else FAILED
    if c.state == IN_TRAILER_VALUE:
        if byte == 13:
            return TRAILER_LF
        return IN_TRAILER_VALUE if _is_text(byte) else FAILED
    if byte != 10:
        return FAILED
    return AT_TRAILER if c.state == TRAILER_LF else ENDED


cdef int chunk_next(Chunked* c, const char* buf, size_t size, size_t* pos,
                    const char** data, size_t* length) noexcept nogil:
    """Go on from pos to the next piece of payload, the end, or the end of what was given.

    After CHUNK_END and CHUNK_BAD nothing is taken any more and the same is said again.
    """
    cdef size_t at = pos[0]
    cdef uint8_t byte
    while c.state < ENDED and at < size:
        if c.state == IN_DATA:
            data[0] = buf + at
            length[0] = <size_t>min(c.left, <uint64_t>(size - at))
            c.left -= length[0]
            if c.left == 0:
                c.state = DATA_CR
            pos[0] = at + length[0]
            return CHUNK_DATA
        byte = <uint8_t>buf[at]
        at += 1
        if AT_EXTENSION <= c.state <= BEHIND_QUOTED:
            c.state = _extension_byte(c, byte)
        elif c.state < IN_DATA:
            c.state = _size_byte(c, byte)
            if c.state == AT_TRAILER:
                c.overhead = 0
        elif c.state == DATA_CR:
            c.state = DATA_LF if byte == 13 else FAILED
        elif c.state == DATA_LF:
            c.state = AT_SIZE if byte == 10 else FAILED
        else:
            c.state = _trailer_byte(c, byte)
    pos[0] = at
    if c.state == ENDED:
        return CHUNK_END
    return CHUNK_BAD if c.state == FAILED else CHUNK_MORE


class ChunkError(ValueError):
    """A body that breaks the chunked coding."""


cdef int _decode_piece(Chunked* c, object piece, list payload, list rest) except? -2:
    cdef Py_buffer view
    cdef const char* data = NULL
    cdef size_t pos = 0, length = 0
    cdef int result = CHUNK_DATA
    PyObject_GetBuffer(piece, &view, PyBUF_SIMPLE)
    try:
        while result == CHUNK_DATA:
            result = chunk_next(c, <char*>view.buf, view.len, &pos, &data, &length)
            if result == CHUNK_DATA:
                payload.append(data[:length])
        rest.append((<char*>view.buf)[pos:view.len])
    finally:
        PyBuffer_Release(&view)
    return result


def decode_chunked(pieces):
    """Decode a body given in pieces: its payload, the bytes behind its end, whether the end was reached."""
    cdef Chunked c
    cdef int result = CHUNK_MORE
    cdef list payload = [], rest = []
    chunk_begin(&c)
    for piece in pieces:
        result = _decode_piece(&c, piece, payload, rest)
        if result == CHUNK_BAD:
            raise ChunkError("the body breaks the chunked coding")
    return b"".join(payload), b"".join(rest), result == CHUNK_END
