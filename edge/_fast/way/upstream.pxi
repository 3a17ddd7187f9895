# upstream: a connection to a provider, and the answer that it reads.

cdef enum:
    MAX_ANSWER_HEAD = 65536
    HEADS_MAX = 8               # of one answer, interim ones included

cdef str CUT_OFF = "Connection closed without the end of TLS"


cdef class Upstream(Peer):

    def connection_made(self, transport):
        """TLS is up."""
        self.transport = transport
        self.gateway.now = monotonic_ns()
        try:
            self.join()
        except Exception as error:
            self.pool.spoilt(self, error)
        run_jobs(self.gateway)

    def get_buffer(self, Py_ssize_t hint):
        """TLS: where the next bytes go."""
        self.place()
        return memoryview(self.gateway.window)

    def buffer_updated(self, Py_ssize_t count):
        """TLS: bytes from the provider."""
        self.gateway.now = monotonic_ns()
        if self.transport is not None:
            self.received(count)
            run_jobs(self.gateway)

    def pause_writing(self):
        """TLS: the request goes out slower than we make it."""
        self.paused = True
        self.choked()

    def resume_writing(self):
        """TLS: the provider has caught up."""
        self.gateway.now = monotonic_ns()
        self.paused = False
        self.drained()
        run_jobs(self.gateway)

    def eof_received(self):
        """TLS: the provider has closed its side, or somebody on the way has."""
        self.gateway.now = monotonic_ns()
        self.closed("Connection closed" if self.framing != F_CLOSE or self.is_over() else CUT_OFF)
        run_jobs(self.gateway)
        return False

    def connection_lost(self, error):
        """TLS: closed, by whichever side."""
        self.gateway.now = monotonic_ns()
        self.transport = None
        self.closed("Connection reset" if error is not None else CUT_OFF)
        run_jobs(self.gateway)

    cdef bint is_over(self) noexcept:
        """Whether TLS has ended as well: else who knows whether this was all (RFC 9112 section 9.8)."""
        cdef bint over = False
        try:
            over = self.transport.get_extra_info("ssl_object").read(1) == b""
        except Exception:
            pass
        return over

    cdef int join(self) except -1:
        """Joins the pool, and takes the first request that waits."""
        cdef Pool pool = self.pool
        self.joined = True
        pool.opening -= 1
        self.gateway.counts.upstream_opened += 1
        self.gateway.counts.upstream_connections += 1
        self.idle_since = self.gateway.now
        if pool.retired and not pool.waiting.count:
            return pool.forget(self)
        return pool.keep(self, pool.idle)

    cdef bint is_quiet(self) noexcept:
        """Nothing has come that nobody asked for, the end included. (TLS cannot be asked without reading.)"""
        cdef char byte
        return self.fd < 0 or recv(self.fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 and errno == EAGAIN

    cdef bint into_held(self, Exchange x) noexcept:
        return (self.answering and x is not None and x.mode == WHOLE and self.framing == F_LENGTH
                and x.held is not None)

    cdef int place(self) except -1:
        """Straight behind what is held of an answer whose length is known; else the worker's common buffer.

        There is room for one byte more than the answer has: a surplus must be seen, before it is somebody's answer.
        """
        cdef Gateway g = self.gateway
        cdef Exchange x = self.exchange
        cdef Py_ssize_t kept = 0
        cdef Writer out
        if self.into_held(x):
            g.window.at = x.held.at + x.held.size
            g.window.size = x.held.room - x.held.size
            return 0
        if self.pending is not None:
            write_into(&out, g.outbox, BUFFER - INTAKE)
            put_bytes(&out, self.pending)
            kept = written(&out)
        g.window.at = g.outbox + kept
        g.window.size = BUFFER - kept
        return 0

    cdef int received(self, Py_ssize_t count) except -1:
        """Bytes from the provider."""
        cdef Exchange x = self.exchange
        cdef Py_ssize_t size = count
        if x is None:
            if self.ending:
                return self.read_end(self.gateway.outbox, size)
            # Nothing was asked: a notice of closing, or somebody else's answer. Neither may meet the next request.
            return self.abort() if self.pool is None else self.pool.forget(self)
        if self.into_held(x):
            return x.drive(ANSWER_CAME, 0, NULL, count, None)
        if self.pending is not None:
            size += PyBytes_GET_SIZE(self.pending)
            self.pending = None
        return x.drive(ANSWER_CAME, 0, self.gateway.outbox, size, None)

    cdef int read_answer(self, char* buf, Py_ssize_t size) except -1:
        """Bytes of the answer; no `buf`: they lie behind what is held already."""
        cdef Exchange x = self.exchange
        if buf != NULL:
            return self.feed(buf, size)
        if size > self.left:
            size = self.left                # the window's spare byte was used: see place()
            self.keep_alive = False
        x.held.filled(size)
        self.left -= size
        self.ended = self.left == 0
        return answer_bytes(x, NULL, 0, self.ended)

    cdef int choked(self) except -1:
        """The provider takes an upload slower than the client sends it: the client waits."""
        cdef Exchange x = self.exchange
        if x is None or not x.unread:
            return 0
        x.downstream.why = AWAITS_ROOM
        return x.downstream.pause_reads(EPOLLIN)

    cdef int drained(self) except -1:
        """The provider has caught up."""
        cdef Exchange x = self.exchange
        return await_client(x) if x is not None and x.unread else 0

    cdef int lost(self, bint reset) except -1:
        return self.closed("Connection reset" if reset else "Connection closed")

    cdef int take_on(self, Exchange x) except -1:
        """It is that request's from now on."""
        self.exchange = x
        self.pending = None
        x.upstream = self
        self.pool.active += 1
        x.crowd = self.pool.active
        self.answering = False
        self.ended = False
        self.heads = 0
        self.keep_alive = False
        return 0

    cdef int feed(self, char* buf, Py_ssize_t size) except -1:
        """A head (interim ones are passed over), then the body behind it."""
        cdef Gateway g = self.pool.gateway
        cdef Head* head = &g.answer
        cdef Exchange x = self.exchange
        cdef int result, verdict
        while not self.answering:
            result = parse_response(buf, size, MAX_ANSWER_HEAD, x.method == M_HEAD, head)
            if result == HEAD_MORE:
                self.pending = PyBytes_FromStringAndSize(buf, size)
                return AWAIT
            self.heads += 1
            if result < 0 and size > 1 and buf[0] == 21 and buf[1] == 3:
                return misplaced(x, "the port speaks TLS")          # an alert (RFC 8446 section 5.1)
            if result < 0 or head.status == 101 or self.heads > HEADS_MAX:
                return x.fail(provider_response_invalid, "malformed response head")
            if head.status >= 200:
                self.answering = True
                # A server that does not read the body of a DELETE (RFC 9110 9.3.5) takes it for the next request.
                self.keep_alive = head.keep_alive and not (x.method == M_DELETE and x.length)
                self.left = head.content_length
                self.framing = (F_NONE if not head.has_body or head.content_length == 0 else F_CHUNKED if head.chunked
                                else F_LENGTH if head.content_length > 0 else F_CLOSE)
                if self.framing == F_CHUNKED:
                    chunk_begin(&self.inbound)
                verdict = answer_head(x, buf, head)
                if verdict != AWAIT:
                    return verdict              # the head is enough to say that this is no answer
            buf += head.size
            size -= head.size
        return self.body(buf, size)

    cdef int body(self, char* buf, Py_ssize_t size) except -1:
        """Takes the framing off. Pieces of one read are moved together, so that they go on as one."""
        cdef Exchange x = self.exchange
        cdef size_t pos = 0, length
        cdef const char* data
        cdef char* start = buf
        cdef Py_ssize_t total = 0
        cdef int result, verdict
        if self.framing == F_NONE:
            self.ended = True
        elif self.framing == F_LENGTH:
            total = size if size < self.left else self.left
            self.left -= total
            self.ended = self.left == 0
            pos = total
        elif self.framing == F_CLOSE:
            total = size
            pos = size
        while self.framing == F_CHUNKED:
            result = chunk_next(&self.inbound, buf, size, &pos, &data, &length)
            if result == CHUNK_DATA:
                if total == 0:
                    start = <char*>data
                else:
                    memmove(start + total, data, length)
                total += length
                continue
            if result == CHUNK_BAD:
                verdict = answer_bytes(x, start, total, False) if total else AWAIT
                return verdict if verdict != AWAIT else x.fail(provider_response_invalid, "malformed chunk")
            self.ended = result == CHUNK_END
            break
        if self.ended and <Py_ssize_t>pos < size:
            self.keep_alive = False         # more than was asked for: what follows is nobody's
        return answer_bytes(x, start, total, self.ended)

    cdef int read_end(self, const char* buf, Py_ssize_t size) except -1:
        """What comes behind a stream's last event: the end of the framing, or what is nobody's."""
        cdef size_t pos = 0, length
        cdef const char* data
        cdef int result
        if self.framing == F_CHUNKED:
            result = chunk_next(&self.inbound, buf, size, &pos, &data, &length)
            if result == CHUNK_MORE:
                return 0
            if result == CHUNK_END and <Py_ssize_t>pos == size:
                self.ending = False
                self.pool.ending.remove(self)
                return self.pool.release(self)
        return self.pool.forget(self)

    cdef int closed(self, str reason) except -1:
        cdef Pool pool = self.pool
        cdef Exchange x = self.exchange
        if pool is None:
            return self.abort()
        self.keep_alive = False
        if x is None:
            return pool.forget(self)
        return x.drive(ANSWER_CLOSED, 0, NULL, 0, reason)
