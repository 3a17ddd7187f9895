"""Limits that hosts share: what this host has drawn of them ahead of need, in its shared memory.

A purse holds units, and until when they may be spent; workers take from it as they do from a bucket, by one
compare-and-swap. Control alone speaks with Redis: it fills purses, empties them in time, and writes down what it was
told of the fleet's level, from which a worker knows whether a refusal is true or the fleet may have more.

A worker that misses something sets the purse's bit among those that control looks at. Control's own words of a purse
(from `seq` on) outlive it, so that the next control goes on where the last one ended.
"""
from collections import namedtuple

from libc.stdint cimport INT64_MAX, int64_t, uint64_t

from .atomic cimport EDGE_ADD, EDGE_CAS, EDGE_CLEAR, EDGE_LOOK, EDGE_OR, EDGE_SEE, EDGE_SET, EDGE_TURN
from .slab cimport (
    MAX_BUCKETS, Bucket, Fleet, Purse, bucket_charge, bucket_give, bucket_left, bucket_limit, bucket_missing,
    bucket_reserve, monotonic_ns,
)

cdef int64_t MOST_WAIT = 2**60      # ns
cdef int64_t SOON = 50000000        # ns between two words of what was taken without Redis
cdef int64_t ANEW = 1000000000      # ns after which what Redis has said is asked for anew: others may have given back

Held = namedtuple("Held", "units expires seq ack sent life until reserved lent")
Said = namedtuple("Said", "lack alone lent")
FleetTotal = namedtuple("FleetTotal", "host hosts rank slow away grace")


cdef inline int64_t interval_of(const Bucket* bucket) noexcept nogil:
    return bucket.terms[EDGE_SEE(&bucket.word) & 1].interval


cdef int64_t purse_take(Slab slab, int index, int64_t now, int64_t cost) noexcept nogil:
    """Takes `cost` (>= 0) units: 0 when taken, else ns until the fleet has them, or SHORT.

    An estimate may be more than the whole limit: whoever holds all of it lets it pass, and is in debt.
    """
    cdef Purse* purse = slab.purse(index)
    cdef const Bucket* bucket = slab.bucket(index)
    cdef int64_t units = EDGE_SEE(&purse.units), interval, needed, when
    interval = interval_of(bucket)
    if interval == 0:
        return 0
    needed = min(cost, bucket_limit(bucket))
    if now < EDGE_SEE(&purse.expires):
        if units >= needed:
            EDGE_ADD(&purse.reserved, cost)     # first, so that control never finds less than there is
            while units >= needed and now >= EDGE_SEE(&purse.born):
                if EDGE_CAS(&purse.units, &units, units - cost):
                    return 0
            let_go(&purse.reserved, cost)
    else:
        units = min(units, <int64_t>0)
    when = there_at(purse, interval, needed - units)
    if when > now:
        if when - now > ANEW and now - EDGE_SEE(&purse.sent) > ANEW:
            miss(slab, index, needed - units)
        return when - now
    miss(slab, index, needed - units)
    return SHORT


cdef int64_t purse_mute(Slab slab, int index) noexcept nogil:
    """Since when there is no answer for this limit alone; 0: there is."""
    return EDGE_SEE(&slab.purse(index).mute)


cdef inline void let_go(int64_t* word, int64_t cost) noexcept nogil:
    cdef int64_t there = EDGE_SEE(word)
    while not EDGE_CAS(word, &there, max(<int64_t>0, there - cost)):
        pass


cdef inline int64_t there_at(const Purse* purse, int64_t interval, int64_t units) noexcept nogil:
    """When the fleet has so many, as far as this host knows."""
    cdef int64_t when = units * interval if units < MOST_WAIT // interval else MOST_WAIT
    return max(when + EDGE_SEE(&purse.origin), EDGE_SEE(&purse.unasked))


cdef int64_t purse_wait(Slab slab, int index, int64_t now, int64_t cost) noexcept nogil:
    """What `purse_take` would return but for SHORT, and nothing is taken."""
    cdef const Purse* purse = slab.purse(index)
    cdef int64_t units = EDGE_SEE(&purse.units), interval = interval_of(slab.bucket(index))
    if now >= EDGE_SEE(&purse.expires):
        units = min(units, <int64_t>0)
    if interval == 0 or units >= cost:
        return 0
    return max(<int64_t>0, there_at(purse, interval, cost - units) - now)


cdef void miss(Slab slab, int index, int64_t cost) noexcept nogil:
    """A request has missed so many units."""
    cdef Purse* purse = slab.purse(index)
    cdef int64_t lack = EDGE_SEE(&purse.lack)
    while lack < cost and not EDGE_CAS(&purse.lack, &lack, cost):
        pass
    call(slab, index)


cdef bint call(Slab slab, int index) noexcept nogil:
    """Control is to look at a limit. Whether it has not been called to it yet."""
    cdef uint64_t* word = &slab.asking()[index >> 6]
    cdef uint64_t bit = <uint64_t>1 << (index & 63)
    return not EDGE_LOOK(word) & bit and not EDGE_OR(word, bit) & bit


cdef void purse_settle(Slab slab, int index, int64_t now, int64_t taken_at, int64_t cost, int64_t used) noexcept nogil:
    """Of `cost` units so many were used, more perhaps: then the next draws pay the debt.

    What was not used comes back, unless Redis has forgotten meanwhile that it was out: the level has grown over it.
    Then it is not among what is reserved either, and others' reservations stay.
    """
    cdef Purse* purse = slab.purse(index)
    cdef int64_t units, held, more = used - cost
    cdef bint forgotten = taken_at < EDGE_SEE(&purse.born)
    if more < 0 and forgotten:
        more = 0
    if more:
        units = EDGE_SEE(&purse.units)
        while True:
            held = units if now < EDGE_SEE(&purse.expires) else min(units, <int64_t>0)
            if EDGE_CAS(&purse.units, &units, max(held - more, -MOST_WAIT)):
                break
        call(slab, index)
    if not forgotten:
        let_go(&purse.reserved, cost)


cdef int64_t purse_left(Slab slab, int index, int64_t now) noexcept nogil:
    """What the fleet has, as far as this host knows. INT64_MAX: unlimited."""
    cdef const Purse* purse = slab.purse(index)
    cdef const Bucket* bucket = slab.bucket(index)
    cdef int64_t interval = interval_of(bucket), units = EDGE_SEE(&purse.units)
    if interval == 0:
        return INT64_MAX
    if now >= EDGE_SEE(&purse.expires):
        units = min(units, <int64_t>0)
    units += max(now - EDGE_SEE(&purse.origin), <int64_t>0) // interval
    return max(<int64_t>0, min(units, bucket_limit(bucket)))


cdef int64_t purse_full_in(Slab slab, int index, int64_t now) noexcept nogil:
    """Nanoseconds until the limit is whole again, if nobody takes from it."""
    cdef int64_t left = purse_left(slab, index, now)
    return 0 if left == INT64_MAX else (bucket_limit(slab.bucket(index)) - left) * interval_of(slab.bucket(index))


cdef int64_t take_alone(Slab slab, int index, int64_t now, int64_t cost) noexcept nogil:
    """The same without Redis: from this host's bucket, of which a share is its own. What was taken is told later."""
    cdef Fleet* fleet = slab.fleet()
    cdef int64_t wait = bucket_reserve(slab.bucket(index), now, cost * max(<int64_t>1, fleet.hosts))
    if wait == 0:
        EDGE_ADD(&slab.purse(index).alone, cost)
        EDGE_ADD(&slab.purse(index).lent, cost)
        call(slab, index)
    return wait


cdef void settle_alone(Slab slab, int index, int64_t now, int64_t cost, int64_t used) noexcept nogil:
    """Of `cost` units that were taken so, so many were used. What comes back is said before it is lent no more."""
    cdef Purse* purse = slab.purse(index)
    cdef int64_t more = used - cost, hosts = max(<int64_t>1, slab.fleet().hosts)
    if more > 0:
        bucket_charge(slab.bucket(index), now, more * hosts)
    elif more < 0:
        bucket_give(slab.bucket(index), -more * hosts)
    if more:
        EDGE_ADD(&purse.alone, more)
        call(slab, index)
    let_go(&purse.lent, cost)


cdef inline void forget(Purse* purse, int64_t now) noexcept nogil:
    EDGE_SET(&purse.born, now)
    EDGE_SET(&purse.reserved, 0)


cdef int checked(int index) except -1:
    if not 0 <= index < MAX_BUCKETS:
        raise IndexError(f"a purse is 0 to {MAX_BUCKETS - 1}, not {index}")
    return index


cdef class Purses:
    """The same for control and the tests. Times are ns of CLOCK_MONOTONIC."""

    cdef readonly Slab slab

    def __init__(self, Slab slab):
        self.slab = slab
        slab.begin_sharing()
        if slab.fleet().hosts == 0:
            slab.fleet().hosts = 1
            slab.fleet().slow = 1           # until Redis has said its first word

    def asking(self):
        """The indices that workers have asked control to look at, each once."""
        cdef uint64_t* words = self.slab.asking()
        cdef uint64_t bits
        cdef int i, bit
        found = []
        for i in range(MAX_BUCKETS // 64):
            if EDGE_LOOK(&words[i]):
                bits = EDGE_CLEAR(&words[i], 0)
                for bit in range(64):
                    if bits >> bit & 1:
                        found.append(i * 64 + bit)
        return found

    def due(self, indices, now):
        """Those among them that have something to say."""
        cdef int64_t at = now, units
        cdef Purse* purse
        cdef int index
        found = []
        for index in indices:
            purse = self.slab.purse(checked(index))
            units = EDGE_SEE(&purse.units) if at < purse.expires else 0
            if (purse.lack > 0 or at >= purse.due or units > purse.high or (units < purse.low and at >= purse.again)
                    or (EDGE_SEE(&purse.alone) and at >= purse.sent + SOON)):
                found.append(index)
        return found

    def held(self, int index):
        """What a purse holds, and what was said of it last: a Held."""
        cdef Purse* purse = self.slab.purse(checked(index))
        cdef int64_t units = EDGE_SEE(&purse.units)
        return Held(units, purse.expires, purse.seq, purse.ack, purse.sent, purse.life, purse.until,
                    EDGE_SEE(&purse.reserved), EDGE_SEE(&purse.lent))

    def said(self, int index, now):
        """What workers have left for control since it asked last: a Said.

        Of what they took without Redis, that which time has not paid back. `lent` is never too little, and never what
        `alone` says that comes back.
        """
        cdef Purse* purse = self.slab.purse(checked(index))
        cdef const Bucket* bucket = self.slab.bucket(index)
        cdef int64_t lent = EDGE_SEE(&purse.lent), alone = EDGE_TURN(&purse.alone, 0)
        if alone > 0:
            alone = min(alone, bucket_missing(bucket, now) // max(<int64_t>1, self.slab.fleet().hosts) + 1)
        return Said(EDGE_TURN(&purse.lack, 0), alone, max(lent, EDGE_SEE(&purse.lent)))

    def unsaid(self, int index, alone):
        """Redis may not have heard of what was taken without it, or came back."""
        EDGE_ADD(&self.slab.purse(checked(index)).alone, alone)

    def hold(self, int index, before, after):
        """A Held in place of another, `reserved` apart: False, and nothing has changed, where a worker was quicker."""
        cdef Purse* purse = self.slab.purse(checked(index))
        cdef int64_t units = before.units
        EDGE_SET(&purse.expires, after.expires)     # before there is more to spend; what is void must be gone by now
        if not EDGE_CAS(&purse.units, &units, <int64_t>after.units):
            return False
        purse.seq, purse.ack, purse.sent = after.seq, after.ack, after.sent
        purse.life, purse.until = after.life, after.until
        return True

    def renew(self, indices, life, expires, now):
        """Redis counts this host as alive, in that life: what was drawn in it and is there may be spent for longer."""
        cdef int64_t same = life, then = expires, at = now
        cdef Purse* purse
        cdef int index
        for index in indices:
            purse = self.slab.purse(checked(index))
            if purse.life == same and at < purse.expires < min(then, purse.until):
                EDGE_SET(&purse.expires, min(then, purse.until))

    def lapse(self, int index, before, now):
        """Redis has forgotten what was lent: nothing is left, and nothing comes back. False: a worker was quicker."""
        cdef Purse* purse = self.slab.purse(checked(index))
        cdef int64_t units = before.units
        if not EDGE_CAS(&purse.units, &units, min(units, <int64_t>0)):
            return False
        forget(purse, now)
        return True

    def forget(self, int index, now):
        """Nobody knows who would give back what is reserved, or lent: it stays spent."""
        forget(self.slab.purse(checked(index)), now)
        EDGE_SET(&self.slab.purse(index).lent, 0)

    def tell(self, int index, origin, unasked):
        """What Redis has said of the level: it is (t - origin) / interval. Until `unasked` nobody need ask again.

        Who has missed something meanwhile and waits looks again by itself.
        """
        cdef Purse* purse = self.slab.purse(checked(index))
        EDGE_SET(&purse.lack, 0)
        EDGE_SET(&purse.unasked, unasked)
        EDGE_SET(&purse.origin, origin)

    def watch(self, int index, low, high, due, again):
        """When control is to look at it, see `due`."""
        cdef Purse* purse = self.slab.purse(checked(index))
        purse.low, purse.high, purse.due, purse.again = low, high, due, again

    def mute(self, int index, since):
        """There is no answer for this limit alone, since then at the latest; 0: there is."""
        cdef Purse* purse = self.slab.purse(checked(index))
        if since == 0 or EDGE_SEE(&purse.mute) == 0:
            EDGE_SET(&purse.mute, since)

    def share(self, int index, left):
        """What this host may take without Redis is its share of what was left: the bucket is set to that."""
        cdef int64_t now = monotonic_ns(), missing
        missing = bucket_left(self.slab.bucket(checked(index)), now) - <int64_t>left
        if 0 < missing < INT64_MAX // 2:
            bucket_charge(self.slab.bucket(index), now, missing)

    def left(self, int index, now=None):
        """What the fleet has of a limit, as far as this host knows."""
        return purse_left(self.slab, checked(index), monotonic_ns() if now is None else now)

    def take(self, int index, cost=1, now=None):
        """As a worker does: 0 when taken, else ns until it can succeed; -1: the fleet may have more."""
        return purse_take(self.slab, checked(index), monotonic_ns() if now is None else now, cost)

    def settle(self, int index, cost, used, taken_at, now=None):
        """Likewise, at a request's end."""
        purse_settle(self.slab, checked(index), monotonic_ns() if now is None else now, taken_at, cost, used)

    def take_alone(self, int index, cost=1, now=None):
        """As `take` does without Redis."""
        return take_alone(self.slab, checked(index), monotonic_ns() if now is None else now, cost)

    def settle_alone(self, int index, cost, used, now=None):
        """Likewise, at a request's end."""
        settle_alone(self.slab, checked(index), monotonic_ns() if now is None else now, cost, used)

    @property
    def fleet(self):
        """What the host knows of Redis and its peers: a FleetTotal."""
        cdef Fleet* fleet = self.slab.fleet()
        return FleetTotal(fleet.host, fleet.hosts, fleet.rank, bool(fleet.slow), fleet.away, fleet.grace)

    def set_fleet(self, *, hosts=None, rank=None, slow=None, away=None, grace=None):
        """Says it; what is left out stays."""
        cdef Fleet* fleet = self.slab.fleet()
        if hosts is not None:
            fleet.hosts = hosts
        if rank is not None:
            fleet.rank = rank
        if grace is not None:
            fleet.grace = grace
        if away is not None:
            fleet.away = away
        if slow is not None:
            fleet.slow = slow
