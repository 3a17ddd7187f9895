# The client's side: accept, read, keep alive, time out.

cdef class Listener(Peer):

    def __init__(self, Gateway gateway, sock):
        self.gateway = gateway
        self.sock = sock
        self.reserve = edge_reserve()
        self.watch(sock.fileno())

    cdef int ready(self, uint32_t events) except -1:
        """Takes the connections that wait, some at a time, so that those already here get their turn."""
        cdef int error, i
        for i in range(64):
            error = self.take(False)
            if error == EAGAIN:
                return 0
            if error in (EMFILE, ENFILE):
                # No descriptor is left: the reserved one serves to say so, instead of leaving clients to wait.
                close(self.reserve)
                self.take(True)
                self.reserve = edge_reserve()
                break
            if error in (ENOMEM, ENOBUFS):
                self.starved = True
                return 0
            if error in (EBADF, ENOTSOCK, EINVAL, EFAULT):
                raise OSError(error, "accept")
            # Others are that one connection's, which has left or never came to be (accept(2)); more wait behind it.
        return self.rearm()

    cdef int take(self, bint last) except -2:
        """One connection: 0, or the error that accept(2) gave. A fault in serving it is its own."""
        cdef uint64_t address
        cdef int fd = edge_accept(self.fd, &address)
        if fd < 0:
            return errno
        try:
            self.serve(fd, address, last)
        except Exception as error:
            self.gateway.log_fault(error, None)
        return 0

    cdef int serve(self, int fd, uint64_t address, bint last) except -1:
        """A connection of a client; with the `last` descriptor it is refused."""
        cdef Downstream d = Downstream.__new__(Downstream)
        d.gateway = self.gateway
        edge_no_delay(fd)
        d.watch(fd)
        try:
            d.begin_service(address)
            if last:
                if d.is_open() and not d.lingering:
                    overloaded(d, "file descriptors", DESCRIPTORS)
                d.hang_up()
        except Exception:
            d.abort()
            raise
        return 0

    cdef int abort(self) except -1:
        """Other processes have the socket too, and to close it takes it out of no epoll set but theirs who are last."""
        edge_epoll_ctl(self.gateway.epoll, EPOLL_CTL_DEL, self.fd, 0, NULL)
        return Peer.abort(self)

    cdef int gone(self) except -1:
        close(self.reserve)
        self.sock.detach()
        return 0


cdef int64_t further(Gateway g, int64_t due, Py_ssize_t count) noexcept:
    """When more of a body is due, once `count` bytes have come: each is worth its time at the lowest rate.

    So a body must come at that rate on average, may pause for body_timeout after a fast beginning, and no longer.
    """
    cdef int64_t most = g.now + g.body_ns
    due += count * g.byte_ns
    return due if g.byte_ns and due < most else most


cdef int timed_out(Exchange x, int condition, int64_t limit, str reason) except -1:
    """The provider has had `limit` ns, and did not need fewer."""
    set_value(x, S_TIMEOUT, f"{limit / 1e9:g}")
    if condition == provider_timeout:
        reason = f"did not answer within {limit / 1e9:g} s ({reason})"
    return fail(x, condition, reason)


cdef int overloaded(Downstream d, str what, str limit) except -1:
    """Refuses a connection before it has said anything."""
    cdef Exchange x = new_exchange(d)
    note_limit(d.gateway, limit)
    name_request(x, NULL, NULL)
    x.retry_after_ms = 1000
    set_value(x, S_REASON, what)
    return refuse(x, gateway_overloaded, True)


cdef class Downstream(Peer):

    cdef int begin_service(self, uint64_t address) except -1:
        """A client has connected. Its first head is due within the head's time."""
        cdef Gateway g = self.gateway
        cdef int near = 0
        g.counts.accepted += 1
        g.counts.connections += 1
        g.connections.add(self)
        self.peer = address
        self.deadline = g.now + g.head_ns
        if g.max_address and address:
            self.address = address
            near = g.addresses.get(address, 0) + 1
            g.addresses[address] = near
            if near > 2 * g.max_address:
                return self.abort()         # who was told as often as that is not told again
        if near > g.max_address:
            return overloaded(self, "connections from one address", "limits.address_connections")
        if len(g.connections) > g.max_connections:
            return overloaded(self, "connections", "limits.connections")
        return 0

    cdef int place(self) except -1:
        """Straight into the body where its length is known; else the worker's common buffer, behind what is pending."""
        cdef Gateway g = self.gateway
        cdef Exchange x = self.exchange
        cdef Py_ssize_t kept = 0
        cdef Writer out
        if self.into_body(x):
            g.window.at = x.body.at + x.body.size
            g.window.size = min(x.length, x.body.room) - x.body.size
            return 0
        if self.pending is not None and not self.lingering:
            write_into(&out, g.inbox, BUFFER - INTAKE)
            put(&out, self.pending.at, self.pending.size)
            kept = written(&out)
        g.window.at = g.inbox + kept
        g.window.size = INTAKE          # what of a body comes with the head is copied, the rest is not
        return 0

    cdef bint into_body(self, Exchange x) noexcept:
        return (x is not None and x.state == READING and not x.chunked and x.body is not None
                and self.pending is None and not self.lingering and x.body.size < x.length)

    cdef int received(self, Py_ssize_t count) except -1:
        """Bytes from the client."""
        cdef Gateway g = self.gateway
        cdef Exchange x = self.exchange
        cdef Py_ssize_t size = count
        if self.lingering:
            return 0
        if x is not None and (x.state == READING or x.unread):
            self.deadline = further(g, self.deadline, count)
        if self.into_body(x):
            return self.take(NULL, count)
        if self.pending is not None:
            size += self.pending.size
            self.pending = None
        elif x is None and not self.skip:
            self.deadline = g.now + g.head_ns
        return self.take(g.inbox, size)

    cdef int take(self, const char* buf, Py_ssize_t size) except -1:
        """Bytes of a body that are in their place (NULL), or of anything. A fault of ours ends the request alone."""
        cdef Exchange x = self.exchange
        try:
            if buf != NULL:
                return self.consume(buf, size)
            x.body.filled(size)
            if x.body.size == x.length:
                return accept(x)
            scan_ahead(x)
            if x.body.size == x.body.room:
                x.body.reserve(x.length - x.body.size)
            return 0
        except Exception as error:
            x = self.exchange
            if x is None:
                x = new_exchange(self)
                name_request(x, NULL, NULL)
            return failed_inside(x, error)

    cdef int consume(self, const char* buf, Py_ssize_t size) except -1:
        """As many requests as the bytes hold, one after the other; what is left over waits in `pending`."""
        cdef Py_ssize_t pos = 0, used
        self.consuming = True
        try:
            while pos < size and not self.lingering and not self.closing and self.fd >= 0:
                if self.skip:
                    used = self.skip if self.skip < size - pos else size - pos
                    self.skip -= used
                elif self.exchange is None:
                    used = begin(self, buf + pos, size - pos)
                elif self.exchange.state == READING:
                    used = read_body(self, self.exchange, buf + pos, size - pos)
                elif self.exchange.unread:
                    used = send_on(self.exchange, buf + pos, size - pos)
                else:
                    used = 0
                if used == 0:
                    break
                pos += used
        finally:
            self.consuming = False
        if pos < size and not self.lingering and not self.closing and self.fd >= 0:
            self.pending = stored(buf + pos, size - pos)
            if self.exchange is None:
                if pos:
                    self.deadline = self.gateway.now + self.gateway.head_ns     # another head has begun
            elif size - pos > PIPELINE_MAX:
                self.pause_reads(EPOLLIN)
        return 0

    cdef int resume(self) except -1:
        """The request has ended, or its upload may go on: more may already be here."""
        if self.consuming or self.closing or self.fd < 0:
            return 0
        self.resume_reads()
        return wake(self.gateway, self) if self.pending is not None else 0

    cdef int run(self) except -1:
        """What has come behind a request that has ended."""
        cdef Store pending = self.pending
        if pending is None or self.lingering or self.closing or self.fd < 0:
            return 0
        self.pending = None
        if self.exchange is None:
            self.deadline = self.gateway.now + self.gateway.head_ns
        return self.take(pending.at, pending.size)

    cdef int linger(self) except -1:
        """Ends the connection so that the client can read our last words: to close on unread bytes would reset it."""
        self.lingering = True
        self.pending = None
        self.deadline = self.gateway.now + LINGER_NS
        self.resume_reads()
        return self.shut()

    cdef int expired(self) except -1:
        """The deadline has passed; what that means depends on what was awaited."""
        cdef Exchange x = self.exchange
        if self.stuck or self.lingering:
            return self.abort()
        if x is None and self.pending is None:
            if self.out is None:
                return self.abort()
            self.deadline = self.gateway.now + self.gateway.keep_ns     # it reads its last answer: see is_stuck()
            return 0
        if x is None:
            x = new_exchange(self)
            name_request(x, NULL, NULL)
        if awaits_client(x):
            return refuse(x, request_timeout, True)
        if x.upstream is not None and x.upstream.reading_paused:
            if self.gateway.now >= x.deadline:
                return self.abort()         # it has left, as gone() will say
            self.deadline = x.deadline      # the provider waits for the client: see is_stuck()
            return 0
        if x.state == HOLDING and x.mode == FAULT:
            return classify(x)          # its status has said enough
        if self.gateway.now >= x.deadline:
            return timed_out(x, provider_timeout, x.allowed, "no response" if x.state < HOLDING else "no end")
        if x.state == WAITING and x.queued and x.target.pool.is_blocked():
            stop_waiting(x)
            return crowd_out(x.target.pool, x)
        if x.state == HOLDING or x.state == RELAYING:
            return timed_out(x, provider_stalled, x.target.pool.idle_ns, "no data")
        return timed_out(x, provider_timeout, x.target.pool.first_byte_ns, "no response")

    cdef bint is_stuck(self) noexcept:
        """Whether the client took less than body_rate of its answer over the last body_timeout, while more waited.

        Only while something waits in `out`: a stream that is slow because its provider is says nothing of the client.
        What counts is what the client's kernel has acknowledged. Ours takes bytes in steps of its own, of a megabyte
        and more, between which a slow but honest reader would look like none.
        """
        cdef Gateway g = self.gateway
        cdef Py_ssize_t taken
        if self.out is None or g.now < self.out_due:
            return False
        taken = self.out_sent - edge_unacknowledged(self.fd)
        self.stuck = self.out_due and taken - self.out_taken < g.least_taken
        self.out_taken = taken
        self.out_due = g.now + g.body_ns
        return self.stuck

    cdef int choked(self) except -1:
        """The client reads slower than the provider writes: the provider waits."""
        return 0 if self.exchange is None else hold_back(self.exchange)

    cdef int drained(self) except -1:
        """The client has caught up."""
        cdef Exchange x = self.exchange
        if x is not None and x.upstream is not None:
            x.upstream.resume_reads()
            if x.state == RELAYING and x.target.pool.idle_ns:
                self.deadline = x.gateway.now + x.target.pool.idle_ns
        return 0

    cdef int lost(self, bint reset) except -1:
        """The client has closed its side. Nobody who still reads does that before the answer: it has left."""
        return self.abort()

    cdef int gone(self) except -1:
        cdef Gateway g = self.gateway
        cdef int near
        self.pending = None
        g.counts.connections -= 1
        g.connections.discard(self)
        if self.address:
            near = g.addresses.pop(self.address) - 1
            if near:
                g.addresses[self.address] = near
        return 0 if self.exchange is None else client_left(self.exchange)
