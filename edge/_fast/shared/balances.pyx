"""Balances of points: an account's, and what a key may spend of it in all and by the month, day and hour.

Points are micro-points here. Control alone says how many are granted, from what the store knows. What is left is that
less what all workers have spent and hold, and each worker counts its own of both, in its own stripe: so no kill can
fall between two words that belong together. What a dead worker's requests held is free when its words are 0, and what
it had settled stays spent. Who takes counts itself first and looks at the sum then, as with limits of concurrency: of
those who come at the same moment no more can stay than there is.

What is granted never changes by what is spent: it is all that was ever credited less what others than this memory's
workers have spent. So control can say it again at any time, whatever was settled meanwhile.
"""
from libc.stdint cimport int32_t, int64_t, uint64_t

from .atomic cimport EDGE_ADD, EDGE_LOOK, EDGE_SEE, EDGE_SET
from .slab cimport (
    BALANCE_BITS, MAX_BALANCES, PERIODS, Balance, Slab, Spent, Worker, balance_slots_at, balances_at,
    hash_of, spent_at,
)

cdef extern from *:
    """
    /* Sequentially consistent: the sum is read behind one's own count, and not before. */
    #define EDGE_COUNT(p, by) __atomic_fetch_add(p, by, __ATOMIC_SEQ_CST)
    #define EDGE_COUNTED(p) __atomic_load_n(p, __ATOMIC_SEQ_CST)
    #define EDGE_CLAIM(p, expected, desired) \
        __atomic_compare_exchange_n(p, expected, desired, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
    """
    int64_t EDGE_COUNT(int64_t* p, int64_t by) noexcept nogil
    int64_t EDGE_COUNTED(const int64_t* p) noexcept nogil
    int32_t EDGE_SLOT "EDGE_COUNTED"(const int32_t* p) noexcept nogil
    bint EDGE_CLAIM(int32_t* p, int32_t* expected, int32_t desired) noexcept nogil

cdef enum:
    ROUNDS = 64                 # no loop without an end, see slab_concurrency.pxi


cdef inline Balance* balance_at(Slab slab, int64_t index) noexcept nogil:
    return <Balance*>(slab.balances() + balances_at()) + index


cdef inline Spent* spent_of(Slab slab, int stripe, int64_t index) noexcept nogil:
    return <Spent*>(slab.balances() + spent_at(stripe)) + index


cdef inline int32_t* slots_of(Slab slab) noexcept nogil:
    return <int32_t*>(slab.balances() + balance_slots_at())


cdef inline int64_t* ends_of(Slab slab) noexcept nogil:
    return <int64_t*>slab.balances()


cdef inline int64_t* taken_of(Slab slab) noexcept nogil:
    """How many indices were ever given, the first being nobody's."""
    return ends_of(slab) + PERIODS


cdef int balance_find(Slab slab, uint64_t owner) noexcept nogil:
    """The index of an owner's balance; 0: there is none."""
    cdef const int32_t* slots = slots_of(slab)
    cdef uint64_t mask = (<uint64_t>1 << BALANCE_BITS) - 1, i
    cdef int32_t entry
    if EDGE_SEE(taken_of(slab)) == 0:
        return 0                # an untouched page stays one
    for i in range(mask + 1):
        entry = EDGE_SLOT(&slots[(owner + i) & mask])
        if entry == 0 or EDGE_LOOK(&balance_at(slab, entry).owner) == owner:
            return entry
    return 0


cdef int64_t used_of(Slab slab, int64_t index) noexcept nogil:
    """What all workers have settled and hold of it."""
    cdef Spent* spent
    cdef int64_t sum = 0
    cdef int number, stripe
    for number in range(2 * slab.workers):
        stripe = slab.stripe(number)
        if <uint64_t>index < slab.worker(stripe).balances_used:
            spent = spent_of(slab, stripe, index)
            sum += EDGE_COUNTED(&spent.settled) + EDGE_COUNTED(&spent.held)
    return sum


cdef int lacking(Slab slab, int64_t index, int64_t cost) noexcept nogil:
    """Which of its parts has not so many more, the one that lasts longest first: its number and 1; 0: all have."""
    cdef const Balance* balance = balance_at(slab, index)
    cdef int64_t limited = EDGE_SEE(&balance.limited), used = used_of(slab, index)
    cdef int part
    for part in range(<int>PERIODS + 1):
        if limited >> part & 1 and cost > EDGE_SEE(&balance.granted[part]) - used:
            return part + 1
    return 0


cdef int balance_take(Slab slab, int stripe, int index, int64_t cost) noexcept nogil:
    """Reserves so many: 0; else the part that has not, as `lacking` says; UNGRANTED: nobody has said what there is."""
    cdef Worker* worker = slab.worker(stripe)
    cdef Spent* own = spent_of(slab, stripe, index)
    cdef int part, _i
    if index == 0 or EDGE_SEE(&balance_at(slab, index).limited) == 0:
        return UNGRANTED
    if <uint64_t>index >= worker.balances_used:
        worker.balances_used = <uint64_t>index + 1
    for _i in range(<int>ROUNDS):
        EDGE_COUNT(&own.held, cost)
        part = lacking(slab, index, 0)
        if part == 0:
            return 0
        EDGE_COUNT(&own.held, -cost)
        if lacking(slab, index, cost):
            return part         # else what it has seen were others about to leave
    return part


cdef int64_t balance_settle(Slab slab, int stripe, int index, int64_t reserved, int64_t cost) noexcept nogil:
    """Of what was reserved so much was used; more, perhaps. All that this stripe has settled of it."""
    cdef Spent* own = spent_of(slab, stripe, index)
    cdef int64_t settled = own.settled + cost
    EDGE_SET(&own.settled, settled)     # first, so that nobody ever sees less
    EDGE_COUNT(&own.held, -reserved)
    return settled


cdef int64_t balance_settled(Slab slab, int stripe, int index) noexcept nogil:
    """All that this stripe has settled of it."""
    return spent_of(slab, stripe, index).settled


cdef void balance_restore(Slab slab, int stripe, int index, int64_t settled) noexcept nogil:
    """A worker's predecessor had written down that it has settled so much; it may have been killed just then. (What it
    has settled since, with an entry in another store's journal, stands.)"""
    cdef Worker* worker = slab.worker(stripe)
    if <uint64_t>index >= worker.balances_used:
        worker.balances_used = <uint64_t>index + 1
    EDGE_SET(&spent_of(slab, stripe, index).settled, max(settled, spent_of(slab, stripe, index).settled))


cdef int64_t period_end(Slab slab, int part) noexcept nogil:
    """When a part other than the first is whole again (Unix time)."""
    return EDGE_SEE(&ends_of(slab)[part - 1])


cdef class Balances:
    """The balances as control has them. Parts are by number: in all, of this month, of this day, of this hour."""

    cdef Slab slab

    def __init__(self, Slab slab):
        self.slab = slab

    cdef int check(self, int64_t index) except -1:
        if not 0 < index < MAX_BALANCES:
            raise IndexError(f"a balance has a number from 1 to {MAX_BALANCES - 1}")
        return 0

    def find(self, bytes owner):
        """The index of an owner's balance; 0: there is none."""
        return balance_find(self.slab, hash_of(owner, len(owner)))

    def claim(self, bytes owner):
        """The same, which is there from now on. OverflowError: there is no room."""
        cdef uint64_t name = hash_of(owner, len(owner)), mask = (<uint64_t>1 << BALANCE_BITS) - 1, at = name
        cdef int32_t* slots = slots_of(self.slab)
        cdef int32_t found = balance_find(self.slab, name)
        cdef int32_t free = 0
        cdef int64_t index
        if found:
            return found
        index = EDGE_ADD(taken_of(self.slab), 1)
        if index >= MAX_BALANCES:
            EDGE_ADD(taken_of(self.slab), -1)
            raise OverflowError(f"there is room for {MAX_BALANCES - 1} balances")
        balance_at(self.slab, index).owner = name
        while not EDGE_CLAIM(&slots[at & mask], &free, <int32_t>index):
            free = 0
            at += 1
        return index

    def grant(self, int64_t index, parts):
        """What may be spent of it by this memory's workers, by part; None: any number. In force at once."""
        self.check(index)
        cdef Balance* balance = balance_at(self.slab, index)
        cdef int64_t limited = 0
        cdef int part
        for part, points in enumerate(parts):
            if points is not None:
                EDGE_SET(&balance.granted[part], points)
                limited |= 1 << part
        EDGE_SET(&balance.limited, limited)

    def left(self, int64_t index):
        """What may be reserved now, by part; None: any number, or nobody has said how many."""
        self.check(index)
        cdef const Balance* balance = balance_at(self.slab, index)
        cdef int64_t used = used_of(self.slab, index)
        cdef int part
        return tuple([EDGE_SEE(&balance.granted[part]) - used if balance.limited >> part & 1 else None
                      for part in range(<int>PERIODS + 1)])

    def held(self, int64_t index):
        """What requests on their way have reserved."""
        self.check(index)
        cdef int64_t sum = 0
        cdef int number
        for number in range(2 * self.slab.workers):
            if <uint64_t>index < self.slab.worker(self.slab.stripe(number)).balances_used:
                sum += EDGE_COUNTED(&spent_of(self.slab, self.slab.stripe(number), index).held)
        return sum

    def end(self, parts):
        """When this month, day and hour end (Unix times)."""
        cdef int part
        for part, when in enumerate(parts):
            EDGE_SET(&ends_of(self.slab)[part], when)

    def forget(self, int stripe):
        """A worker is dead: what its requests held is free. How many requests that were."""
        self.slab.check_stripe(stripe)
        cdef Worker* worker = self.slab.worker(stripe)
        cdef int64_t count = worker.reservations
        cdef uint64_t index
        for index in range(1, worker.balances_used):
            EDGE_SET(&spent_of(self.slab, stripe, index).held, 0)
        worker.reservations = 0
        worker.expired += <uint64_t>max(count, <int64_t>0)
        return count

    def take(self, int stripe, int64_t index, int64_t cost):
        """Reserve, as a worker does (the tests' way in): 0, else the part that has not so many, and 1; -1: unknown."""
        self.slab.check_stripe(stripe)
        self.check(index)
        return balance_take(self.slab, stripe, index, cost)

    def settle(self, int stripe, int64_t index, int64_t reserved, int64_t cost):
        """Likewise, at a request's end."""
        self.slab.check_stripe(stripe)
        self.check(index)
        return balance_settle(self.slab, stripe, index, reserved, cost)
