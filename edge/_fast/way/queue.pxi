# queue: who waits for a provider, in the order of priority, then of coming.

cdef class Queue:

    def __init__(self):
        self.rows = (deque(), deque(), deque())         # by priority: high, normal, low

    cdef int push(self, Exchange x) except -1:
        (<object>self.rows[x.tenant.priority]).append(x)
        self.count += 1
        x.queued = x.gateway.now
        return 0

    cdef Exchange out(self, Exchange x):
        self.count -= 1
        x.queued = 0
        return x

    cdef Exchange pop(self, bint used):
        """The next one that may have a connection, used before or not; None: nobody waits for such a one."""
        cdef Exchange x
        for row in self.rows:
            for x in row:
                if not (used and x.redialled):
                    row.remove(x)
                    return self.out(x)
        return None

    cdef Exchange late(self, int64_t since):
        """One that has waited since before that, taken out; None: nobody has."""
        cdef Exchange x
        for row in self.rows:
            if row:
                x = row[0]
                if x.queued < since:
                    return self.out(row.popleft())
        return None

    cdef list shut_off(self):
        """Those whose target an operator has taken out meanwhile."""
        cdef Exchange x
        return [x for row in self.rows for x in row if x.target.health.forced == FORCED_OPEN]

    cdef Exchange outranked(self, int priority):
        """The last to come of those with the lowest priority, if that is below the given one, taken out; else None."""
        cdef int lower
        for lower in range(2, priority, -1):
            if self.rows[lower]:
                return self.out(self.rows[lower].pop())
        return None

    cdef int remove(self, Exchange x) except -1:
        """Takes out one that waits no longer, wherever it stands."""
        self.rows[x.tenant.priority].remove(x)
        self.out(x)
        return 0
