# load: how many requests a provider gets at once, and how long others wait for it.
#
# Without a sign of trouble the limit is the number of connections. A provider that has too much to do shows it in two
# ways: it says so (503 and 529 with words to that effect, or no answer in time), or its answers come later than usual.
# Then the limit falls to what it has been seen to manage (Little's law: who found n requests there and took k times the
# usual time says that n / k are managed at once), and grows again with good answers as long as they are not late. If
# answers come no sooner under the lower limit, it was not the load: the work is of another kind now, and what is usual
# is learnt anew.

cdef enum:
    LEAST = 4                   # the limit never falls below
    SAMPLES = 32                # answers before an average is believed

cdef double QUICK = 1.0 / 32    # weight of one answer in what is now
cdef double FALL = 1.0 / 32     # how far what is usual follows it down with each answer,
cdef double RISE = 0.6931 / 600e9       # and up with each ns: twice in ten minutes, lest a rising load be thought usual
cdef double TROUBLE = 0.25      # share of recent answers that tell of too much work, from which on it is believed
cdef double LATE = 0.6931       # ln 2: twice the usual time, where there was no limit
cdef double LATE_AGAIN = 0.3    # ln 1.35: where there was
cdef double PROMPT = 0.2        # ln 1.22: the limit grows
cdef double NOTICED = 0.25      # seconds: what is late by less is the network's or the scheduler's doing
cdef double BETTER = 0.4        # of the lateness, what a lower limit must take away
cdef int64_t LEAST_PATIENCE = 100000000     # ns
cdef int64_t CALM_NS = 2000000000       # without anybody waiting, after which there is nothing to limit


cdef class Pace:
    """How soon answers begin. Logarithms are averaged: the few that take ten times as long must not decide."""

    cdef int learn(self, int kind, double value, int crowd, int64_t span) noexcept:
        """The logarithm of the time from a request's sending, among `crowd` others, to its answer's first byte.

        `span` is how many ns what is usual may have risen for: 0 under a limit.
        """
        cdef double weight = QUICK, change
        self.seen[kind] += 1
        if self.seen[kind] <= SAMPLES:
            weight = 1.0 / self.seen[kind]
        self.recent[kind] += weight * (value - self.recent[kind])
        self.managed[kind] += weight * (log(crowd) + self.usual[kind] - value - self.managed[kind])
        change = self.recent[kind] - self.usual[kind]
        if self.seen[kind] <= SAMPLES:
            self.usual[kind] = self.recent[kind]
        else:
            self.usual[kind] += FALL * change if change < 0.0 else min(change, RISE * span)
        return 0

    cdef double lateness(self, int kind) noexcept:
        """The logarithm of recent times over usual ones, where the difference is worth a thought."""
        cdef double found = self.recent[kind] - self.usual[kind]
        return found if found < LATE or exp(self.recent[kind]) - exp(self.usual[kind]) > NOTICED else 0.0


cdef int learn_pace(Pool pool, Exchange x) except -1:
    """A good first byte: the limit follows."""
    cdef int kind = x.stream
    cdef double value, late
    cdef bint free = pool.limit == pool.max_connections
    if not pool.adaptive or x.status >= 400:
        return 0
    pool.trouble -= QUICK * pool.trouble
    value = log(max((x.first_byte - x.sent) / 1e9, 1e-6))
    pool.pace.learn(kind, value, x.crowd, pool.gateway.now - pool.learnt if free else 0)
    pool.learnt = pool.gateway.now
    if pool.trial and kind == pool.blamed_kind and x.sent > pool.lowered:
        judge_trial(pool, value)
    if pool.trial:
        return 0
    late = pool.pace.lateness(kind)
    # Streams live for a minute: as many as come begin at once after a lull, and are late together, in the provider and
    # here, without any harm. A provider that has too many of them says so.
    if late > (LATE if free else LATE_AGAIN) and pool.active > LEAST and not x.stream:
        begin_trial(pool, kind, x)
    elif not free and late < PROMPT and 2 * pool.active >= pool.limit:
        pool.grown += 0.05 + 1.0 / pool.limit           # a twentieth, and one, for each round of good answers
        if pool.grown >= 1.0:
            pool.grown -= 1.0
            pool.limit += 1
    return 0


cdef int begin_trial(Pool pool, int kind, Exchange x) except -1:
    """Lowers the limit to what is managed, and begins to watch whether that brings answers sooner."""
    if lower(pool, <int>(exp(pool.pace.managed[kind]) + 0.5), x):
        pool.blamed = pool.pace.recent[kind]
        pool.blamed_kind = kind
        pool.trial = pool.trial_size = max(<int>SAMPLES, pool.limit)
        pool.trial_sum = 0.0
    return 0


cdef int judge_trial(Pool pool, double value) noexcept:
    """One of the answers to what was sent under the lower limit; the last one decides."""
    cdef double mean, usual = pool.pace.usual[pool.blamed_kind]
    pool.trial -= 1
    pool.trial_sum += value
    if pool.trial:
        return 0
    mean = pool.trial_sum / pool.trial_size
    pool.pace.recent[pool.blamed_kind] = mean
    if mean - usual > (1.0 - BETTER) * (pool.blamed - usual):
        pool.pace.usual[pool.blamed_kind] = mean
        pool.limit = min(2 * pool.limit, pool.max_connections)
    return 0


cdef int slow_down(Pool pool, Exchange x) except -1:
    """The provider says that it has too much to do. Where it has next to nothing from us, that is not our doing."""
    if not pool.adaptive:
        return 0
    pool.trouble += QUICK * (1.0 - pool.trouble)
    if pool.trouble > TROUBLE and pool.active > 2 * LEAST:
        lower(pool, pool.active - (pool.active >> 2), x)
    return 0


cdef bint lower(Pool pool, int limit, Exchange x) except -1:
    """Lowers the limit, once for all that was sent before it was lowered last."""
    if x.sent < pool.lowered or limit >= pool.limit:
        return False
    if pool.limit == pool.max_connections:
        x.gateway.notice("provider gets fewer requests at once", {"provider": pool.name, "limit": limit})
    pool.limit = max(limit, <int>LEAST)
    pool.lowered = x.gateway.now
    pool.grown = 0.0
    return True


cdef int64_t patience(Pool pool) noexcept:
    """ns that a request may wait for the provider: where it is known to have too much to do, half an answer's time.

    A queue that stands helps nobody: it makes every request late, and serves no more of them.
    """
    cdef int64_t most = pool.gateway.queue_ns
    if pool.limit == pool.max_connections or pool.pace.seen[pool.blamed_kind] <= SAMPLES:
        return most
    return min(most, max(<int64_t>(exp(pool.pace.usual[pool.blamed_kind]) * 5e8), LEAST_PATIENCE))


cdef bint is_in_vain(Pool pool, int ahead) noexcept:
    """Whether a request behind so many others would lose patience, at the pace at which they go."""
    return (pool.limit < pool.max_connections
            and ahead * exp(pool.pace.recent[pool.blamed_kind]) * 1e9 > pool.limit * <double>patience(pool))


cdef str DESCRIPTORS = "file descriptors (LimitNOFILE, ulimit -n)"
cdef int64_t LIMIT_CALM_NS = 60000000000


cdef int note_limit(Gateway g, str name) except -1:
    """A limit of ours binds: said once, by its name in the configuration, and again after a minute without it."""
    cdef int64_t last = g.bound.get(name, 0)
    g.bound[name] = g.now
    if last == 0 or g.now - last > LIMIT_CALM_NS:
        g.notice("limit reached", {"limit": name})
    return 0


cdef int descriptor_limit() except -1:
    """How many connections a process may have at most."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return min(soft, 1 << 20) if soft > 0 else 1 << 20


cdef int crowd_out(Exchange x) except -1:
    """There is no room for a request at this provider: it goes to another target, or learns that there is none."""
    cdef Pool pool = x.target.pool
    x.retry_after_ms = 1000
    pool.load.refused += 1
    x.say(S_REASON, f"all connections to {pool.name} are in use" if pool.limit == pool.max_connections
          else f"{pool.name} has too much to do")
    return x.fail(gateway_overloaded, None)


cdef int watch_queue(Pool pool) except -1:
    """Some times a second: sends away who has waited for too long, and shows the load to others."""
    cdef int64_t now = pool.gateway.now
    cdef Exchange x
    for x in pool.waiting.shut_off() if pool.waiting.count else ():
        x.drive(RULES_CHANGED, 0, NULL, 0, None)
    while pool.waiting.count:
        x = pool.waiting.late(now - patience(pool))
        if x is None:
            break
        x.drive(CROWDED_OUT, 0, NULL, 0, None)
    if pool.waiting.count or pool.limit == pool.max_connections:
        pool.calm_since = now
    elif now - pool.calm_since > CALM_NS:
        pool.limit = pool.max_connections
    pool.load.active += pool.active - pool.shown.active
    pool.load.waiting += pool.waiting.count - pool.shown.waiting
    pool.load.limit += (0 if pool.retired else pool.limit) - pool.shown.limit
    pool.shown.active = pool.active
    pool.shown.waiting = pool.waiting.count
    pool.shown.limit = 0 if pool.retired else pool.limit
    return 0
