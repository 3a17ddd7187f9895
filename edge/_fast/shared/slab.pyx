"""The host's shared memory: token buckets, counters, histograms.

One shared mapping of a file without a name (memfd_create(2)), made by the supervisor and inherited through fork, so
that there are no permissions to get wrong and no remains when the host crashes; the next image of an upgraded
supervisor takes it over by its descriptor. Three rules make it safe without locks:

- a bucket's state is one word, changed by compare-and-swap alone: any process may step any bucket;
- a stripe (one Worker and its Series) has one writer, the process with that number. Its words are aligned,
  so that a reader sees whole values, each of them a little earlier or later than its neighbour. There are two
  generations of stripes, since workers and their successors live side by side during an upgrade;
- stripes and buckets never share a cache line with another's.

A page that was never touched costs nothing, but reading an untouched page of a shared mapping makes it real:
readers stop at Worker.series_used.
"""

import fcntl
import mmap
import os
from collections import namedtuple
from zlib import crc32

from edge._fast.contract.condition import Condition

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memset
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec
from posix.unistd cimport close

from .atomic cimport EDGE_CAS, EDGE_SEE, EDGE_SET

cdef extern from *:
    """
    #define EDGE_MULTIPLY(a, b, out) __builtin_mul_overflow(a, b, out)
    """
    uint64_t EDGE_DECLARED          # of all that slab.pxd declares: from setup.py
    bint EDGE_MULTIPLY(int64_t a, int64_t b, int64_t* out) noexcept nogil

cdef enum:
    LINE = 64                   # bytes of a cache line
    PAGE = 4096
    OVERFLOW = 1                # the series that counts what has none of its own (edge.values.registry)

MAX_WINDOW = 2**61              # ns (73 years): arrival times stay far from the end of a word
cdef int64_t MOST_DEBT = 2**60  # ns

cdef dict NOTHING = {}
cdef uint64_t MAGIC = 0x62616C7365676465        # "edgeslab" in a core dump

# Upper bounds, inclusive, in seconds. A provider's answer takes milliseconds to minutes ...
LONG_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0,
               60.0, 120.0, 300.0, 600.0)
# ... the gateway's own share tens of microseconds, and a second when something is wrong.
SHORT_BOUNDS = (10e-6, 20e-6, 30e-6, 50e-6, 75e-6, 100e-6, 150e-6, 200e-6, 300e-6, 500e-6, 750e-6,
                1e-3, 2e-3, 3e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 1.0)

# Statuses of a provider that are relayed and counted one by one; any other shares the slot behind the last.
RELAYED_STATUSES = (201, 202, 204, 206, 301, 302, 304, 307, 308, 400, 402, 404, 405, 406, 408, 409, 410, 411,
                    413, 414, 415, 416, 422, 424, 426, 428, 431, 451)

UNLIMITED = INT64_MAX           # what an unlimited bucket holds; how long to wait for what no bucket holds

HistogramTotal = namedtuple("HistogramTotal", "counts sum_ns")
SeriesTotal = namedtuple(
    "SeriesTotal",
    "in_flight outcomes input_tokens output_tokens cached_tokens total first_byte overhead without_usage "
    "estimated_input estimated_output")
WorkerTotal = namedtuple(
    "WorkerTotal",
    "heartbeat_ns accepted connections upstream_connections admitted refused_key refused_model refused_gateway "
    "shadowed upstream_opened upstream_reused restarts in_flight retrying retries fallbacks budget_refused shed memory "
    "lines_lost degraded reservations expired points unbilled")
LoadTotal = namedtuple("LoadTotal", "active waiting limit refused")

cdef struct Header:
    uint64_t magic
    uint64_t layout             # of the version that made it
    uint64_t workers            # the most there have been
    uint64_t made               # whether there has been an id at all,
    uint64_t shares             # or a purse, or an allotment
    uint64_t buckets            # that have ever had terms: below this index


include "slab_buckets.pxi"


cdef int64_t monotonic_ns() noexcept nogil:
    """CLOCK_MONOTONIC, the same for all processes of the host, in ns."""
    cdef timespec at
    clock_gettime(CLOCK_MONOTONIC, &at)
    return at.tv_sec * <int64_t> 1000000000 + at.tv_nsec


include "slab_counters.pxi"
include "slab_ids.pxi"
include "slab_concurrency.pxi"


# The mapping

cdef inline size_t aligned(size_t size, size_t to) noexcept nogil:
    return (size + to - 1) & ~(to - 1)


cdef inline size_t health_at() noexcept nogil:
    return PAGE + aligned(MAX_BUCKETS * aligned(sizeof(Bucket), LINE), PAGE)


cdef inline size_t ids_at() noexcept nogil:
    return health_at() + aligned(MAX_TARGETS * aligned(sizeof(Health), LINE), PAGE)


cdef inline size_t stripes_at() noexcept nogil:
    return ids_at() + MAX_IDS * sizeof(int64_t)


cdef inline size_t held_at() noexcept nogil:
    """Of a stripe."""
    return aligned(sizeof(Worker), LINE) + MAX_SERIES * aligned(sizeof(Series), LINE)


cdef inline size_t stripe_size() noexcept nogil:
    return aligned(held_at() + MAX_BUCKETS * sizeof(int32_t), PAGE)


cdef inline size_t purses_at() noexcept nogil:
    return stripes_at() + 2 * GENERATION * stripe_size()


cdef inline size_t allotments_at() noexcept nogil:
    return purses_at() + aligned(MAX_BUCKETS * aligned(sizeof(Purse), LINE), PAGE)


cdef inline size_t asking_at() noexcept nogil:
    return allotments_at() + aligned(MAX_BUCKETS * aligned(sizeof(Allotment), LINE), PAGE)


cdef inline size_t lines_at() noexcept nogil:
    return asking_at() + aligned(MAX_BUCKETS // 8, PAGE)


cdef inline size_t catalogue_at() noexcept nogil:
    return lines_at() + 2 * GENERATION * aligned(sizeof(Ring), PAGE)


cdef inline size_t balance_words_at() noexcept nogil:
    return catalogue_at() + N_SOURCES * directory_size()


cdef inline size_t board_at() noexcept nogil:
    return aligned(balance_words_at() + spent_at(2 * GENERATION), PAGE)


cdef inline size_t mapping_size() noexcept nogil:
    return board_at() + aligned(sizeof(Board), PAGE)


# Whatever gives a word of the mapping its place or its meaning: one stamp for all tables, since each lies behind the
# others, and what is limited or broken for a host is so by several of them at once.
DECLARED = EDGE_DECLARED
cdef uint64_t LAYOUT = crc32(repr((
    DECLARED,
    ids_at(), stripes_at(), held_at(), stripe_size(), mapping_size(),
    sizeof(Bucket), sizeof(Health), sizeof(Purse), sizeof(Allotment), sizeof(Worker), sizeof(Series), sizeof(Fleet),
    sizeof(Strain), sizeof(Ring), sizeof(Row), sizeof(Policy), sizeof(Catalogue), directory_size(), sizeof(Board),
    LONG_BOUNDS, SHORT_BOUNDS, RELAYED_STATUSES,
    [(condition.name, condition.value) for condition in Condition])).encode())


cdef void add_histogram(Histogram* into, const Histogram* part) noexcept nogil:
    cdef int i
    for i in range(N_BOUNDS + 1):
        into.counts[i] += part.counts[i]
    into.sum_ns += part.sum_ns


cdef void add_series(Series* into, const Series* part) noexcept nogil:
    cdef int i
    into.in_flight += part.in_flight
    for i in range(N_OUTCOMES):
        into.outcomes[i] += part.outcomes[i]
    into.input_tokens += part.input_tokens
    into.output_tokens += part.output_tokens
    into.cached_tokens += part.cached_tokens
    into.without_usage += part.without_usage
    into.estimated_input += part.estimated_input
    into.estimated_output += part.estimated_output
    add_histogram(&into.total, &part.total)
    add_histogram(&into.first_byte, &part.first_byte)
    add_histogram(&into.overhead, &part.overhead)


cdef object histogram_total(const Histogram* h):
    return HistogramTotal([h.counts[i] for i in range(N_BOUNDS + 1)], h.sum_ns)


cdef int check(str what, int index, int end) except -1:
    if not 0 <= index < end:
        raise IndexError(f"{what} must be 0 to {end - 1}, not {index}")
    return 0


cdef class Slab:
    """Shared memory for `workers` (1 .. MAX_WORKERS) workers; children get it through fork.

    All of it starts at 0, every bucket unlimited. Indices come from `edge.values.registry`. With the descriptor of
    another one, which is then owned, it is that one; ValueError: that one's layout is not ours.
    """

    def __cinit__(self, int workers, int descriptor=-1):
        cdef Py_buffer view
        cdef Header* header
        cdef bint fresh = descriptor < 0
        self.descriptor = -1
        if not 1 <= workers <= MAX_WORKERS:
            raise ValueError(f"workers must be 1 to {MAX_WORKERS}, not {workers}")
        if fresh:
            descriptor = self.descriptor = os.memfd_create("edge", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            os.ftruncate(descriptor, mapping_size())
            # Who has taken a worker over must not take the memory from under the others' feet.
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS,
                        fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        elif os.fstat(descriptor).st_size != mapping_size():
            raise ValueError("the shared memory has another size")
        # Room for all that there could ever be: pages that nobody touches are none.
        self.mapping = mmap.mmap(descriptor, mapping_size())
        PyObject_GetBuffer(self.mapping, &view, PyBUF_WRITABLE)
        self.base = <char*> view.buf
        PyBuffer_Release(&view)         # the mapping lasts as long as this object, which alone can reach it
        header = <Header*> self.base
        if not fresh and (header.magic != MAGIC or header.layout != LAYOUT):
            raise ValueError("the shared memory has another layout")
        self.descriptor = descriptor
        if fresh:
            self.fleet().host = int.from_bytes(os.urandom(8), "little") >> 11 or 1
        header.magic = MAGIC
        header.layout = LAYOUT
        header.workers = min(max(header.workers, <uint64_t> workers), <uint64_t> MAX_WORKERS)
        self.workers = header.workers

    def __dealloc__(self):
        if self.descriptor >= 0:
            close(self.descriptor)

    cdef Bucket* bucket(self, int index) noexcept nogil:
        """The bucket of an index below MAX_BUCKETS."""
        return <Bucket*> (self.base + PAGE + index * aligned(sizeof(Bucket), LINE))

    cdef Budget* budget(self) noexcept nogil:
        """The host's budget of further attempts; it shares the header's page."""
        return <Budget*> (self.base + aligned(sizeof(Header), LINE))

    cdef Fleet* fleet(self) noexcept nogil:
        """What the host knows of its peers; it shares the header's page too."""
        return <Fleet*> (self.base + 2 * aligned(sizeof(Header), LINE))

    cdef Strain* strain(self) noexcept nogil:
        """What the host is short of; it shares the header's page too."""
        return <Strain*> (self.base + 3 * aligned(sizeof(Header), LINE))

    cdef Purse* purse(self, int index) noexcept nogil:
        """The purse of a bucket's index, where hosts share that limit."""
        return <Purse*> (self.base + purses_at() + index * aligned(sizeof(Purse), LINE))

    cdef Allotment* allotment(self, int index) noexcept nogil:
        """This host's part of a limit of concurrency, where hosts share that."""
        return <Allotment*> (self.base + allotments_at() + index * aligned(sizeof(Allotment), LINE))

    cdef uint64_t* asking(self) noexcept nogil:
        """Bits: the limits that control must look at."""
        return <uint64_t*> (self.base + asking_at())

    cdef Ring* ring(self, int stripe) noexcept nogil:
        """What a worker tells of its requests."""
        return <Ring*> (self.base + lines_at() + stripe * aligned(sizeof(Ring), PAGE))

    cdef Catalogue* catalogue(self, int source) noexcept nogil:
        """A source's part of the directory of keys, which begins with it."""
        return <Catalogue*> (self.base + catalogue_at() + source * directory_size())

    cdef char* balances(self) noexcept nogil:
        """The balances of points."""
        return self.base + balance_words_at()

    cdef Board* board(self) noexcept nogil:
        """What operators say."""
        return <Board*> (self.base + board_at())

    cdef Health* health(self, int index) noexcept nogil:
        """The health of a target below MAX_TARGETS."""
        return <Health*> (self.base + health_at() + index * aligned(sizeof(Health), LINE))

    cdef int stripe(self, int number) noexcept nogil:
        """The workers' stripes of both generations, for a number below 2 * workers."""
        return number if number < self.workers else GENERATION + number - self.workers

    cdef Worker* worker(self, int stripe) noexcept nogil:
        """What a stripe counts whatever the series."""
        return <Worker*> (self.base + stripes_at() + stripe * stripe_size())

    cdef Series* peek(self, int stripe, int index) noexcept nogil:
        return <Series*> (<char*> self.worker(stripe) + aligned(sizeof(Worker), LINE)
                          + index * aligned(sizeof(Series), LINE))

    cdef Series* series(self, int stripe, int index) noexcept nogil:
        """A series for its writer. An index that no registry gives counts as the overflow series."""
        cdef Worker* worker = self.worker(stripe)
        if <uint64_t> index >= worker.series_used:
            if <uint64_t> index >= MAX_SERIES:
                index = OVERFLOW
            worker.series_used = max(worker.series_used, <uint64_t> index + 1)
        return self.peek(stripe, index)

    cdef int32_t* held(self, int stripe, int index) noexcept nogil:
        """How many requests of a stripe's hold a place under a limit of concurrency."""
        return <int32_t*> (<char*> self.worker(stripe) + held_at()) + index

    cdef void note_maker(self, uint64_t hash, int pool, int64_t now) noexcept nogil:
        """A provider, by its pool's index, has given out an id."""
        (<Header*>self.base).made = 1
        ids_put(<int64_t*>(self.base + ids_at()), hash, pool, now)

    cdef int maker(self, uint64_t hash) noexcept nogil:
        """Whose id it is; -1: nobody knows."""
        return ids_get(<int64_t*>(self.base + ids_at()), hash)

    cdef int used(self, int stripe) noexcept nogil:
        """How many series of a stripe were ever touched. (Its writer may have been taken over.)"""
        return <int> min(self.worker(stripe).series_used, <uint64_t> MAX_SERIES)

    cdef int check_stripe(self, int stripe) except -1:
        """IndexError: neither a worker's nor control's, in either generation."""
        if 0 <= stripe < 2 * GENERATION and (stripe % GENERATION < self.workers or stripe % GENERATION == CONTROL):
            return 0
        raise IndexError(f"there is no stripe {stripe} for {self.workers} workers")

    # For Python: configuration, control and the tests.

    @staticmethod
    def terms(double rate, int64_t burst):
        """Interval and window in ns of a bucket: `rate` units per second (0: unlimited), `burst` (>= 1) at once.

        ValueError: a rate below 0 or not finite, a burst below 1, or a bucket that takes over 73 years to fill.
        """
        if not 0 <= rate < float("inf") or (rate and burst < 1):
            raise ValueError(f"a bucket of {burst} refilled at {rate}/s is none")
        # Rounded up: a bucket may grant a billionth less than asked, and never more.
        above, below = (<object> rate).as_integer_ratio()
        interval = share(10**9, below, above)
        if interval * burst > MAX_WINDOW:
            raise ValueError(f"a bucket of {burst} refilled at {rate}/s takes over 73 years to fill")
        return interval, interval * burst

    def set_bucket(self, int index, double rate, int64_t burst, now=None):
        """Give a bucket its `terms`; ValueError.

        Only one process may do so. What is missing from the bucket stays missing, up to the new burst, and what is
        owed stays owed; the same terms again change nothing.
        """
        check("bucket", index, MAX_BUCKETS)
        cdef Bucket* bucket = self.bucket(index)
        cdef Header* header = <Header*>self.base
        header.buckets = max(header.buckets, <uint64_t> index + 1)
        cdef int64_t word = EDGE_SEE(&bucket.word)
        cdef Terms before = bucket.terms[word & 1]
        interval, window = self.terms(rate, burst)
        if before.interval == interval and before.window == window:
            return
        bucket.terms[1 - (word & 1)] = Terms(interval, window)
        if before.interval and self.fleet().host:       # what the fleet has was reckoned by other terms: it is asked
            EDGE_SET(&self.purse(index).origin, 0)
            EDGE_SET(&self.purse(index).unasked, 0)
        cdef int64_t arrival, at = monotonic_ns() if now is None else now
        while True:
            missing = max((word >> 1) - at, 0)
            owed = max(missing - before.window, 0)
            arrival = at + min(share(missing - owed, interval, before.interval), window) + min(
                share(owed, interval, before.interval), MOST_DEBT)
            if EDGE_CAS(&bucket.word, &word, arrival * 2 + 1 - (word & 1)):
                return

    def set_concurrency(self, int index, int64_t most):
        """So many requests at once; 0: any number. Those that are here stay."""
        check("bucket", index, MAX_BUCKETS)
        self.bucket(index).most = most

    def concurrency(self, int index):
        """How many requests there may be, and how many there are."""
        check("bucket", index, MAX_BUCKETS)
        return self.bucket(index).most, concurrency_held(self, index)

    def enter_limit(self, int stripe, int index):
        """Whether there was a place under a limit of concurrency, as a worker takes it (the tests' way in)."""
        self.check_stripe(stripe)
        check("bucket", index, MAX_BUCKETS)
        return concurrency_take(self, stripe, index, self.bucket(index).most, NULL)

    def leave_limit(self, int stripe, int index):
        """Give such a place back (likewise)."""
        self.check_stripe(stripe)
        check("bucket", index, MAX_BUCKETS)
        concurrency_give(self, stripe, index)

    def take(self, int index, int64_t cost=1, now=None):
        """Take `cost` (>= 0) units: 0 when taken, else ns until it can succeed; 2**63 - 1: never."""
        check("bucket", index, MAX_BUCKETS)
        if cost < 0:
            raise ValueError("cost must not be negative")
        return bucket_take(self.bucket(index), monotonic_ns() if now is None else <int64_t> now, cost)

    def give(self, int index, int64_t cost=1):
        """Put back what `take` took just now."""
        check("bucket", index, MAX_BUCKETS)
        cdef Bucket* bucket = self.bucket(index)
        if not 0 <= cost <= bucket_limit(bucket):
            raise ValueError("cost must be what was taken")
        bucket_give(bucket, cost)

    def reserve(self, int index, int64_t cost, now):
        """Reserve units as a worker does (the tests' way in): 0 when that is done, else ns until it can succeed."""
        check("bucket", index, MAX_BUCKETS)
        return bucket_hold(self.bucket(index), now, cost)

    def settle(self, int index, int64_t cost, int64_t used, taken_at, now):
        """Likewise, at a request's end."""
        check("bucket", index, MAX_BUCKETS)
        bucket_settle(self.bucket(index), now, taken_at, cost, used)

    def left(self, int index, now=None):
        """Units that `take` could take now; 2**63 - 1: unlimited."""
        check("bucket", index, MAX_BUCKETS)
        return bucket_left(self.bucket(index), monotonic_ns() if now is None else <int64_t> now)

    def limit(self, int index):
        """Units that a full bucket holds; 2**63 - 1: unlimited."""
        check("bucket", index, MAX_BUCKETS)
        return bucket_limit(self.bucket(index))

    def full_in(self, int index, now=None):
        """Nanoseconds until the bucket is full again."""
        check("bucket", index, MAX_BUCKETS)
        return bucket_full_in(self.bucket(index), monotonic_ns() if now is None else <int64_t> now)

    def clear(self, series, buckets, targets, pools):
        """Indices get new owners, and begin at 0. Only the supervisor may, and no process may be using them."""
        cdef int index, stripe
        cdef list stripes = [n for n in range(2 * GENERATION) if n % GENERATION < self.workers and self.used(n)]
        for index in buckets:
            check("bucket", index, MAX_BUCKETS)
            memset(self.bucket(index), 0, sizeof(Bucket))
            concurrency_clear(self, index)
            if (<Header*>self.base).shares:
                memset(self.purse(index), 0, sizeof(Purse))
                memset(self.allotment(index), 0, sizeof(Allotment))
        for index in targets:
            check("target", index, MAX_TARGETS)
            memset(self.health(index), 0, sizeof(Health))
        if pools and (<Header*>self.base).made:
            ids_drop(<int64_t*>(self.base + ids_at()), frozenset(pools))
        for stripe in stripes:
            for index in series:
                check("series", index, MAX_SERIES)
                if index < self.used(stripe):
                    memset(self.peek(stripe, index), 0, sizeof(Series))
            for index in targets:
                self.worker(stripe).asked[index] = 0
            for index in pools:
                check("pool", index, MAX_POOLS)
                memset(&self.worker(stripe).loads[index], 0, sizeof(Load))

    def made(self, bytes name, int pool, now=None):
        """A provider has given out an id, as a worker says (likewise)."""
        check("pool", pool, MAX_POOLS)
        self.note_maker(hash_of(name, len(name)), pool, monotonic_ns() if now is None else <int64_t> now)

    def maker_of(self, bytes name):
        """The index of the provider that has given out an id; -1: nobody knows."""
        return self.maker(hash_of(name, len(name)))

    @property
    def host(self):
        """What this memory's host is called among those that share limits: 53 random bits."""
        return self.fleet().host

    def strain_by(self, int64_t kind, int64_t share, int64_t until):
        """The host is short of something until then, as control finds; kind 0: of nothing."""
        self.strain().share, self.strain().kind, self.strain().until = share, kind, until

    def begin_sharing(self):
        """There are purses and allotments from now on."""
        (<Header*>self.base).shares = 1

    def hold(self, int stripe, uint64_t version):
        """A process needs no version of the configuration before this one any more."""
        self.check_stripe(stripe)
        self.worker(stripe).oldest = version

    def oldest(self, int stripe):
        """The oldest version that a process still needs; 0: it has not said so."""
        self.check_stripe(stripe)
        return self.worker(stripe).oldest

    def series_total(self, int index):
        """What all workers, dead lives included, have counted of a series: a SeriesTotal."""
        check("series", index, MAX_SERIES)
        cdef Series sum
        cdef int stripe
        memset(&sum, 0, sizeof(sum))
        for stripe in range(2 * GENERATION):
            if stripe % GENERATION < self.workers and index < self.used(stripe):
                add_series(&sum, self.peek(stripe, index))
        return SeriesTotal(sum.in_flight, [sum.outcomes[i] for i in range(N_OUTCOMES)],
                           sum.input_tokens, sum.output_tokens, sum.cached_tokens,
                           histogram_total(&sum.total), histogram_total(&sum.first_byte),
                           histogram_total(&sum.overhead), sum.without_usage, sum.estimated_input,
                           sum.estimated_output)

    def worker_total(self, int worker):
        """What a worker, dead lives and both generations included, has counted whatever the series: a WorkerTotal."""
        check("worker", worker, self.workers)
        cdef Worker* w = self.worker(worker)
        cdef Worker* v = self.worker(worker + GENERATION)
        return WorkerTotal(
            max(w.heartbeat_ns, v.heartbeat_ns), w.accepted + v.accepted, w.connections + v.connections,
            w.upstream_connections + v.upstream_connections, w.admitted + v.admitted, w.refused_key + v.refused_key,
            w.refused_model + v.refused_model, w.refused_gateway + v.refused_gateway, w.shadowed + v.shadowed,
            w.upstream_opened + v.upstream_opened,
            w.upstream_reused + v.upstream_reused, w.restarts + v.restarts,
            w.in_flight + v.in_flight, w.retrying + v.retrying, w.retries + v.retries, w.fallbacks + v.fallbacks,
            w.budget_refused + v.budget_refused, w.shed + v.shed, w.memory + v.memory,
            w.lines_lost + v.lines_lost, w.degraded + v.degraded, w.reservations + v.reservations,
            w.expired + v.expired, w.points + v.points, w.unbilled + v.unbilled)

    def lag(self, int worker):
        """How late the ticks of a worker's event loop came, in both generations: a HistogramTotal, see SHORT_BOUNDS."""
        check("worker", worker, self.workers)
        cdef Histogram sum = self.worker(worker).lag
        add_histogram(&sum, &self.worker(worker + GENERATION).lag)
        return histogram_total(&sum)

    def load_total(self, int pool):
        """What all workers have of a provider: a LoadTotal."""
        check("pool", pool, MAX_POOLS)
        cdef Load* one
        cdef int64_t active = 0, waiting = 0, limit = 0
        cdef uint64_t refused = 0
        cdef int number
        for number in range(2 * self.workers):
            one = &self.worker(self.stripe(number)).loads[pool]
            active += one.active
            waiting += one.waiting
            limit += one.limit
            refused += one.refused
        return LoadTotal(active, waiting, limit, refused)

    def heartbeat(self, int stripe):
        """When a process last showed that it lives; 0: not yet."""
        self.check_stripe(stripe)
        return self.worker(stripe).heartbeat_ns

    def worker_died(self, int stripe):
        """The supervisor has reaped a worker: what it held is free again. Its counts stay."""
        self.check_stripe(stripe)
        cdef Worker* worker = self.worker(stripe)
        cdef Health* health
        cdef int64_t probe
        cdef uint64_t index
        if worker.heartbeat_ns == 0:    # it never lived, and its pages may stay untouched
            return
        if worker.in_flight:
            for index in range((<Header*>self.base).buckets):
                bucket_forget(self.bucket(<int> index), monotonic_ns())
        worker.connections = worker.upstream_connections = worker.in_flight = worker.retrying = 0
        worker.oldest = 0
        memset(&worker.epochs, 0, sizeof(worker.epochs))
        worker.memory = 0
        concurrency_forget(self, stripe)
        for index in range(<uint64_t> MAX_POOLS):
            worker.loads[index].active = worker.loads[index].waiting = worker.loads[index].limit = 0
        for index in range(<uint64_t> MAX_TARGETS):
            if worker.asked[index]:         # else it never had its probe, and the page may stay untouched
                health = self.health(index)
                probe = EDGE_SEE(&health.probe)
                if probe & PROBER == stripe + 1:
                    EDGE_CAS(&health.probe, &probe, 0)
        for index in range(<uint64_t> self.used(stripe)):
            self.peek(stripe, <int> index).in_flight = 0

    def retired(self, int stripe):
        """The stripe stays without a process until another generation."""
        self.worker_died(stripe)
        self.worker(stripe).heartbeat_ns = 0

    def lost_line(self, int stripe):
        """A worker could not write a line of its log."""
        self.check_stripe(stripe)
        self.worker(stripe).lines_lost += 1

    def restarted(self, int stripe):
        """The supervisor is about to start a process again, which continues its predecessor's stripe."""
        self.check_stripe(stripe)
        self.worker(stripe).restarts += 1

    def account(self, int stripe, int index, int outcome, tuple times_ns, tuple tokens):
        """Count one ended request as a worker does (the tests' way in: workers use the C interface).

        Times are total, first byte and overhead; tokens are input, output and cached.
        """
        self.check_stripe(stripe)
        check("series", index, MAX_SERIES)
        check("outcome", outcome, N_OUTCOMES)
        cdef Series* series = self.series(stripe, index)
        series.outcomes[outcome] += 1
        observe_long(&series.total, times_ns[0])
        observe_long(&series.first_byte, times_ns[1])
        observe_short(&series.overhead, times_ns[2])
        series.input_tokens += <uint64_t> tokens[0]
        series.output_tokens += <uint64_t> tokens[1]
        series.cached_tokens += <uint64_t> tokens[2]

    def enter(self, int stripe, int index, int64_t change=1):
        """Change the number of requests in flight, as a worker does (likewise)."""
        self.check_stripe(stripe)
        check("series", index, MAX_SERIES)
        self.series(stripe, index).in_flight += change

    def beat(self, int stripe, dict counts=NOTHING):
        """Set a process's heartbeat to now, and add to a worker's counters by name, as a worker does (likewise)."""
        self.check_stripe(stripe)
        cdef Worker* w = self.worker(stripe)
        w.heartbeat_ns = monotonic_ns()
        w.accepted += <uint64_t> counts.get("accepted", 0)
        w.connections += <int64_t> counts.get("connections", 0)
        w.upstream_connections += <int64_t> counts.get("upstream_connections", 0)
        w.admitted += <uint64_t> counts.get("admitted", 0)
        w.refused_key += <uint64_t> counts.get("refused_key", 0)
        w.refused_model += <uint64_t> counts.get("refused_model", 0)
        w.refused_gateway += <uint64_t> counts.get("refused_gateway", 0)
        w.shadowed += <uint64_t> counts.get("shadowed", 0)
        w.upstream_opened += <uint64_t> counts.get("upstream_opened", 0)
        w.upstream_reused += <uint64_t> counts.get("upstream_reused", 0)
        w.in_flight += <int64_t> counts.get("in_flight", 0)
        w.retrying += <int64_t> counts.get("retrying", 0)
        w.retries += <uint64_t> counts.get("retries", 0)
        w.fallbacks += <uint64_t> counts.get("fallbacks", 0)
        w.budget_refused += <uint64_t> counts.get("budget_refused", 0)
        w.shed += <uint64_t> counts.get("shed", 0)
        w.degraded += <uint64_t> counts.get("degraded", 0)
        if "lag" in counts:
            observe_short(&w.lag, counts["lag"])

    def carry(self, int stripe, int pool, tuple load):
        """Say what a worker has of a provider, as a worker does (likewise): the fields of a LoadTotal."""
        self.check_stripe(stripe)
        check("pool", pool, MAX_POOLS)
        cdef Load* one = &self.worker(stripe).loads[pool]
        one.active, one.waiting, one.limit, one.refused = load

    def bench_take(self, int index, int64_t n):
        """Nanoseconds per step of `n` steps on one bucket, in C, on a clock that moves 1 us a step."""
        check("bucket", index, MAX_BUCKETS)
        cdef Bucket* bucket = self.bucket(index)
        cdef int64_t began, i
        cdef int64_t taken = 0
        with nogil:
            began = monotonic_ns()
            for i in range(n):
                taken += bucket_take(bucket, began + i * 1000, 1) == 0
            began = monotonic_ns() - began
        return began / <double> n if taken else 0.0

    def bench_observe(self, int stripe, int index, int64_t n):
        """Nanoseconds per observation of `n` spread over all buckets of a histogram, in C."""
        self.check_stripe(stripe)
        check("series", index, MAX_SERIES)
        cdef Histogram* histogram = &self.series(stripe, index).total
        cdef int64_t began, _i
        cdef uint64_t random = 88172645463325252    # xorshift64, Marsaglia 2003
        with nogil:
            began = monotonic_ns()
            for _i in range(n):
                random ^= random << 13
                random ^= random >> 7
                random ^= random << 17
                observe_long(histogram, <int64_t> (random >> (24 + (random >> 60))))
            began = monotonic_ns() - began
        return began / <double> n


def monotonic():
    """CLOCK_MONOTONIC in ns: the clock of all times in the slab."""
    return monotonic_ns()


def slot_of(int status):
    """Where SeriesTotal.outcomes counts a relayed status."""
    return relayed_slot(status)
