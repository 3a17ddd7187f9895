"""The host's shared memory: token buckets, counters, histograms. Lock-free, touched by this module alone."""
from libc.stdint cimport int64_t, uint64_t

cpdef enum:
    MAX_WORKERS = 64
    MAX_SERIES = 2048
    MAX_BUCKETS = 65536
    N_OUTCOMES = 96             # conditions from 0, relayed statuses from RELAYED
    RELAYED = 64
    N_BOUNDS = 20               # finite bounds; one more bucket for +Inf

cdef struct Terms:              # what a bucket grants
    int64_t interval            # ns per unit; 0: unlimited
    int64_t window              # ns that a full bucket spans: burst * interval

cdef struct Bucket:             # GCRA: one word says all, so that a step is one compare-and-swap
    int64_t word                # theoretical arrival time (CLOCK_MONOTONIC, ns) * 2 + the terms in force
    Terms terms[2]              # new terms are written beside the old ones, and come into force with the word

cdef struct Histogram:
    uint64_t counts[N_BOUNDS + 1]
    uint64_t sum_ns

cdef struct Series:             # what one worker counted of one (route, provider, model)
    int64_t in_flight
    uint64_t outcomes[N_OUTCOMES]
    uint64_t input_tokens
    uint64_t output_tokens
    uint64_t cached_tokens
    Histogram total             # client's first byte to our last
    Histogram first_byte        # client's first byte to the provider's first
    Histogram overhead          # the gateway's own share of total

cdef struct Worker:             # what one worker counted whatever the series
    uint64_t heartbeat_ns       # last turn of its event loop
    uint64_t accepted
    int64_t connections
    int64_t upstream_connections
    uint64_t admitted
    uint64_t refused_key
    uint64_t refused_gateway
    uint64_t upstream_opened
    uint64_t upstream_reused
    uint64_t restarts           # written by the supervisor, between two lives of the worker
    uint64_t series_used        # series from here on were never touched, and their pages cost nothing

cdef class Slab:
    cdef object mapping
    cdef char* base
    cdef readonly int workers
    cdef Bucket* bucket(self, int index) noexcept nogil
    cdef Series* series(self, int worker, int index) noexcept nogil
    cdef Series* peek(self, int worker, int index) noexcept nogil
    cdef Worker* worker(self, int worker) noexcept nogil

cdef int64_t bucket_take(Bucket* bucket, int64_t now, int64_t cost) noexcept nogil
cdef void bucket_give(Bucket* bucket, int64_t cost) noexcept nogil
cdef int64_t bucket_left(const Bucket* bucket, int64_t now) noexcept nogil
cdef int64_t bucket_limit(const Bucket* bucket) noexcept nogil
cdef int64_t bucket_full_in(const Bucket* bucket, int64_t now) noexcept nogil
cdef int relayed_slot(int status) noexcept nogil
cdef void observe_long(Histogram* histogram, int64_t ns) noexcept nogil
cdef void observe_short(Histogram* histogram, int64_t ns) noexcept nogil
cdef int64_t monotonic_ns() noexcept nogil
