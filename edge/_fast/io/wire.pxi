# The seam to the sockets. All plain connections of a worker stand in one epoll set of our own, and that set stands
# in uvloop's: one callback for a batch of events, no Python object per read, four system calls per request. (uvloop's
# own transports cost 1.3 us per request more here: two callbacks per read, each with the interpreter's lock.)
# Connections are watched edge-triggered: level-triggered, epoll polls each socket once more to see that it was read.
# TLS connections stay with uvloop, behind the same methods.

cdef extern from * nogil:
    """
    #include <errno.h>
    #include <fcntl.h>
    #include <malloc.h>
    #include <netinet/in.h>
    #include <netinet/tcp.h>
    #include <linux/sockios.h>
    #include <string.h>
    #include <sys/epoll.h>
    #include <sys/ioctl.h>
    #include <sys/socket.h>
    #include <sys/uio.h>
    #include <unistd.h>

    static ssize_t edge_send_parts(int fd, struct iovec *parts, int count) {
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
        return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    static ssize_t edge_send(int fd, const void *data, size_t size) {
        return send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    static int edge_no_delay(int fd) {
        int on = 1;
        return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    /* Tells who it is as well: where the bytes of the address stand in `peer`, and how many they are. */
    static int edge_accept(int fd, struct sockaddr_storage *peer, const void **address, int *bytes) {
        socklen_t size = sizeof *peer;
        int client = accept4(fd, (struct sockaddr *)peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        *bytes = 0;
        if (client >= 0 && peer->ss_family == AF_INET) {
            *address = &((struct sockaddr_in *)peer)->sin_addr;
            *bytes = 4;
        } else if (client >= 0 && peer->ss_family == AF_INET6) {
            *address = &((struct sockaddr_in6 *)peer)->sin6_addr;
            *bytes = 16;
        }
        return client;
    }
    static int edge_unacknowledged(int fd) {
        int bytes = 0;
        ioctl(fd, SIOCOUTQ, &bytes);
        return bytes;
    }
    /* Breaks a connection off: the other side sees a reset, and epoll tells of it as of any (connect(2), AF_UNSPEC). */
    static int edge_break(int fd) {
        struct sockaddr nobody = {.sa_family = AF_UNSPEC};
        return connect(fd, &nobody, sizeof nobody);
    }
    extern void *memmem(const void *, size_t, const void *, size_t);     /* of glibc and musl; declared for GNU alone */
    static const char *edge_find(const char *text, size_t size, const char *wanted, size_t length) {
        return size < length ? NULL : memmem(text, size, wanted, length);       /* nothing has no place either */
    }
    static int edge_reserve(void) {
        return open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    static int edge_epoll_ctl(int epoll, int operation, int fd, uint32_t events, void *data) {
        struct epoll_event event = {.events = events, .data.ptr = data};
        return epoll_ctl(epoll, operation, fd, &event);
    }
    """
    ssize_t edge_send_parts(int fd, iovec* parts, int count)
    ssize_t edge_send(int fd, const void* data, size_t size)
    int edge_no_delay(int fd)
    struct sockaddr_storage:
        pass
    int edge_accept(int fd, sockaddr_storage* peer, const void** address, int* bytes)
    int edge_unacknowledged(int fd)
    int edge_reserve()
    const char* edge_find(const char* text, size_t size, const char* wanted, size_t length)
    int edge_break(int fd)
    int edge_epoll_ctl(int epoll, int operation, int fd, uint32_t events, void* data)
    ssize_t recv(int fd, void* data, size_t size, int flags)
    int shutdown(int fd, int how)
    int close(int fd)
    int SHUT_WR, MSG_DONTWAIT, MSG_PEEK
    ctypedef union epoll_data_t:
        void* ptr
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int flags)
    int epoll_wait(int epoll, epoll_event* events, int most, int timeout)
    int EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL, EPOLL_CLOEXEC
    uint32_t EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR, EPOLLET
    int M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD
    int mallopt(int parameter, int value)
    int malloc_trim(size_t pad)

# Large bodies otherwise cost a page fault per page and request: malloc would give them back to the system each time.
# settle_memory() does so when they have not been needed for a while.
mallopt(M_MMAP_THRESHOLD, 256 * 1024 * 1024)
mallopt(M_TRIM_THRESHOLD, 1024 * 1024 * 1024)
mallopt(M_TOP_PAD, 1024 * 1024)


cdef enum:
    GATHER = 16384              # parts of a message up to this size are copied together: one send() beats sendmsg()
    HIGH_WATER = 65536          # bytes in `out` from which on the other side is not read
    LOW_WATER = 16384
    TURN = 1310720              # bytes of one connection, each way, before the others have theirs: a large body whole
    GIVE_BACK = 16777216        # bytes by which less must be needed
    LOOK_NS = 2000000000

# The account of what this worker holds for requests and answers: all of it is in Stores. Room that nothing has been
# put into is not counted: it is no memory yet, and who only announces a body must not shut others out.
cdef Py_ssize_t held = 0
cdef Py_ssize_t held_max = PY_SSIZE_T_MAX
cdef Py_ssize_t held_peak = 0               # since the last look
cdef Py_ssize_t held_high = 0               # since memory was given back
cdef int64_t held_look = 0                  # when the next look is due


cdef int limit_memory(Py_ssize_t most) except -1:
    global held_max
    held_max = most if most else PY_SSIZE_T_MAX
    return 0


cdef inline bint is_short_of_memory(Py_ssize_t more) noexcept nogil:
    """Whether a body of so many bytes is not to be begun: the last tenth is for what is on its way."""
    return held + more > held_max // 10 * 9


cdef Py_ssize_t settle_memory(int64_t now) noexcept:
    """Bytes held. What was not needed for a while goes back to the system: malloc would keep a flood's for ever."""
    global held_peak, held_high, held_look
    if now >= held_look:
        held_high = max(held_high, held_peak)
        if held_high - held_peak > GIVE_BACK:
            malloc_trim(0)
            held_high = held_peak
        held_peak = held
        held_look = now + LOOK_NS
    return held


cdef class Window:

    def __getbuffer__(self, Py_buffer* buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.at, self.size, 0, flags)


cdef class Store:

    def __dealloc__(self):
        global held
        held -= self.size
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

    cdef int filled(self, Py_ssize_t count) except -1:
        """So many bytes have come into its room. MemoryError where the worker holds too many by now."""
        global held, held_peak
        self.size += count
        held += count
        if held > held_peak:
            held_peak = held
        if held > held_max:
            raise MemoryError
        return 0

    cdef int append(self, const char* data, Py_ssize_t size) except -1:
        if size == 0:
            return 0
        self.reserve(size)
        memcpy(self.at + self.size, data, size)
        return self.filled(size)

    cdef int drop_head(self, Py_ssize_t count) noexcept:
        """Forgets its first bytes."""
        global held
        memmove(self.at, self.at + count, self.size - count)
        self.size -= count
        held -= count
        return 0


cdef Store stored(const char* data, Py_ssize_t size):
    """A copy."""
    cdef Store store = Store.__new__(Store)
    store.append(data, size)
    return store


cdef class Peer:

    def __cinit__(self):
        self.fd = -1

    cdef int place(self) except -1:
        """Sets the gateway's window to where the next bytes shall go."""
        return 0

    cdef int received(self, Py_ssize_t count) except -1:
        """So many bytes have come into the window."""
        return 0

    cdef int lost(self, bint reset) except -1:
        """The other side has closed, or the network has."""
        return self.abort()

    cdef int choked(self) except -1:
        """HIGH_WATER is passed."""
        return 0

    cdef int drained(self) except -1:
        """`out` is nearly empty again."""
        return 0

    cdef int gone(self) except -1:
        """The connection is closed, by whichever side. Called once."""
        return 0

    cdef bint is_open(self) noexcept:
        return self.fd >= 0 or self.transport is not None

    cdef int watch(self, int fd) except -1:
        """Takes a connected, non-blocking descriptor over. OSError where epoll will not have it."""
        self.watched = EPOLLIN | EPOLLRDHUP | EPOLLET
        if edge_epoll_ctl(self.gateway.epoll, EPOLL_CTL_ADD, fd, self.watched, <void*>self) < 0:
            close(fd)
            raise OSError(errno, "epoll")
        self.fd = fd
        Py_INCREF(self)         # epoll's reference, given back by abort()
        return 0

    cdef int ask(self, uint32_t events) except -1:
        if events != self.watched and self.fd >= 0:
            self.watched = events
            return self.rearm()
        return 0

    cdef int rearm(self) except -1:
        """Epoll looks anew: what is ready already is an event again."""
        edge_epoll_ctl(self.gateway.epoll, EPOLL_CTL_MOD, self.fd, self.watched, <void*>self)
        return 0

    cdef int ready(self, uint32_t events) except -1:
        """What epoll says of this connection."""
        cdef Py_ssize_t count, room, left = TURN
        if events & EPOLLOUT:
            self.flush()
        if self.fd < 0 or not events & ~EPOLLOUT:
            return 0
        if self.reading_paused or self.closing:
            # Its bytes must wait, not the news that there is nobody left to wait for.
            return self.lost(True) if events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP) else 0
        while left:
            self.place()
            room = min(self.gateway.window.size, left)
            count = recv(self.fd, self.gateway.window.at, room, MSG_DONTWAIT)
            if count <= 0:
                return 0 if count < 0 and (errno == EAGAIN or errno == EINTR) else self.lost(count < 0)
            self.received(count)
            if self.fd < 0 or self.reading_paused or self.closing:
                return 0
            if count < room and not events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR):
                return 0            # all was read; what comes next is an event of its own
            left -= count
        return self.rearm()         # others have their turn before the rest

    cdef int write(self, iovec* parts, int count) except -1:
        """Sends all parts in order; what the kernel does not take now, or is for another turn, waits in `out`."""
        cdef Py_ssize_t sent = 0, total = 0, over = 0
        cdef Writer out
        cdef int i
        if self.fd < 0:
            if self.transport is not None:
                self.transport.write(b"".join([PyBytes_FromStringAndSize(<char*>parts[i].iov_base, parts[i].iov_len)
                                               for i in range(count)]))
            return 0
        if self.out is None:
            for i in range(count):
                total += parts[i].iov_len
            if count == 1:
                sent = edge_send(self.fd, parts[0].iov_base, total)
            elif total <= GATHER and parts[0].iov_base == self.gateway.scratch:
                write_into(&out, self.gateway.scratch + parts[0].iov_len, GATHER - parts[0].iov_len)
                for i in range(1, count):
                    put(&out, <char*>parts[i].iov_base, parts[i].iov_len)
                written(&out)
                sent = edge_send(self.fd, self.gateway.scratch, total)
            else:
                if self.lent is not None and total > TURN:      # else keep() would have to copy it
                    over = min(total - TURN, <Py_ssize_t>parts[count - 1].iov_len)
                parts[count - 1].iov_len -= over
                sent = edge_send_parts(self.fd, parts, count)
                parts[count - 1].iov_len += over
            if sent == total:
                return 0
            if sent < 0:
                if not self.is_put_off():
                    return 0
                sent = 0
        return self.keep(parts, count, sent)

    cdef bint is_put_off(self) noexcept:
        """Whether a send that failed is made again later. If not, the connection is over, as epoll says in an event.

        What the other side said before it went is read first: it may be why it went. Where it has not gone (the kernel
        had no memory: ENOBUFS), we do: a part of the message is missing.
        """
        if errno == EAGAIN or errno == EINTR:
            return True
        if errno == EPIPE or errno == ECONNRESET:
            self.rearm()
        else:
            edge_break(self.fd)
        return False

    cdef int keep(self, iovec* parts, int count, Py_ssize_t sent) except -1:
        """Puts what is left over into `out`, to go when the kernel takes it."""
        cdef Py_ssize_t part
        cdef int i
        if self.out is None:
            self.out = Store.__new__(Store)
            self.out_sent = 0
            self.out_due = 0
            self.ask(self.watched | EPOLLOUT)
        elif self.out_sent > HIGH_WATER:
            self.out.drop_head(self.out_sent)       # a client that is always a little behind must not add up
            self.out_taken -= self.out_sent
            self.out_sent = 0
        for i in range(count):
            part = parts[i].iov_len
            if sent >= part:
                sent -= part
            elif i == count - 1 and self.lent is not None and self.out.size == 0:
                self.out = self.lent
                self.out_sent = <char*>parts[i].iov_base + sent - self.lent.at
            else:
                self.out.append(<char*>parts[i].iov_base + sent, part - sent)
                sent = 0
        if not self.paused and self.out.size - self.out_sent > HIGH_WATER:
            self.paused = True
            self.choked()
        return 0

    cdef int write_owned(self, iovec* parts, int count, Store owner) except -1:
        """The same, where the last part is the end of `owner`, which does not change: what is left needs no copy."""
        self.lent = owner
        self.write(parts, count)
        self.lent = None
        return 0

    cdef int flush(self) except -1:
        """The kernel takes bytes again."""
        cdef Py_ssize_t sent
        if self.out is None:
            return 0
        sent = edge_send(self.fd, self.out.at + self.out_sent, min(<Py_ssize_t>TURN, self.out.size - self.out_sent))
        if sent > 0:
            self.out_sent += sent
        elif sent < 0 and not self.is_put_off():
            return 0
        if sent == TURN and self.out_sent < self.out.size:
            self.rearm()
        if self.out_sent == self.out.size:
            self.out = None
            self.ask(self.watched & ~EPOLLOUT)
            if self.closing:
                return self.abort()
            if self.shutting:
                shutdown(self.fd, SHUT_WR)
        if self.paused and (self.out is None or self.out.size - self.out_sent < LOW_WATER):
            self.paused = False
            self.drained()
        return 0

    cdef int write_bytes(self, bytes data) except -1:
        cdef iovec part
        part_of(&part, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
        return self.write(&part, 1)

    cdef int pause_reads(self, uint32_t events) except -1:
        """Stops reading: EPOLLIN, and EPOLLRDHUP too where bytes that still wait are worth more than the news."""
        if not self.reading_paused:
            self.reading_paused = True
            if self.transport is not None:
                self.transport.pause_reading()
            else:
                self.ask(self.watched & ~events)
        return 0

    cdef int resume_reads(self) except -1:
        if self.reading_paused:
            self.reading_paused = False
            if self.transport is not None:
                self.transport.resume_reading()
            else:
                self.ask(self.watched | EPOLLIN | EPOLLRDHUP)
        return 0

    cdef int shut(self) except -1:
        """Says that nothing more will come from us; what the other side still sends is read."""
        self.shutting = True
        if self.out is None and self.fd >= 0:
            shutdown(self.fd, SHUT_WR)
        return 0

    cdef int hang_up(self) except -1:
        """Closes once everything written has been sent."""
        if self.out is None:
            return self.abort()
        self.closing = True
        return self.ask(EPOLLOUT | EPOLLET)

    cdef int abort(self) except -1:
        """Closes at once, whatever still waits to be sent."""
        cdef object transport = self.transport
        if transport is not None:
            self.transport = None
            transport.abort()
            return self.gone()
        if self.fd >= 0:
            close(self.fd)      # which takes it out of the epoll set
            self.fd = -1
            self.out = None
            self.next_grave = self.gateway.graves
            self.gateway.graves = self
            Py_DECREF(self)
            return self.gone()
        return 0


cdef int bury(Gateway g) noexcept:
    """Lets go of who has closed, one after the other."""
    cdef Peer peer
    while g.graves is not None:
        peer = g.graves
        g.graves, peer.next_grave = peer.next_grave, None
    return 0


cdef inline void part_of(iovec* part, const char* data, Py_ssize_t size) noexcept nogil:
    part.iov_base = <void*>data
    part.iov_len = size
