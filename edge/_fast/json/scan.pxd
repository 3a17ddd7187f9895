"""A validating JSON scanner (RFC 8259) that finds top-level members without building objects."""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef extern from "json/scan_part.h" nogil:
    ctypedef const uint8_t* edge_text
    ctypedef struct edge_part:
        int more
        edge_text at

cdef enum Kind:
    ABSENT, NULL_, FALSE_, TRUE_, NUMBER, STRING, ARRAY, OBJECT

cdef enum ScanResult:
    SCAN_MORE = 1               # right as far as it is there
    SCAN_OK = 0
    SCAN_BAD = -1               # not JSON
    SCAN_DEEP = -2              # nested deeper than MAX_DEPTH
    SCAN_NOT_OBJECT = -3        # JSON, but not an object at the top
    SCAN_ALIKE = -4             # a wanted member twice, or one whose name some decoders would take for it

cdef enum:
    MAX_DEPTH = 256
    MAX_NAMES = 24

cdef struct Member:
    Py_ssize_t start            # of the value; a string's quotes are inside
    Py_ssize_t end
    uint8_t kind
    uint8_t escaped             # a string that contains a backslash

cdef struct NameTable:
    int count
    uint8_t length[MAX_NAMES]
    const char* name[MAX_NAMES]
    uint32_t by_length[32]      # bit i: name i has this length (modulo 32)
    uint32_t by_first[32]       # bit i: name i has this first byte (modulo 32)

cdef class Names:
    cdef readonly tuple names
    cdef NameTable table

cdef struct Scan:               # how far a text has been read, and what was found
    edge_text start
    edge_text end
    edge_text bad               # what is wrong, once something is
    const NameTable* names
    Member* members
    Member* member              # the wanted top-level member whose value is being read
    Py_ssize_t at               # where to go on
    uint8_t due                 # with what
    uint8_t in_object
    uint8_t escaped             # the value, if it is a string
    uint8_t alike               # what is wrong is a name
    int depth
    uint64_t levels[4]          # MAX_DEPTH bits; bit i: level i is an object, not an array
    edge_part part

cdef void scan_begin(Scan* s, const NameTable* names, Member* members) noexcept nogil
cdef int scan_on(Scan* s, const char* buf, Py_ssize_t size, bint more, Py_ssize_t* where) noexcept nogil
cdef int scan(const char* buf, Py_ssize_t size, const NameTable* names, Member* members,
              Py_ssize_t* where) noexcept nogil
cdef int64_t integer(const char* buf, const Member* member) noexcept nogil
cdef double number(const char* buf, const Member* member) noexcept nogil
