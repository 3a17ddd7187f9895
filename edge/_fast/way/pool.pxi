# pool: a provider's connections, kept alive from one request to the next, and who waits for one.

cdef enum:
    SECRETS_MAX = 256           # of a provider's, the ones before among them


# What OpenSSL calls the words of a server that speaks plain HTTP.
cdef tuple NO_TLS = tuple(f"TLS failure: {reason}" for reason in (
    "wrong version number", "record layer failure", "packet length too long", "http request"))


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
        cdef Upstream upstream = None
        self.gateway.now = monotonic_ns()
        try:
            upstream = self.connection()
            upstream.watch(sock.detach())
            upstream.join()
        except OSError:                     # epoll will not have it (fs.epoll.max_user_watches)
            self.unopened(gateway_overloaded, "file descriptors")
        except Exception as error:
            self.spoilt(upstream, error)
        run_jobs(self.gateway)

    def failed(self, int condition, str reason):
        """An attempt to connect has failed."""
        self.gateway.now = monotonic_ns()
        if reason.startswith(NO_TLS):
            tell_misplaced(self, "the port does not speak TLS")
        self.unopened(condition, reason)
        run_jobs(self.gateway)

    cdef int unopened(self, int condition, str reason) except -1:
        """One connection less is being opened: the request that has waited longest learns of it."""
        cdef Exchange x
        self.opening -= 1
        self.total -= 1
        x = self.waiting.pop(False)
        if x is not None:
            x.drive(CONNECTION_FAILED, condition, NULL, 0, reason)
        return wake(self.gateway, self)

    cdef int spoilt(self, Upstream upstream, object error) except -1:
        """It has failed here, by a fault of ours or for want of memory; None: before there was a connection."""
        cdef int condition = out_of_memory if isinstance(error, MemoryError) else internal_error
        if upstream is not None:
            upstream.pool = None
            upstream.abort()
        if condition == internal_error:
            self.gateway.log_fault(error, None)
        return self.unopened(condition, "internal error")

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
            upstream.take_on(x)
            return send_request(x)
        if self.is_blocked():
            note_limit(self.gateway, f"providers.{self.name}.{'max_connections' if self.limit == self.max_connections
                                                              else 'adaptive'}")
        if self.is_full(x):
            if self.waiting.count - self.opening >= self.gateway.queue:
                note_limit(self.gateway, "queue.queue_size")
            other = self.waiting.outranked(x.tenant.priority)
            if other is None:
                return crowd_out(x)
            self.outranked.append(other)
        self.waiting.push(x)
        wake(self.gateway, self)
        return AWAIT

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
            x.drive(CROWDED_OUT, 0, NULL, 0, None)
        while self.waiting.count and self.active < self.limit:
            x = self.waiting.late(self.gateway.now - patience(self))
            if x is not None:
                x.drive(CROWDED_OUT, 0, NULL, 0, None)
                continue
            upstream = self.take()
            if upstream is None:
                break
            try:
                x = self.waiting.pop(upstream.used)
            except Exception:
                self.drop(upstream)
                raise
            if x is None:                       # all who wait need new ones, for which there must be room
                if self.total < self.max_connections or self.opening >= self.waiting.count:
                    self.idle.append(upstream)
                else:
                    self.drop(upstream)
                break
            upstream.take_on(x)
            x.drive(CONNECTION_FREE, 0, NULL, 0, None)
        while (self.opening < self.waiting.count and self.total < self.max_connections
               and self.active + self.opening < self.limit):
            self.opening += 1
            self.total += 1
            try:
                self.gateway.connect(self)
            except Exception as error:
                self.spoilt(None, error)
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
        return self.keep(upstream, self.idle)

    cdef int keep(self, Upstream upstream, list among) except -1:
        """A connection has its place in a list, or is closed for want of memory; who waits may have it or another."""
        try:
            among.append(upstream)
        except MemoryError:
            upstream.ending = False
            self.drop(upstream)
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
        return self.keep(upstream, self.ending)

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
        cdef bint wanted = self.waiting.count and self.total >= self.max_connections
        cdef int64_t patience = TICK_NS if wanted else TERMINAL_NS
        watch_queue(self)
        while self.ending and self.gateway.now - (<Upstream>self.ending[0]).idle_since > patience:
            self.forget(self.ending[0])
        while self.idle and (self.keep_ns or self.retired):
            upstream = self.idle[0]
            if self.gateway.now - upstream.idle_since < self.keep_ns and not self.retired:
                break
            self.forget(upstream)
        if self.waiting.count:              # a run that had no memory has left them
            wake(self.gateway, self)
