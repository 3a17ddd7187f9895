# peers: what wire.pxi and runlist.pxi are about: connections, the bytes that they hold, and who waits for a turn.

cdef class Window:              # what get_buffer hands out: a place to read into
    cdef char* at
    cdef Py_ssize_t size

cdef class Store:               # bytes that grow; the one owner of its memory
    cdef char* at
    cdef Py_ssize_t size
    cdef Py_ssize_t room
    cdef int reserve(self, Py_ssize_t more) except -1
    cdef int append(self, const char* data, Py_ssize_t size) except -1
    cdef int filled(self, Py_ssize_t count) except -1
    cdef int drop_head(self, Py_ssize_t count) noexcept

cdef class Job:                 # who may go on since a request has ended; see runlist.pxi
    cdef Job next_job           # behind it in the list
    cdef bint woken             # it stands there
    cdef int run(self) except -1

cdef class Peer(Job):           # one connection of either side
    cdef Gateway gateway
    cdef Peer next_grave        # closed before it in this turn
    cdef int fd                 # -1: closed, or TLS
    cdef uint32_t watched       # epoll's events that are asked for
    cdef object transport       # TLS: uvloop's transport does the work of fd and `out`
    cdef Store out              # what the kernel would not take yet
    cdef Py_ssize_t out_sent    # of it, what has gone since
    cdef Py_ssize_t out_taken   # and what the other side had of it at the last look
    cdef int64_t out_due        # the next look; 0: none yet
    cdef Store lent             # during a write: the owner of its last part
    cdef bint paused            # much waits in `out`: the other side must not be read
    cdef bint reading_paused
    cdef bint closing           # closed as soon as `out` is empty
    cdef bint shutting          # shut down for writing as soon as `out` is empty
    cdef int watch(self, int fd) except -1
    cdef int ask(self, uint32_t events) except -1
    cdef int rearm(self) except -1
    cdef int write(self, iovec* parts, int count) except -1
    cdef bint is_put_off(self) noexcept
    cdef int write_bytes(self, bytes data) except -1
    cdef int write_owned(self, iovec* parts, int count, Store owner) except -1
    cdef int keep(self, iovec* parts, int count, Py_ssize_t sent) except -1
    cdef int flush(self) except -1
    cdef int ready(self, uint32_t events) except -1
    cdef int pause_reads(self, uint32_t events) except -1
    cdef int resume_reads(self) except -1
    cdef int shut(self) except -1
    cdef int hang_up(self) except -1
    cdef int abort(self) except -1
    cdef bint is_open(self) noexcept
    cdef int place(self) except -1
    cdef int received(self, Py_ssize_t count) except -1
    cdef int lost(self, bint reset) except -1
    cdef int choked(self) except -1
    cdef int drained(self) except -1
    cdef int gone(self) except -1
