# The client's side: accept, read, keep alive, time out.

cdef class Downstream(Peer):

    def connection_made(self, transport):
        """A client has connected. Its first head is due within the head's time."""
        cdef Gateway g = self.gateway
        self.attach(transport)
        g.now = monotonic_ns()
        g.counts.accepted += 1
        g.counts.connections += 1
        g.connections.add(self)
        self.deadline = g.now + g.head_ns
        if len(g.connections) > g.max_connections:
            self.deadline = g.now + LINGER_NS
            x = new_exchange(self)
            name_request(x, NULL, NULL)
            x.surface = OPENAI
            x.retry_after_ms = 1000
            set_value(x, S_REASON, "connections")
            refuse(x, gateway_overloaded, True)

    def get_buffer(self, Py_ssize_t hint):
        """Straight into the body where its length is known; else the worker's common buffer, behind what is pending."""
        cdef Gateway g = self.gateway
        cdef Exchange x = self.exchange
        cdef Py_ssize_t kept = 0
        if self.into_body(x):
            g.window.at = x.body.at + x.body.size
            g.window.size = x.length - x.body.size
            return g.window
        if self.pending is not None and not self.lingering:
            kept = PyBytes_GET_SIZE(self.pending)
            memcpy(g.inbox, PyBytes_AS_STRING(self.pending), kept)
        g.window.at = g.inbox + kept
        g.window.size = BUFFER - kept
        return g.window

    cdef bint into_body(self, Exchange x) noexcept:
        return (x is not None and x.state == READING and not x.chunked and x.body is not None
                and self.pending is None and not self.lingering and x.body.size < x.length)

    def buffer_updated(self, Py_ssize_t count):
        """Bytes from the client."""
        cdef Gateway g = self.gateway
        cdef Exchange x = self.exchange
        cdef Py_ssize_t size = count
        g.now = monotonic_ns()
        if self.lingering or self.transport is None:
            return
        try:
            if self.into_body(x):
                x.body.size += count
                if x.body.size == x.length:
                    accept(x)
                return
            if self.pending is not None:
                size += PyBytes_GET_SIZE(self.pending)
                self.pending = None
            elif x is None and not self.skip:
                self.deadline = g.now + g.head_ns
            self.consume(g.inbox, size)
        except Exception as error:
            if self.exchange is None:
                g.log_fault(error, None)
                self.abort()
            else:
                failed_inside(self.exchange, error)

    cdef int consume(self, const char* buf, Py_ssize_t size) except -1:
        """As many requests as the bytes hold, one after the other; what is left over waits in `pending`."""
        cdef Py_ssize_t pos = 0, used
        self.consuming = True
        try:
            while pos < size and not self.lingering and self.transport is not None:
                if self.skip:
                    used = self.skip if self.skip < size - pos else size - pos
                    self.skip -= used
                elif self.exchange is None:
                    used = begin(self, buf + pos, size - pos)
                elif self.exchange.state == READING:
                    used = read_body(self, self.exchange, buf + pos, size - pos)
                else:
                    used = 0
                if used == 0:
                    break
                pos += used
        finally:
            self.consuming = False
        if pos < size and not self.lingering and self.transport is not None:
            self.pending = PyBytes_FromStringAndSize(buf + pos, size - pos)
            if self.exchange is not None and size - pos > PIPELINE_MAX and not self.stopped:
                self.stopped = True
                self.transport.pause_reading()
        return 0

    cdef int resume(self) except -1:
        """The request has ended: the next one may already be here."""
        cdef bytes pending = self.pending
        if self.consuming or self.transport is None:
            return 0
        if self.stopped:
            self.stopped = False
            self.transport.resume_reading()
        if pending is not None:
            self.pending = None
            self.deadline = self.gateway.now + self.gateway.head_ns
            return self.consume(PyBytes_AS_STRING(pending), PyBytes_GET_SIZE(pending))
        return 0

    cdef int linger(self) except -1:
        """Ends the connection so that the client can read our last words: to close on unread bytes would reset it."""
        self.lingering = True
        self.pending = None
        self.deadline = self.gateway.now + LINGER_NS
        if self.transport is not None:
            self.transport.write_eof()
        return 0

    cdef int expired(self) except -1:
        """The deadline has passed; what that means depends on what was awaited."""
        cdef Exchange x = self.exchange
        if self.lingering or (x is None and self.pending is None):
            return self.abort()
        if x is None:
            x = new_exchange(self)
            x.surface = OPENAI
            name_request(x, NULL, NULL)
        if x.state == READING:
            return refuse(x, request_timeout, True)
        if self.paused:
            self.abort()
            return client_left(x)
        if x.state == RELAYING:
            return fail(x, provider_stalled, "no data")
        if x.state == WAITING and x.target.pool.total >= x.target.pool.provider.max_connections:
            x.retry_after_ms = 1000
            set_value(x, S_REASON, f"all connections to {x.target.pool.name} are in use")
            return refuse(x, gateway_overloaded, False)
        return fail(x, provider_timeout, "no response")

    def pause_writing(self):
        """The client reads slower than the provider writes."""
        self.paused = True
        if self.exchange is not None and self.exchange.upstream is not None:
            self.exchange.upstream.pause_reading()

    def resume_writing(self):
        """The client has caught up."""
        cdef Exchange x = self.exchange
        self.paused = False
        if x is not None and x.upstream is not None:
            x.upstream.resume_reading()
            x.gateway.now = monotonic_ns()
            if x.state == RELAYING and x.target.pool.idle_ns:
                self.deadline = x.gateway.now + x.target.pool.idle_ns

    def eof_received(self):
        """The client has closed its side. Nobody who still reads does that before the answer: it has left."""
        return False

    def connection_lost(self, error):
        """Closed, by whichever side."""
        cdef Gateway g = self.gateway
        self.fd = -1
        self.transport = None
        self.pending = None
        g.now = monotonic_ns()
        g.counts.connections -= 1
        g.connections.discard(self)
        if self.exchange is not None:
            try:
                client_left(self.exchange)
            except Exception as fault:
                g.log_fault(fault, None)
