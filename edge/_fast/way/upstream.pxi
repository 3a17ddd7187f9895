# The provider's side: a pool of kept-alive connections per provider, and what each connection reads.

cdef enum Framing:
    F_NONE, F_LENGTH, F_CHUNKED, F_CLOSE

cdef enum:
    MAX_ANSWER_HEAD = 65536
    HEADS_MAX = 8               # of one answer, interim ones included
    SECRETS_MAX = 256           # of a provider's, the ones before among them
    STALE_NS = 1000000000       # a reused connection that breaks sooner after a request was never read by the provider


# What OpenSSL calls the words of a server that speaks plain HTTP.
cdef tuple NO_TLS = tuple(f"TLS failure: {reason}" for reason in (
    "wrong version number", "record layer failure", "packet length too long", "http request"))


cdef str CUT_OFF = "Connection closed without the end of TLS"


cdef class Pool:

    def __init__(self, Gateway gateway, provider, bytes base, int strip, tuple heads, int load):
        self.gateway = gateway
        self.base, mark, query = base.partition(b"?")
        self.query = mark + query
        self.strip = strip
        self.name = provider.name
        self.idle = []
        self.ending = []
        self.waiting = Queue()
        self.outranked = []
        self.pace = Pace.__new__(Pace)
        self.targets = ()
        self.secrets = ()
        self.index = load
        self.load = &gateway.counts.loads[load]
        self.update(provider, heads)

    def update(self, provider, tuple heads):
        """Takes over what a reload changed without touching the connections. ValueError: too much for a head."""
        if len(self.base) + len(self.query) + max(len(head) for head in heads) > FIXED_LIMIT:
            raise ValueError("base URL, key and headers of a provider are too long")
        self.provider = provider
        self.misplaced = False
        most = provider.max_connections or descriptor_limit()
        if self.limit == self.max_connections or self.limit > most or not provider.adaptive:
            self.limit = most
        self.max_connections = most
        self.max_idle = provider.max_idle
        self.adaptive = provider.adaptive
        self.asks_usage = provider.stream_usage
        if heads != self.heads:
            self.rekeyed = monotonic_ns()
        self.heads = heads
        self.keys = len(heads)
        # Those before too: a key that was replaced is often good for a while, and may be in answers on their way.
        self.secrets = tuple(dict.fromkeys((
            *(secret.reveal().encode() for secret in (*provider.keys, *dict(provider.headers).values())
              if len(secret.reveal()) >= 8), *self.secrets)))[:SECRETS_MAX]
        self.next_key = 0
        self.first_byte_ns = to_ns(provider.first_byte_timeout)
        self.idle_ns = to_ns(provider.idle_timeout)
        self.plain_ns = to_ns(provider.plain_timeout)
        self.total_ns = to_ns(provider.total_timeout)
        self.keep_ns = to_ns(provider.keep_alive)

    def connection(self):
        """A protocol for a TLS connection being opened; `connection_made` brings it into the pool."""
        cdef Upstream upstream = Upstream.__new__(Upstream)
        upstream.gateway = self.gateway
        upstream.pool = self
        return upstream

    def opened(self, sock):
        """A plain connection is open; its descriptor is ours from now on."""
        cdef Upstream upstream = self.connection()
        upstream.watch(sock.detach())
        self.gateway.now = monotonic_ns()
        upstream.join()
        run_jobs(self.gateway)

    def failed(self, int condition, str reason):
        """An attempt to connect has failed: the request that has waited longest learns of it."""
        cdef Exchange x
        self.opening -= 1
        self.total -= 1
        self.gateway.now = monotonic_ns()
        if reason.startswith(NO_TLS):
            tell_misplaced(self, "the port does not speak TLS")
        x = self.waiting.pop(False)
        if x is not None:
            if condition == gateway_overloaded:
                note_limit(self.gateway, DESCRIPTORS)
                x.retry_after_ms = 1000
            fail_other(x, condition, reason)
        wake(self.gateway, self)
        run_jobs(self.gateway)

    def retire(self):
        """A reload has replaced the pool: who waits is served or sent away here, and the rest goes as it gets idle."""
        self.retired = True
        self.sweep()

    cdef int acquire(self, Exchange x) except -1:
        cdef Upstream upstream = None
        cdef Exchange other
        if self.retired and self not in self.gateway.retired:
            self.gateway.retired.append(self)       # a request that was read meanwhile: somebody must look after it
        if self.waiting.count == 0 and self.active < self.limit and not x.redialled:
            upstream = self.take()
        if upstream is not None:
            self.gateway.counts.upstream_reused += 1
            return upstream.send(x)
        if self.is_blocked():
            note_limit(self.gateway, f"providers.{self.name}.{'max_connections' if self.limit == self.max_connections
                                                              else 'adaptive'}")
        if self.is_full(x):
            if self.waiting.count - self.opening >= self.gateway.queue:
                note_limit(self.gateway, "queue.queue_size")
            other = self.waiting.outranked(x.tenant.priority)
            if other is None:
                return crowd_out(self, x)
            self.waiting.push(x)
            self.outranked.append(other)
            return wake(self.gateway, self)
        self.waiting.push(x)
        return wake(self.gateway, self)

    cdef bint is_blocked(self) noexcept:
        """Whether who waits must wait for another's end, not for a connection."""
        return self.total >= self.max_connections or self.active >= self.limit

    cdef bint is_full(self, Exchange x) noexcept:
        """Whether a request would wait in vain: too many do already, or they would make it late."""
        cdef int ahead = self.waiting.count - self.opening
        if not self.is_blocked():
            return False
        if ahead >= self.gateway.queue:
            return True
        return is_in_vain(self, ahead)

    cdef Upstream take(self):
        """An idle connection on which nothing has come since its last answer, None where there is none.

        An end or a surplus would be taken for the answer to the next request, which is another client's. What came
        before the last look at all connections has closed them (see turn). Those that are idle since then are looked
        at here, by a system call of their own.
        """
        cdef Upstream upstream
        while self.idle:
            upstream = self.idle.pop()
            if upstream.idle_since < self.gateway.looked or upstream.is_quiet():
                return upstream
            self.drop(upstream)
        return None

    cdef int drop(self, Upstream upstream) except -1:
        """Closes a connection that is in no list."""
        upstream.pool = None
        self.total -= 1
        self.gateway.counts.upstream_connections -= 1
        return upstream.abort()

    cdef int run(self) except -1:
        """Gives idle connections to those who wait, and opens as many more as they need and the limit allows."""
        cdef Upstream upstream
        cdef Exchange x
        while self.outranked:
            x = self.outranked.pop()
            if x.state == WAITING:              # its client has not left meanwhile
                crowd_out(self, x)
        while self.waiting.count and self.active < self.limit:
            x = self.waiting.late(self.gateway.now - patience(self))
            if x is not None:
                crowd_out(self, x)
                continue
            upstream = self.take()
            if upstream is None:
                break
            x = self.waiting.pop(upstream.used)
            if x is None:                       # all who wait need new ones, for which there must be room
                if self.total < self.max_connections or self.opening >= self.waiting.count:
                    self.idle.append(upstream)
                else:
                    self.drop(upstream)
                break
            try:
                upstream.send(x)
            except Exception as error:
                failed_inside(x, error)
        while (self.opening < self.waiting.count and self.total < self.max_connections
               and self.active + self.opening < self.limit):
            self.opening += 1
            self.total += 1
            self.gateway.connect(self)
        return 0

    cdef int release(self, Upstream upstream) except -1:
        """An answer has ended well: the connection is free for the next."""
        upstream.used = True
        upstream.answering = False
        upstream.ended = False
        upstream.idle_since = self.gateway.now
        upstream.resume_reads()
        if (upstream.out is not None or upstream.paused or len(self.idle) >= self.max_idle
                or (self.retired and not self.waiting.count)):
            return self.forget(upstream)
        self.idle.append(upstream)
        return wake(self.gateway, self) if self.waiting.count else 0

    cdef int forget(self, Upstream upstream) except -1:
        """Closes a connection, idle or not; who waits may have another instead."""
        if upstream.ending:
            upstream.ending = False
            self.ending.remove(upstream)
        elif upstream in self.idle:
            self.idle.remove(upstream)
        self.drop(upstream)
        return wake(self.gateway, self) if self.waiting.count else 0

    cdef int await_end(self, Upstream upstream) except -1:
        """A stream's last event has come: its framing may end a moment later, and the connection be used again."""
        if self.retired or not upstream.is_open():
            return self.forget(upstream)
        upstream.ending = True
        upstream.idle_since = self.gateway.now
        upstream.resume_reads()
        self.ending.append(upstream)
        return wake(self.gateway, self) if self.waiting.count else 0

    cdef int prune(self, int64_t since) except -1:
        """A connection that was idle `since` then was found closed: what was idle for longer is taken to be as well."""
        cdef Upstream upstream
        for upstream in tuple(self.idle):
            if upstream.idle_since <= since:
                self.forget(upstream)
        return 0

    def sweep(self):
        """Closes connections that were idle for too long, oldest first; sends away who has waited for too long."""
        cdef Upstream upstream
        watch_queue(self)
        while self.ending and self.gateway.now - (<Upstream>self.ending[0]).idle_since > TERMINAL_NS:
            self.forget(self.ending[0])
        while self.idle and (self.keep_ns or self.retired):
            upstream = self.idle[0]
            if self.gateway.now - upstream.idle_since < self.keep_ns and not self.retired:
                break
            self.forget(upstream)


cdef class Upstream(Peer):

    def connection_made(self, transport):
        """TLS is up."""
        self.transport = transport
        self.gateway.now = monotonic_ns()
        self.join()
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
        try:
            return self.transport.get_extra_info("ssl_object").read(1) == b""
        except Exception:
            return False

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
        pool.idle.append(self)
        return wake(pool.gateway, pool)

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
        try:
            if self.into_held(x):
                if count > self.left:
                    count = self.left           # the window's spare byte was used: see place()
                    self.keep_alive = False
                x.held.filled(count)
                self.left -= count
                self.ended = self.left == 0
                return answer_bytes(x, NULL, 0, self.ended)
            if self.pending is not None:
                size += PyBytes_GET_SIZE(self.pending)
                self.pending = None
            return self.feed(self.gateway.outbox, size)
        except Exception as error:
            return failed_inside(x, error)

    cdef int choked(self) except -1:
        """The provider takes an upload slower than the client sends it: the client waits."""
        cdef Exchange x = self.exchange
        return x.downstream.pause_reads(EPOLLIN) if x is not None and x.unread else 0

    cdef int drained(self) except -1:
        """The provider has caught up."""
        cdef Exchange x = self.exchange
        return await_client(x) if x is not None and x.unread else 0

    cdef int lost(self, bint reset) except -1:
        return self.closed("Connection reset" if reset else "Connection closed")

    cdef int send(self, Exchange x) except -1:
        """The request goes out; of an upload its head, and then it is the client's turn."""
        cdef Gateway g = x.gateway
        cdef int64_t begun = g.now
        move(x, E_CONNECTED)
        self.exchange = x
        x.upstream = self
        self.pool.active += 1
        x.crowd = self.pool.active
        self.answering = False
        self.ended = False
        self.heads = 0
        self.keep_alive = False
        write_request(x, self)
        g.now = x.sent = monotonic_ns()
        x.overhead += x.sent - begun
        return await_client(x) if x.unread else await_answer(x)

    cdef int feed(self, char* buf, Py_ssize_t size) except -1:
        """A head (interim ones are passed over), then the body behind it."""
        cdef Gateway g = self.pool.gateway
        cdef Head* head = &g.answer
        cdef Exchange x = self.exchange
        cdef int result
        while not self.answering:
            result = parse_response(buf, size, MAX_ANSWER_HEAD, x.method == M_HEAD, head)
            if result == HEAD_MORE:
                self.pending = PyBytes_FromStringAndSize(buf, size)
                return 0
            self.heads += 1
            if result < 0 and size > 1 and buf[0] == 21 and buf[1] == 3:
                return misplaced(x, "the port speaks TLS")          # an alert (RFC 8446 section 5.1)
            if result < 0 or head.status == 101 or self.heads > HEADS_MAX:
                return fail(x, provider_response_invalid, "malformed response head")
            if head.status >= 200:
                self.answering = True
                # A server that does not read the body of a DELETE (RFC 9110 9.3.5) takes it for the next request.
                self.keep_alive = head.keep_alive and not (x.method == M_DELETE and x.length)
                self.left = head.content_length
                self.framing = (F_NONE if not head.has_body or head.content_length == 0 else F_CHUNKED if head.chunked
                                else F_LENGTH if head.content_length > 0 else F_CLOSE)
                if self.framing == F_CHUNKED:
                    chunk_begin(&self.inbound)
                answer_head(x, buf, head)
                if self.exchange is not x:
                    return 0                    # the head was enough to say that this is no answer
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
        cdef int result
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
                if total:
                    answer_bytes(x, start, total, False)
                if self.exchange is x:
                    fail(x, provider_response_invalid, "malformed chunk")
                return 0
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
        self.exchange = None
        if x is not None:
            x.upstream = None
            pool.active -= 1
        pool.forget(self)
        if x is None:
            return 0
        try:
            return self.answer_closed(x, pool, reason)
        except Exception as error:
            return failed_inside(x, error)

    cdef int answer_closed(self, Exchange x, Pool pool, str reason) except -1:
        """What the end of the connection means for the answer."""
        if self.answering and self.framing == F_CLOSE and reason == "Connection closed":
            return answer_bytes(x, NULL, 0, True)
        if self.answering and x.mode == FAULT and x.state == HOLDING:
            return classify(x)          # its status has said enough
        if self.answering:
            return fail(x, provider_cut, reason)
        if (self.pending is None and self.used and not x.redialled and not x.spent
                and pool.gateway.now - x.sent < STALE_NS):
            # Closed while it was idle; the request crossed the closing on its way and was never read. It gets a new
            # connection: another used one may be just closing as well, and it is not to be sent a third time.
            x.redialled = 1
            pool.prune(self.idle_since)
            return again(x)
        if self.pending is not None:
            return fail(x, provider_response_invalid, "the connection ended in the response head")
        return fail(x, provider_disconnected, "reset the connection without an answer" if reason == "Connection reset"
                    else "closed the connection without an answer")
