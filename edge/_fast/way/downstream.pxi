# downstream: the client's side: accept, read, keep alive, time out.

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
        cdef sockaddr_storage peer
        cdef const void* bytes
        cdef int count
        cdef int fd = edge_accept(self.fd, &peer, &bytes, &count)
        cdef Address client = Address(0, 0)
        if fd < 0:
            return errno
        if count == 4:
            from_v4(bytes, &client)
        elif count == 16:
            from_v6(bytes, &client)
        try:
            self.serve(fd, client, last)
        except Exception as error:
            self.gateway.log_fault(error, None)
        return 0

    cdef int serve(self, int fd, Address client, bint last) except -1:
        """A connection of a client; with the `last` descriptor it is refused."""
        cdef Downstream d = Downstream.__new__(Downstream)
        d.gateway = self.gateway
        edge_no_delay(fd)
        d.watch(fd)
        try:
            d.begin_service(client)
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


cdef int overloaded(Downstream d, str what, str limit) except -1:
    """Refuses a connection before it has said anything."""
    note_limit(d.gateway, limit)
    return nameless(d).drive(TURNED_AWAY, gateway_overloaded, NULL, 0, what)


cdef Exchange nameless(Downstream d):
    """For what can be told to a client that has not said, or not to its end, what it wants."""
    cdef Exchange x = new_exchange(d)
    name_request(x, NULL, NULL)
    x.unsynced = True
    return x


cdef int turn_away(Exchange x, int condition, object what) except -1:
    """The gateway will not have it now."""
    if what is not None:
        x.retry_after_ms = 1000
        x.say(S_REASON, what)
    x.unsynced = x.unsynced or x.state == READING
    return x.refuse(condition) if x.state == READING else x.fail(condition, None)


cdef class Downstream(Peer):

    cdef int begin_service(self, Address client) except -1:
        """Somebody has connected. The first head is due within the head's time."""
        cdef Gateway g = self.gateway
        g.counts.accepted += 1
        g.counts.connections += 1
        g.connections.add(self)
        self.peer = client
        self.unproven = g.proxy_protocol
        self.set_timer(AWAITS_HEAD, g.head_ns)
        if not self.unproven:
            self.count_address()
            if not self.is_open() or self.lingering:
                return 0
        if len(g.connections) > g.max_connections:
            return overloaded(self, "connections", "limits.connections")
        return 0

    cdef int count_address(self) except -1:
        """One address has so many connections at most. Those of trusted proxies are many clients'."""
        cdef Gateway g = self.gateway
        cdef int near
        if not g.max_address or not (self.peer.high or self.peer.low) or g.proxies.hold(&self.peer):
            return 0
        self.counted = True
        near = g.addresses.get(subscriber(&self.peer), 0) + 1
        g.addresses[subscriber(&self.peer)] = near
        if near > 2 * <int64_t>g.max_address:
            return self.abort()             # who was told as often as that is not told again
        if near <= g.max_address:
            return 0
        return overloaded(self, "connections from one address", "limits.address_connections")

    cdef int introduce(self, char* buf, Py_ssize_t size) except -1:
        """The PROXY header that begins a connection tells whose it is, where it comes from a trusted proxy."""
        cdef Gateway g = self.gateway
        cdef Address client = self.peer
        cdef Py_ssize_t used = read_proxy(buf, size, &client)
        if used == PROXY_MORE:
            return 0
        self.unproven = False
        if used == PROXY_BAD:
            return nameless(self).drive(HEAD_CAME, HEAD_PROXY, buf, size, None)
        self.used = used
        if g.proxies.hold(&self.peer):
            self.peer = client
        return self.count_address()

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
        if x is not None and (x.state == READING or (x.unread and self.why == AWAITS_BODY)):
            self.due = further(g, self.due, count)
            if x.state != READING:
                self.due = min(self.due, x.deadline)
        if self.into_body(x):
            return x.drive(BODY_CAME, 0, NULL, count, None)
        if self.pending is not None:
            size += self.pending.size
            self.pending = None
        elif x is None and not self.skip:
            self.set_timer(AWAITS_HEAD, g.head_ns)
        return self.consume(g.inbox, size)

    cdef int consume(self, char* buf, Py_ssize_t size) except -1:
        """As many requests as the bytes hold, one after the other; what is left over waits in `pending`."""
        cdef Py_ssize_t pos = 0
        self.consuming = True
        try:
            while pos < size and not self.lingering and not self.closing and self.fd >= 0:
                self.used = 0
                if self.skip:
                    self.used = self.skip if self.skip < size - pos else size - pos
                    self.skip -= self.used
                elif self.is_full():
                    pass
                elif self.unproven:
                    self.introduce(buf + pos, size - pos)
                elif self.exchange is None:
                    self.begin(buf + pos, size - pos)
                elif self.exchange.state == READING:
                    self.exchange.drive(BODY_CAME, 0, buf + pos, size - pos, None)
                elif self.exchange.unread:
                    self.exchange.drive(UPLOAD_CAME, 0, buf + pos, size - pos, None)
                if self.used == 0:
                    break
                pos += self.used
        finally:
            self.consuming = False
        if pos < size and not self.lingering and not self.closing and self.fd >= 0:
            self.keep_rest(buf + pos, size - pos)
            if self.exchange is not None or self.is_full():
                if size - pos > PIPELINE_MAX:
                    self.pause_reads(EPOLLIN)
            elif pos:
                self.set_timer(AWAITS_HEAD, self.gateway.head_ns)       # another head has begun
        return 0

    cdef int keep_rest(self, const char* buf, Py_ssize_t size) except -1:
        """Bytes whose turn has not come. Where there is no memory for them, whose they are gets no further."""
        cdef Exchange x = self.exchange
        cdef bint kept = False
        try:
            self.pending = stored(buf, size)
            kept = True
        except MemoryError:
            pass
        if kept:
            return 0
        if x is not None and x.state != READING and not x.unread:
            x.keep_alive = False        # they are of what would come behind it
            return 0
        return (nameless(self) if x is None else x).drive(TURNED_AWAY, out_of_memory, NULL, 0, None)

    cdef int begin(self, char* buf, Py_ssize_t size) except -1:
        """The bytes begin with a request's head; nothing of them is used while it is not all there."""
        cdef Gateway g = self.gateway
        cdef int result = parse_request(buf, size, g.max_head, g.max_target, &g.head)
        return 0 if result == HEAD_MORE else new_exchange(self).drive(HEAD_CAME, result, buf, size, None)

    cdef bint is_full(self) noexcept:
        """Whether its client must read what it was answered before a further request begins."""
        return self.paused and self.exchange is None

    cdef int resume(self) except -1:
        """The request has ended, or its upload may go on: more may already be here."""
        if self.consuming or self.closing or self.fd < 0 or self.is_full():
            return 0
        self.resume_reads()
        return wake(self.gateway, self) if self.pending is not None else 0

    cdef int run(self) except -1:
        """What has come behind a request that has ended; or a request that need not follow another one any more."""
        cdef Store pending = self.pending
        if self.exchange is not None and self.exchange.state == FOLLOWING and self.exchange.leader.followers is None:
            return self.exchange.drive(LEADER_ENDED, 0, NULL, 0, None)
        if pending is None or self.lingering or self.closing or self.fd < 0 or self.is_full():
            return 0
        self.pending = None
        if self.exchange is None:
            self.set_timer(AWAITS_HEAD, self.gateway.head_ns)
        return self.consume(pending.at, pending.size)

    cdef int linger(self) except -1:
        """Ends the connection so that the client can read our last words (RFC 9112 §9.6).

        To close would reset it where bytes are unread, or come before the client has read all.
        """
        self.lingering = True
        self.pending = None
        self.set_timer(LINGERS, LINGER_NS)
        self.resume_reads()
        return self.shut()

    cdef int set_timer(self, int why, int64_t limit) except -1:
        """So many ns from now."""
        self.why = why
        self.due = self.gateway.now + limit
        return 0

    cdef int sever(self) except -1:
        """Closes at once, in the middle of a request, which does not hear of it as the client's leaving."""
        self.exchange = None
        return self.abort()

    cdef int await_next(self) except -1:
        """Its request has ended."""
        return self.set_timer(LINGERS, LINGER_NS) if self.lingering else self.set_timer(KEPT, self.gateway.keep_ns)

    cdef int expired(self) except -1:
        """What was awaited has not come; what that means for a request, see expire()."""
        if self.stuck:
            return self.abort()
        if self.exchange is not None:
            return self.exchange.drive(EXPIRED, 0, NULL, 0, None)
        if self.pending is not None and not self.is_full():
            return nameless(self).drive(EXPIRED, 0, NULL, 0, None)
        return self.abort() if self.out is None else self.await_next()      # it reads its last answer: see is_stuck()

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
        if x is None:
            return self.resume()
        if x.upstream is not None:
            x.upstream.resume_reads()
            if x.state == RELAYING:
                await_more(x)
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
        if self.counted:
            near = g.addresses.pop(subscriber(&self.peer)) - 1
            if near:
                g.addresses[subscriber(&self.peer)] = near
        return 0 if self.exchange is None else self.exchange.drive(CLIENT_LEFT, 0, NULL, 0, None)
