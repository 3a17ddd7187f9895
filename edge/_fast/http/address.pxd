"""Addresses of clients: as numbers, in networks, and as the proxies in front tell of them."""
from libc.stdint cimport uint64_t

from .head cimport Head

cdef enum:
    ADDRESS_TEXT = 64           # bytes of an address and its port as text, and one
    MAX_HOPS = 32               # of a chain of proxies; who stands before is not looked for
    MAX_PROXY = 4096            # bytes of a PROXY header, its additions (TLVs) included

cdef enum ProxyResult:
    PROXY_MORE = 0
    PROXY_BAD = -1

cdef struct Address:            # IPv6, and IPv4 as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2); all 0: nobody's
    uint64_t high
    uint64_t low

cdef struct Span:               # of addresses, both ends included
    Address first
    Address last

cdef class Networks:
    cdef Span* spans            # sorted, and none touches another
    cdef Py_ssize_t count
    cdef bint hold(self, const Address* address) noexcept nogil

cdef inline uint64_t subscriber(const Address* address) noexcept nogil:
    """The address as one number: IPv4, or of IPv6 the first half, which is one subscriber's."""
    return address.high if address.high else address.low

cdef void from_v4(const void* bytes, Address* found) noexcept nogil
cdef void from_v6(const void* bytes, Address* found) noexcept nogil
cdef bint read_address(const char* at, size_t size, Address* found) noexcept nogil
cdef int trace_back(const char* buf, const Head* head, Networks trusted, Address* client) except -1
cdef Py_ssize_t read_proxy(const char* at, size_t size, Address* client) noexcept nogil
cdef object text_of_address(const Address* address)
