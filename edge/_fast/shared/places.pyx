"""Limits of concurrent requests that hosts share: what part of one this host may fill.

Requests are counted as those under a limit of one host are, in their workers' stripes; the allotment is how many there
may be. Control alone changes it. To lower it, it writes the word first and reads the counts then: a worker counts first
and reads the word then, so one of the two sees the other, and what control tells Redis is never too little.
"""
from collections import namedtuple

from libc.stdint cimport int64_t

from .purse cimport call
from .slab cimport (
    MAX_BUCKETS, Allotment, Fleet, Slab, concurrency_give, concurrency_held, concurrency_part, concurrency_take,
    monotonic_ns, part_word,
)

cdef extern from *:
    """
    #define EDGE_READ(p) __atomic_load_n(p, __ATOMIC_SEQ_CST)
    #define EDGE_WRITE(p, value) __atomic_store_n(p, value, __ATOMIC_SEQ_CST)
    #define EDGE_MORE(p, value) __atomic_fetch_add(p, value, __ATOMIC_SEQ_CST)
    #define EDGE_EMPTY(p) __atomic_exchange_n(p, 0, __ATOMIC_SEQ_CST)
    """
    int64_t EDGE_READ(const int64_t* p) noexcept nogil
    void EDGE_WRITE(int64_t* p, int64_t value) noexcept nogil
    int64_t EDGE_MORE(int64_t* p, int64_t value) noexcept nogil
    int64_t EDGE_EMPTY(int64_t* p) noexcept nogil

cdef int64_t LEASE = 5000000000, SILENCE = 1000000000, PARTED = 1300000000
ALLOTTED, ALIVE = LEASE, SILENCE    # ns for which an allotment is good, from a word of its limit and from a host's any

Allotted = namedtuple("Allotted", "places expires seq ack sent life until")
Crowd = namedtuple("Crowd", "used waiting placed refused")


cdef Found places_take(Slab slab, int stripe, int index, int64_t now, bint waits) noexcept nogil:
    """Takes one. `waits`: this is not the request's first look, it waits for control's word."""
    cdef Allotment* allotment = slab.allotment(index)
    if (now < EDGE_READ(&allotment.expires)
            and concurrency_take(slab, stripe, index, slab.bucket(index).most, &allotment.word)):
        if waits:
            EDGE_MORE(&allotment.placed, 1)
        return PLACED
    if now >= EDGE_READ(&allotment.unasked) or waits and allotment.eager:
        return ALLOTTED_MORE
    return FULL


cdef void places_give_up(Slab slab, int stripe, int index, bint waits) noexcept nogil:
    """Undoes that: another limit has none. Who waits goes on."""
    concurrency_give(slab, stripe, index)
    if waits:
        EDGE_MORE(&slab.allotment(index).placed, -1)


cdef void places_ask(Slab slab, int index, int64_t now) noexcept nogil:
    """A request begins to wait, and would have a place of this limit, too."""
    cdef Allotment* allotment = slab.allotment(index)
    if (now >= EDGE_READ(&allotment.expires)
            or concurrency_held(slab, index) >= concurrency_part(&allotment.word, slab.bucket(index).most)):
        EDGE_MORE(&allotment.waiting, 1)
        call(slab, index)


cdef bint places_take_alone(Slab slab, int stripe, int index, bint whole) noexcept nogil:
    """The same without Redis: of the whole limit, or of the host's share. All shares together are the limit."""
    cdef int64_t most = slab.bucket(index).most
    return concurrency_take(slab, stripe, index, most, NULL) if whole else take_share(slab, stripe, index, most)


cdef inline bint take_share(Slab slab, int stripe, int index, int64_t most) noexcept nogil:
    cdef int64_t part = share_of(slab.fleet(), most)
    return part > 0 and concurrency_take(slab, stripe, index, part, NULL)


cdef inline int64_t share_of(const Fleet* fleet, int64_t most) noexcept nogil:
    cdef int64_t hosts = max(<int64_t>1, fleet.hosts)
    return most // hosts + (fleet.rank < most % hosts)


cdef void places_refuse(Slab slab, int index) noexcept nogil:
    """A request has got none."""
    EDGE_MORE(&slab.allotment(index).refused, 1)
    call(slab, index)


cdef bint places_give(Slab slab, int stripe, int index) noexcept nogil:
    """One comes free. Whether control is to hear of it at once."""
    concurrency_give(slab, stripe, index)
    return slab.allotment(index).eager and call(slab, index)


cdef bint places_full(Slab slab, int index, int64_t now) noexcept nogil:
    """Whether the fleet has none, as far as this host knows."""
    cdef Allotment* allotment = slab.allotment(index)
    return (now < EDGE_READ(&allotment.unasked) and now < EDGE_READ(&allotment.expires)
            and concurrency_held(slab, index) >= concurrency_part(&allotment.word, slab.bucket(index).most))


cdef int64_t places_alone(Slab slab, int index) noexcept nogil:
    """Since when nobody can tell what the fleet has: Redis is away, or the limit is none there. 0: somebody can."""
    cdef int64_t alone = EDGE_READ(&slab.allotment(index).alone)
    return alone if alone else slab.fleet().away


cdef int64_t places_expired(Slab slab, int index, bint everywhere) noexcept nogil:
    """When this host's allotment ends, or in such a case that of any host.

    Without Redis they end with their hosts' lives. (Others may have heard of it a little later than this one.)
    """
    cdef Allotment* allotment = slab.allotment(index)
    cdef int64_t expires = EDGE_READ(&allotment.expires), alone = EDGE_READ(&allotment.alone)
    if not everywhere:
        return expires
    return max(expires, alone + LEASE if alone else slab.fleet().away + PARTED)


cdef int checked(int index) except -1:
    if not 0 <= index < MAX_BUCKETS:
        raise IndexError(f"a limit is 0 to {MAX_BUCKETS - 1}, not {index}")
    return index


cdef class Places:
    """The same for control and the tests. Times are ns of CLOCK_MONOTONIC."""

    cdef readonly Slab slab

    def __init__(self, Slab slab):
        self.slab = slab
        slab.begin_sharing()

    def due(self, indices, called, now):
        """Those among them that have something to say; `called` is a set of those that workers call control to."""
        cdef int64_t at = now, used
        cdef Allotment* each
        cdef int index
        found = []
        for index in indices:
            each = self.slab.allotment(checked(index))
            used = concurrency_held(self.slab, index)
            if at >= each.due or at >= each.again and (
                    used < each.low or used > each.high or index in called):
                found.append(index)
        return found

    def held(self, int index):
        """What is held, and what was said of it last: an Allotted."""
        cdef Allotment* each = self.slab.allotment(checked(index))
        cdef int64_t part = concurrency_part(&each.word, self.slab.bucket(index).most)
        return Allotted(part, each.expires, each.seq, each.ack, each.sent, each.life, each.until)

    def crowd(self, int index):
        """How many there are, and who came since the last look: a Crowd."""
        cdef Allotment* each = self.slab.allotment(checked(index))
        return Crowd(concurrency_held(self.slab, index), EDGE_EMPTY(&each.waiting), EDGE_EMPTY(&each.placed),
                     EDGE_EMPTY(&each.refused))

    def used(self, int index):
        """How many there are."""
        return concurrency_held(self.slab, checked(index))

    def hold(self, int index, held, int64_t of):
        """An Allotted in place of the one before; `of` is the limit's number, as it was said. Returns `used` behind it.

        Who holds nothing may be told a new end only after its number: until then the old one is over.
        """
        cdef Allotment* each = self.slab.allotment(checked(index))
        EDGE_WRITE(&each.word, part_word(held.places, of))
        EDGE_WRITE(&each.expires, held.expires)
        each.seq, each.ack, each.sent, each.life, each.until = held.seq, held.ack, held.sent, held.life, held.until
        return concurrency_held(self.slab, index)

    def renew(self, indices, life, expires, now):
        """Redis counts this host as alive, in that life: what it was allotted in it is good for longer.

        Returns those that have something of another life, which Redis has forgotten.
        """
        cdef int64_t same = life, then = expires, at = now
        cdef Allotment* each
        cdef int index
        found = []
        for index in indices:
            each = self.slab.allotment(checked(index))
            if each.life != same:
                found.append(index)
            elif at < each.expires < min(then, each.until):
                EDGE_WRITE(&each.expires, min(then, each.until))
        return found

    def tell(self, int index, left, unasked, eager):
        """What Redis has said of the limit. Until `unasked` nobody need ask again."""
        cdef Allotment* each = self.slab.allotment(checked(index))
        EDGE_WRITE(&each.left, max(0, left))
        EDGE_WRITE(&each.eager, eager)
        EDGE_WRITE(&each.unasked, unasked)

    def watch(self, int index, low, high, due, again):
        """When control is to look at it, see `due`."""
        cdef Allotment* each = self.slab.allotment(checked(index))
        each.low, each.high, each.due, each.again = low, high, due, again

    def share(self, int64_t most):
        """How many this host may have of so many by itself."""
        return share_of(self.slab.fleet(), most)

    def left(self, int index, now=None):
        """How many more there may be at once, as far as this host knows."""
        cdef Allotment* each = self.slab.allotment(checked(index))
        cdef int64_t most = self.slab.bucket(index).most, used = concurrency_held(self.slab, index)
        if (monotonic_ns() if now is None else <int64_t>now) >= EDGE_READ(&each.expires):
            return max(0, most - used)
        return max(0, min(most - used, concurrency_part(&each.word, most) - used + EDGE_READ(&each.left)))

    def set_alone(self, int index, since):
        """Since when it alone cannot be shared; 0: it can."""
        EDGE_WRITE(&self.slab.allotment(checked(index)).alone, since)

    def counted(self):
        """The indices of those that have any."""
        cdef int number, index
        cdef int64_t most = 0
        for number in range(2 * self.slab.workers):
            most = max(most, <int64_t>self.slab.worker(self.slab.stripe(number)).held_used)
        return [index for index in range(min(most, <int64_t>MAX_BUCKETS)) if concurrency_held(self.slab, index) > 0]

    def take(self, int stripe, int index, now=None, waits=False):
        """As a worker does (the tests' way in): whether it got one; None: the fleet may have more."""
        cdef int64_t at = monotonic_ns() if now is None else now
        cdef Found found = places_take(self.slab, stripe, checked(index), at, waits)
        if found == ALLOTTED_MORE and not waits:
            places_ask(self.slab, index, at)
        return None if found == ALLOTTED_MORE else found == PLACED

    def give(self, int stripe, int index):
        """Likewise. Whether control is to hear of it at once."""
        return places_give(self.slab, stripe, checked(index))
