"""Addresses of clients: see address.pxd for the shapes.

What stands in X-Forwarded-For was written by whoever sent it. It is read from the right, and as far as those who wrote
it are trusted: the first address that no trusted proxy has is the client's, and what stands before it is its own word.
"""
import ipaddress

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memchr, memcmp, memcpy

from .head cimport K_X_FORWARDED_FOR, Field, Head, parse_request

cdef extern from * nogil:
    """
    #include <arpa/inet.h>
    #include <endian.h>
    """
    int AF_INET, AF_INET6
    int inet_pton(int family, const char* text, void* found)
    uint64_t be64toh(uint64_t value)
    uint32_t be32toh(uint32_t value)

cdef uint64_t MAPPED = 0xffff00000000      # the lower half of an IPv4 address begins so
_MAPPED = ipaddress.ip_network("::ffff:0:0/96")


cdef void from_v4(const void* bytes, Address* found) noexcept nogil:
    """Of four bytes in the order of the network."""
    cdef uint32_t number
    memcpy(&number, bytes, 4)
    found.high = 0
    found.low = MAPPED | be32toh(number)


cdef void from_v6(const void* bytes, Address* found) noexcept nogil:
    """Of sixteen."""
    cdef uint64_t half[2]
    memcpy(half, bytes, 16)
    found.high = be64toh(half[0])
    found.low = be64toh(half[1])


cdef inline bint _precedes(const Address* a, const Address* b) noexcept nogil:
    return a.high < b.high or (a.high == b.high and a.low < b.low)


cdef class Networks:

    def __init__(self, networks):
        """Of networks as text (CIDR). ::ffff:0:0/96 is IPv4, and wider ones are without it. ValueError: one is none."""
        found = []
        for network in map(ipaddress.ip_network, networks):
            if network.version == 4:
                base = int(network.network_address) + int(_MAPPED.network_address)
                found.append(ipaddress.IPv6Network((base, network.prefixlen + 96)))
            elif network.prefixlen < _MAPPED.prefixlen and network.supernet_of(_MAPPED):
                found += network.address_exclude(_MAPPED)
            else:
                found.append(network)
        found = list(ipaddress.collapse_addresses(found))
        self.spans = <Span*>malloc(max(len(found), 1) * sizeof(Span))
        if self.spans == NULL:
            raise MemoryError
        self.count = len(found)
        for i, network in enumerate(found):
            from_v6(<const char*>network.network_address.packed, &self.spans[i].first)
            from_v6(<const char*>network.broadcast_address.packed, &self.spans[i].last)

    def __dealloc__(self):
        free(self.spans)

    cdef bint hold(self, const Address* address) noexcept nogil:
        """Whether the address is in one of them. Nobody's is in none."""
        cdef Py_ssize_t low = 0, high = self.count, middle
        while low < high:
            middle = (low + high) >> 1
            if _precedes(&self.spans[middle].last, address):
                low = middle + 1
            else:
                high = middle
        return low < self.count and not _precedes(address, &self.spans[low].first) and (address.high or address.low)

    def __contains__(self, str address):
        cdef bytes text = address.encode()
        cdef Address found
        return read_address(text, len(text), &found) and self.hold(&found)


cdef bint read_address(const char* at, size_t size, Address* found) noexcept nogil:
    """Reads a.b.c.d, a.b.c.d:port, IPv6, [IPv6] or [IPv6]:port; False, and nothing found, for all else."""
    cdef char text[ADDRESS_TEXT]
    cdef uint8_t bytes[16]
    cdef char* begin = text
    cdef char* end = text + size
    cdef char* colon
    cdef bint v6
    if size == 0 or size >= ADDRESS_TEXT or memchr(at, 0, size) != NULL:
        return False
    memcpy(text, at, size)
    end[0] = 0
    colon = <char*>memchr(text, c":", size)
    v6 = text[0] == c"[" or (colon != NULL and memchr(colon + 1, c":", end - colon - 1) != NULL)
    if text[0] == c"[":
        begin = text + 1
        colon = <char*>memchr(text, c"]", size)
        if colon == NULL:
            return False
        colon[0] = 0
        colon += 1
    if (text[0] == c"[" or not v6) and colon != NULL and not _is_port(colon, end - colon):
        return False
    if not v6 and colon != NULL:
        colon[0] = 0
    if inet_pton(AF_INET6 if v6 else AF_INET, begin, bytes) != 1:
        return False
    if v6:
        from_v6(bytes, found)
    else:
        from_v4(bytes, found)
    return True


cdef bint _is_port(const char* at, Py_ssize_t size) noexcept nogil:
    """Whether it is empty, or a colon and a number."""
    cdef Py_ssize_t i
    for i in range(1, size):
        if not c"0" <= at[i] <= c"9":
            return False
    return size == 0 or (at[0] == c":" and 2 <= size <= 6)


cdef int trace_back(const char* buf, const Head* head, Networks trusted, Address* client) except -1:
    """Who stands behind the proxies that X-Forwarded-For tells of. `client` is who has connected, and may be a proxy.

    What cannot be read was written by the last who is trusted: further than to that one nobody can see.
    """
    cdef const Field* field
    cdef const char* begin
    cdef const char* end
    cdef const char* part
    cdef Address found
    cdef int i, hops = 0
    for i in range(head.n_fields - 1, -1, -1):
        field = &head.fields[i]
        if field.known != K_X_FORWARDED_FOR:
            continue
        begin = buf + field.value
        end = begin + field.value_len
        while end > begin and trusted.hold(client) and hops < MAX_HOPS:
            part = end
            while part > begin and (part - 1)[0] != c",":
                part -= 1
            if not _trimmed(part, end, &found):
                return 0
            client[0] = found
            hops += 1
            end = part - 1
    return 0


cdef bint _trimmed(const char* begin, const char* end, Address* found) noexcept nogil:
    while begin < end and begin[0] in (c" ", c"\t"):
        begin += 1
    while begin < end and (end - 1)[0] in (c" ", c"\t"):
        end -= 1
    return read_address(begin, end - begin, found)


cdef Py_ssize_t read_proxy(const char* at, size_t size, Address* client) noexcept nogil:
    """Reads a PROXY header, version 1 or 2 (haproxy's proxy-protocol.txt). Its bytes, or a ProxyResult.

    `client` stays where the header names nobody: a proxy's own check (LOCAL), or a client without an IP address.
    """
    cdef size_t most = min(size, <size_t>12)
    if memcmp(at, b"\r\n\r\n\0\r\nQUIT\n", most) == 0:
        return _second_version(<const uint8_t*>at, size, client)
    if memcmp(at, b"PROXY ", min(size, <size_t>6)) == 0:
        return _first_version(at, size, client)
    return PROXY_BAD


cdef Py_ssize_t _second_version(const uint8_t* at, size_t size, Address* client) noexcept nogil:
    cdef size_t length
    if size < 16:
        return PROXY_MORE
    length = 16 + (at[14] << 8 | at[15])
    if at[12] >> 4 != 2 or at[12] & 15 > 1 or length > MAX_PROXY:
        return PROXY_BAD
    if size < length:
        return PROXY_MORE
    if at[12] & 15 == 1 and at[13] >> 4 == 1:
        if length < 16 + 12:
            return PROXY_BAD
        from_v4(at + 16, client)
    elif at[12] & 15 == 1 and at[13] >> 4 == 2:
        if length < 16 + 36:
            return PROXY_BAD
        from_v6(at + 16, client)
    return length


cdef Py_ssize_t _first_version(const char* at, size_t size, Address* client) noexcept nogil:
    """PROXY TCP4 source destination port port CRLF, or TCP6, or UNKNOWN with anything behind it; 107 bytes at most."""
    cdef const char* end = <const char*>memchr(at, c"\n", min(size, <size_t>107))
    cdef const char* part
    cdef Address found, other
    cdef bint v6
    if end == NULL:
        return PROXY_MORE if size < 107 else PROXY_BAD
    if (end - 1)[0] != c"\r":
        return PROXY_BAD
    size = end + 1 - at
    end -= 1
    if end - at >= 13 and memcmp(at + 6, b"UNKNOWN", 7) == 0 and (end - at == 13 or at[13] == c" "):
        return size
    v6 = end - at > 11 and memcmp(at + 6, b"TCP6 ", 5) == 0
    if not v6 and not (end - at > 11 and memcmp(at + 6, b"TCP4 ", 5) == 0):
        return PROXY_BAD
    at += 11
    for which in range(2):
        part = <const char*>memchr(at, c" ", end - at)
        if part == NULL or memchr(at, c"[", part - at) != NULL or (memchr(at, c":", part - at) != NULL) != v6:
            return PROXY_BAD
        if not read_address(at, part - at, &other if which else &found):
            return PROXY_BAD
        at = part + 1
    part = <const char*>memchr(at, c" ", end - at)
    if part == NULL or not _is_number(at, part) or not _is_number(part + 1, end):
        return PROXY_BAD
    client[0] = found
    return size


cdef bint _is_number(const char* begin, const char* end) noexcept nogil:
    """Of a port."""
    if not 1 <= end - begin <= 5:
        return False
    while begin < end:
        if not c"0" <= begin[0] <= c"9":
            return False
        begin += 1
    return True


cdef object text_of_address(const Address* address):
    """As people write it; None for nobody's."""
    if not address.high and not address.low:
        return None
    found = ipaddress.IPv6Address(<object>address.high << 64 | address.low)
    return str(found.ipv4_mapped or found)


def client_behind(str peer not None, bytes head not None, Networks trusted not None):
    """For tests: whose the request with this head is, on a connection from `peer`."""
    cdef Head parsed
    cdef Address client
    cdef bytes text = peer.encode()
    if not read_address(text, len(text), &client) or parse_request(head, len(head), 65536, 65536, &parsed) <= 0:
        raise ValueError("no address, or no head")
    trace_back(head, &parsed, trusted, &client)
    return text_of_address(&client)


def proxy_header(bytes data not None):
    """For tests: the size of the PROXY header at the front, or a ProxyResult, and the client that it names or None."""
    cdef Address client = Address(0, 0)
    cdef Py_ssize_t size = read_proxy(data, len(data), &client)
    return size, text_of_address(&client)
