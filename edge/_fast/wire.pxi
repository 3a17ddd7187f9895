# The seam to the sockets. uvloop reads (BufferedProtocol, into buffers of ours) and notices readiness; we write to
# the descriptor ourselves, in one system call for all parts of a message, and fall back to the transport only for
# what the kernel would not take. uvloop calls connection_lost before it closes the descriptor, so that `fd` is
# valid until then; `queued` keeps the order once bytes wait in the transport.

cdef extern from * nogil:
    """
    #include <malloc.h>
    #include <sys/uio.h>
    #include <netinet/tcp.h>
    """
    int M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD
    int mallopt(int parameter, int value)

# Large bodies otherwise cost a page fault per page and request: malloc would give them back to the system each time.
mallopt(M_MMAP_THRESHOLD, 256 * 1024 * 1024)
mallopt(M_TRIM_THRESHOLD, 64 * 1024 * 1024)
mallopt(M_TOP_PAD, 1024 * 1024)


cdef class Window:

    def __getbuffer__(self, Py_buffer* buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.at, self.size, 0, flags)


cdef class Store:

    def __dealloc__(self):
        free(self.at)

    def __getbuffer__(self, Py_buffer* buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.at, self.size, 1, flags)

    cdef int reserve(self, Py_ssize_t more) except -1:
        """Makes room for `more` further bytes. MemoryError where the system has none."""
        cdef Py_ssize_t room = self.size + more
        cdef char* at
        if room > self.room:
            if self.room and room < self.room * 2:
                room = self.room * 2
            at = <char*>realloc(self.at, room)
            if at == NULL:
                raise MemoryError
            self.at = at
            self.room = room
        return 0

    cdef int append(self, const char* data, Py_ssize_t size) except -1:
        if size == 0:
            return 0
        self.reserve(size)
        memcpy(self.at + self.size, data, size)
        self.size += size
        return 0


cdef class Peer:

    def __cinit__(self):
        self.fd = -1

    cdef int attach(self, object transport) except -1:
        """Takes the descriptor; a TLS transport's is not ours to write to."""
        cdef object sock = transport.get_extra_info("socket")
        self.transport = transport
        if transport.get_extra_info("ssl_object") is None and sock is not None:
            self.fd = sock.fileno()
        return 0

    cdef int write(self, iovec* parts, int count) except -1:
        """Sends all parts in order; what the kernel does not take now waits in the transport."""
        cdef Py_ssize_t sent = 0, part
        cdef int i
        if self.transport is None:
            return 0
        if self.queued and self.fd >= 0 and self.transport.get_write_buffer_size() == 0:
            self.queued = False
        if self.fd >= 0 and not self.queued:
            sent = writev(self.fd, parts, count)
            if sent < 0:
                if errno != EAGAIN and errno != EINTR:
                    # The other side has gone. uvloop says so in its own time, in connection_lost.
                    return 0
                sent = 0
        for i in range(count):
            part = parts[i].iov_len
            if sent >= part:
                sent -= part
                continue
            self.queued = True
            self.transport.write(PyBytes_FromStringAndSize(<char*>parts[i].iov_base + sent, part - sent))
            sent = 0
        return 0

    cdef int write_bytes(self, bytes data) except -1:
        cdef iovec part
        part.iov_base = PyBytes_AS_STRING(data)
        part.iov_len = PyBytes_GET_SIZE(data)
        return self.write(&part, 1)

    cdef int hang_up(self) except -1:
        """Closes once everything written has been sent."""
        cdef object transport = self.transport
        if transport is not None:
            self.fd = -1
            self.transport = None
            transport.close()
        return 0

    cdef int abort(self) except -1:
        """Closes at once, whatever still waits to be sent."""
        cdef object transport = self.transport
        if transport is not None:
            self.fd = -1
            self.transport = None
            transport.abort()
        return 0


cdef inline void part_of(iovec* part, const char* data, Py_ssize_t size) noexcept nogil:
    part.iov_base = <void*>data
    part.iov_len = size


cdef inline char* put(char* out, const char* data, Py_ssize_t size) noexcept nogil:
    memcpy(out, data, size)
    return out + size


cdef inline char* put_bytes(char* out, bytes data) noexcept:
    return put(out, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))


cdef char* put_number(char* out, uint64_t value) noexcept nogil:
    cdef char digits[20]
    cdef int n = 20
    while True:
        n -= 1
        digits[n] = <char>(48 + value % 10)
        value //= 10
        if value == 0:
            break
    return put(out, digits + n, 20 - n)


cdef char* put_hex(char* out, uint64_t value) noexcept nogil:
    cdef char digits[16]
    cdef int n = 16
    while True:
        n -= 1
        digits[n] = b"0123456789abcdef"[value & 15]
        value >>= 4
        if value == 0:
            break
    return put(out, digits + n, 16 - n)
