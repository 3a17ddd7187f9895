"""Which targets may be asked: circuit breakers, benched keys and the retry budget, in the host's shared memory.

A breaker is `closed` (open_until 0), `open` (until a time to come) or `half-open` (that time is gone by): no timer
has to turn one into the other. What must happen once (opening, taking the probe) is one compare-and-swap; all else may
be a little off when two workers meet, which moves an opening by a request and never lets a second probe out.

A success says more than failures: it closes the breaker from whatever state, if it was asked for after the opening.
"""
from collections import namedtuple

from libc.stdint cimport int64_t, uint8_t, uint64_t

from .atomic cimport EDGE_ADD, EDGE_CAS, EDGE_COUNT, EDGE_SEE, EDGE_SET
from .slab cimport MAX_PROVIDER_KEYS, MAX_TARGETS, PROBER, RELAYED, Budget, Worker, monotonic_ns

cdef enum:
    FLOOR = 3                   # further attempts that are always allowed: at once, and in a window

cdef int64_t GOOD_EVERY = 100000000             # ns between two times that a success is noted
cdef int64_t BUDGET_WINDOW = 10000000000        # ns

Sight = namedtuple("Sight", "open_until probe opened good_at shut_out benches reasons")
HealthTotal = namedtuple(
    "HealthTotal", "state open_for forced ailing failures opened probes shut_out benched failed")
STATES = ("closed", "closed", "half-open", "open")      # by Standing
FORCINGS = ("auto", "open", "closed")                   # by Health.forced


cdef int set_rules(Rules* rules, object breaker) except -1:
    """The rules of a snapshot's Breaker."""
    rules.enabled = breaker.enabled
    rules.refuses = breaker.all_open == "refuse"
    rules.failures = breaker.failures
    rules.failure_rate = breaker.failure_rate
    rules.minimum = breaker.minimum
    rules.window = <int64_t>(breaker.window * 1e9)
    rules.open_time = <int64_t>(breaker.open_time * 1e9)
    rules.max_open_time = <int64_t>(breaker.max_open_time * 1e9)
    rules.ramp = <int64_t>(breaker.ramp * 1e9)
    return 0


cdef int standing(const Health* health, int64_t now) noexcept nogil:
    """What the breaker, an operator and the health checks say of a target."""
    cdef int64_t until
    if health.forced:
        return SHUT if health.forced == FORCED_OPEN else FIT
    if health.ailing:
        return SHUT
    until = EDGE_SEE(&health.open_until)
    if until == 0:
        return FIT if health.closed_at == 0 else RETURNING
    return SHUT if until > now else HALF_OPEN


cdef int64_t take_probe(Health* health, int worker, int64_t now, int64_t until) noexcept nogil:
    """The one probe of a half-open target, for one caller on the host; given up at `until` at the latest.

    Its word, by which the caller drops it; 0: another has it.
    """
    cdef int64_t held = EDGE_SEE(&health.probe), taken
    # Time and owner are one word, so that no moment of a worker's death leaves a probe that is nobody's.
    taken = (until & ~<int64_t>PROBER) | (worker + 1)
    if held > now or not EDGE_CAS(&health.probe, &held, taken):
        return 0
    EDGE_COUNT(&health.probes, 1)
    return taken


cdef void drop_probe(Health* health, int64_t probe) noexcept nogil:
    """The probe has ended, with a verdict or without one. One that was given up meanwhile may be another's now."""
    EDGE_CAS(&health.probe, &probe, 0)


cdef bint succeeded(Health* health, const Rules* rules, int64_t now, int64_t sent) noexcept nogil:
    """A good answer to what was sent at `sent`. Whether it has closed the breaker."""
    cdef int64_t until = EDGE_SEE(&health.open_until)
    if health.failures:
        EDGE_SET(&health.failures, 0)
    if now - health.good_at > GOOD_EVERY:
        health.good_at = now
    if until == 0:
        if health.closed_at and now - health.closed_at > rules.ramp:
            health.closed_at = 0
            health.trips = 0
    elif sent > health.opened_at and EDGE_CAS(&health.open_until, &until, 0):
        health.closed_at = now
        health.window_at = 0
        return True
    return False


cdef bint failed(Slab slab, int target, const Rules* rules, int64_t now, int64_t sent, uint64_t random) noexcept nogil:
    """A failed attempt, sent (or begun) at `sent`. Whether it has opened the breaker."""
    cdef Health* health = slab.health(target)
    cdef int64_t until = EDGE_SEE(&health.open_until)
    cdef int64_t row, asked
    if not rules.enabled:
        if until:
            EDGE_SET(&health.open_until, 0)         # it was opened under other rules
        return False
    if until:
        # Others that were under way when it opened say nothing new; a probe does.
        return until <= now and sent > health.opened_at and trip(health, until, rules, now, random)
    row = EDGE_ADD(&health.failures, 1)
    asked = asked_of(slab, target)
    if now - health.window_at > rules.window:
        health.window_at = now
        health.window_asked = asked - 1
        EDGE_SET(&health.window_failed, 0)
    EDGE_ADD(&health.window_failed, 1)
    asked -= health.window_asked
    if row >= rules.failures or (asked >= rules.minimum and health.window_failed >= rules.failure_rate * asked):
        return trip(health, 0, rules, now, random)
    return False


cdef bint trip(Health* health, int64_t was, const Rules* rules, int64_t now, uint64_t random) noexcept nogil:
    """Opens: for longer each time, give or take a quarter, so that many hosts do not come back at once."""
    cdef int64_t span = rules.open_time, trips = health.trips
    while trips > 0 and span < rules.max_open_time:
        span *= 2
        trips -= 1
    span = min(span, rules.max_open_time)
    span = span - span // 4 + <int64_t>(random % <uint64_t>(span // 2 + 1))
    health.opened_at = now          # first: what was sent before must not close it
    if not EDGE_CAS(&health.open_until, &was, now + max(span, 1)):
        return False
    health.trips += 1
    health.window_at = 0
    health.closed_at = 0
    EDGE_SET(&health.failures, 0)
    EDGE_COUNT(&health.opened, 1)
    return True


cdef int64_t asked_of(Slab slab, int target) noexcept nogil:
    """Attempts at a target, by all workers."""
    cdef int64_t sum = 0
    cdef int number
    for number in range(2 * slab.workers):
        sum += slab.worker(slab.stripe(number)).asked[target]
    return sum


cdef void count_failure(Health* health, int condition) noexcept nogil:
    """For the metrics."""
    EDGE_COUNT(&health.failed[condition], 1)


cdef void bench(Health* health, int key, int64_t until, int condition) noexcept nogil:
    """A provider key is not used for this target before `until`, for what has happened; a longer rest stands."""
    key %= MAX_PROVIDER_KEYS
    if until > health.benches[key]:
        health.benches[key] = until
        health.reasons[key] = <uint8_t>condition
    if until > health.benched_until:
        health.benched_until = until


cdef int usable_key(const Health* health, int keys, int first, int64_t now) noexcept nogil:
    """The next of a provider's keys from `first` on that is not benched; -1: all are."""
    cdef int i, key
    if health.benched_until <= now:
        return first
    for i in range(keys):
        key = (first + i) % keys
        if health.benches[key % MAX_PROVIDER_KEYS] <= now:
            return key
    return -1


cdef int why_benched(const Health* health, int keys) noexcept nogil:
    """The condition for which the key rests that is back first."""
    cdef int i, first = 0
    for i in range(1, min(keys, <int>MAX_PROVIDER_KEYS)):
        if health.benches[i] < health.benches[first]:
            first = i
    return health.reasons[first]


cdef int64_t back_at(const Health* health, int keys, int64_t now) noexcept nogil:
    """When a target that may not be asked may be asked again, as far as one knows."""
    cdef int64_t at = max(now, health.open_until), first
    cdef int i
    if health.benched_until > now:
        first = health.benches[0]
        for i in range(1, min(keys, <int>MAX_PROVIDER_KEYS)):
            first = min(first, health.benches[i])
        at = max(at, first)
    return at


cdef bint within_budget(Slab slab, int64_t now, double share) noexcept nogil:
    """Whether the host may make one more further attempt: by those under way, and by those of the last seconds."""
    cdef Budget* budget = slab.budget()
    cdef int64_t in_flight = 0, retrying = 0, admitted = 0, retries = 0, begun = EDGE_SEE(&budget.begun)
    cdef Worker* one
    cdef int number
    for number in range(2 * slab.workers):
        one = slab.worker(slab.stripe(number))
        in_flight += one.in_flight
        retrying += one.retrying
        admitted += one.admitted
        retries += one.retries
    if (begun == 0 or now - begun > BUDGET_WINDOW) and EDGE_CAS(&budget.begun, &begun, now):
        budget.admitted = admitted
        budget.retries = retries
    return (retrying < max(<double>FLOOR, share * in_flight)
            and retries - budget.retries + 1 <= max(<double>FLOOR, share * (admitted - budget.admitted)))


class Healths:
    """The same for Python: control, the supervisor and the tests. `rules` are a Breaker's."""

    def __init__(self, Slab slab):
        self.slab = slab
        self.probes = {}                # taken here, by target

    def total(self, int target, int keys=0, now=None):
        """What is known of a target: a HealthTotal; `open_for` and `benched` in seconds from now."""
        cdef Slab slab = self.slab
        cdef Health* health = slab.health(checked(target))
        cdef int64_t at = monotonic_ns() if now is None else now
        return HealthTotal(
            STATES[standing(health, at)], max(health.open_until - at, 0) / 1e9,
            FORCINGS[min(<uint64_t>health.forced, <uint64_t>2)],
            bool(health.ailing), health.failures, health.opened, health.probes, health.shut_out,
            [max(health.benches[i] - at, 0) / 1e9 for i in range(min(keys, <int>MAX_PROVIDER_KEYS))],
            [health.failed[i] for i in range(RELAYED)])

    def sight(self, int target, int keys):
        """What other hosts should know of a target: a Sight, times as they are."""
        cdef Slab slab = self.slab
        cdef Health* health = slab.health(checked(target))
        cdef int most = min(keys, <int>MAX_PROVIDER_KEYS)
        return Sight(
            EDGE_SEE(&health.open_until), EDGE_SEE(&health.probe), health.opened, health.good_at, health.shut_out,
            [health.benches[i] for i in range(most)], [health.reasons[i] for i in range(most)])

    def open(self, int target, int64_t until, int64_t now):
        """Another host has opened the breaker."""
        cdef Slab slab = self.slab
        cdef Health* health = slab.health(checked(target))
        health.opened_at = now
        health.closed_at = health.window_at = 0
        EDGE_SET(&health.failures, 0)
        EDGE_SET(&health.open_until, until)

    def close(self, int target, int64_t now):
        """Another host has closed it."""
        cdef Slab slab = self.slab
        cdef Health* health = slab.health(checked(target))
        if EDGE_SEE(&health.open_until):
            EDGE_SET(&health.open_until, 0)
            health.closed_at = now
            health.window_at = 0

    def put_off(self, int target, int64_t until):
        """An open breaker stays so until then; with a time gone by it is half-open."""
        cdef Slab slab = self.slab
        cdef Health* health = slab.health(checked(target))
        cdef int64_t was = EDGE_SEE(&health.open_until)
        if was:
            EDGE_CAS(&health.open_until, &was, until)

    def force(self, int target, str state, int64_t at=0):
        """An operator's word, given at that ns, or now: `open`, `closed`, or `auto` to take it back.

        ValueError: another word.
        """
        cdef Slab slab = self.slab
        if state not in FORCINGS:
            raise ValueError(f"an operator says {', '.join(FORCINGS)}, not {state}")
        slab.health(checked(target)).forced = FORCINGS.index(state)
        slab.health(checked(target)).forced_at = at or monotonic_ns()

    def forced(self, int target):
        """An operator's word, and when it was given, ns; 0: none has said anything."""
        cdef Slab slab = self.slab
        cdef Health* health = slab.health(checked(target))
        return FORCINGS[min(<uint64_t>health.forced, <uint64_t>2)], health.forced_at

    def ail(self, int target, bint ailing):
        """Whether the target's health checks fail."""
        cdef Slab slab = self.slab
        slab.health(checked(target)).ailing = ailing

    def forgive(self, int target):
        """Ends the benches of a target: its provider has other keys now."""
        cdef Slab slab = self.slab
        cdef Health* health = slab.health(checked(target))
        for i in range(MAX_PROVIDER_KEYS):
            health.benches[i] = 0
        health.benched_until = 0

    def heal(self, int target):
        """Closes the breaker of a target, as if nothing had been: the rules are off now."""
        cdef Slab slab = self.slab
        cdef Health* health = slab.health(checked(target))
        EDGE_SET(&health.open_until, 0)
        health.closed_at = health.failures = health.trips = health.window_at = 0

    # As workers do (they use the C interface).

    def ask(self, int target, int worker, int64_t now):
        """One attempt, where the target lets it: "fit", "returning", "probe", or "shut"."""
        cdef Slab slab = self.slab
        cdef Health* health = slab.health(checked(target))
        cdef int found = standing(health, now)
        if found == HALF_OPEN:
            probe = take_probe(health, worker, now, now + BUDGET_WINDOW)
            self.probes[target] = probe or self.probes.get(target, 0)
            found = HALF_OPEN if probe else SHUT
        if found != SHUT:
            slab.worker(worker).asked[target] += 1
        return ("fit", "returning", "probe", "shut")[found]

    def count(self, int target, int condition):
        """One failed attempt."""
        cdef Slab slab = self.slab
        if not 0 <= condition < RELAYED:
            raise IndexError(f"there is no condition {condition}")
        count_failure(slab.health(checked(target)), condition)

    def miss(self, int target):
        """A request that it could not be chosen for."""
        cdef Slab slab = self.slab
        EDGE_COUNT(&slab.health(checked(target)).shut_out, 1)

    def tell(self, int target, bint good, breaker, int64_t now, int64_t sent, uint64_t random=0):
        """The outcome of an attempt. True: it has opened the breaker, or closed it."""
        cdef Slab slab = self.slab
        cdef Rules rules
        set_rules(&rules, breaker)
        if good:
            return succeeded(slab.health(checked(target)), &rules, now, sent)
        return failed(slab, checked(target), &rules, now, sent, random)

    def end_probe(self, int target):
        """The probe's request has ended."""
        cdef Slab slab = self.slab
        drop_probe(slab.health(checked(target)), self.probes.get(target, 0))

    def bench(self, int target, int key, int64_t until, int condition=0):
        """A provider key rests."""
        cdef Slab slab = self.slab
        bench(slab.health(checked(target)), key, until, condition)

    def why_benched(self, int target, int keys):
        """The condition for which the key rests that is back first."""
        cdef Slab slab = self.slab
        return why_benched(slab.health(checked(target)), keys)

    def key(self, int target, int keys, int first, int64_t now):
        """The next usable key; -1: none."""
        cdef Slab slab = self.slab
        return usable_key(slab.health(checked(target)), keys, first, now)

    def may_retry(self, int64_t now, double share):
        """Whether the budget has room."""
        cdef Slab slab = self.slab
        return within_budget(slab, now, share)


cdef int checked(int target) except -1:
    if not 0 <= target < MAX_TARGETS:
        raise IndexError(f"target must be 0 to {MAX_TARGETS - 1}, not {target}")
    return target
