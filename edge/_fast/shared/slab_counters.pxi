# Histograms, and where a status is counted.

cdef int64_t long_bounds[31]    # ns; padded with what nothing exceeds, so that the search needs no end
cdef int64_t short_bounds[31]
cdef uint8_t relayed_slots[600]


cdef int fill_tables() except -1:
    cdef int i
    for i in range(31):
        long_bounds[i] = round(LONG_BOUNDS[i] * 1e9) if i < N_BOUNDS else INT64_MAX
        short_bounds[i] = round(SHORT_BOUNDS[i] * 1e9) if i < N_BOUNDS else INT64_MAX
    memset(relayed_slots, RELAYED + len(RELAYED_STATUSES), sizeof(relayed_slots))
    for i, status in enumerate(RELAYED_STATUSES):
        relayed_slots[<int> status] = RELAYED + i
    relayed_slots[200] = 0
    return 0


fill_tables()


cdef inline int bound_of(const int64_t* bounds, int64_t ns) noexcept nogil:
    """How many bounds are below `ns`: a search of five steps that compiles to no branch at all."""
    cdef int i = (bounds[15] < ns) * 16
    i += (bounds[i + 7] < ns) * 8
    i += (bounds[i + 3] < ns) * 4
    i += (bounds[i + 1] < ns) * 2
    return i + (bounds[i] < ns)


cdef inline void observe(Histogram* histogram, const int64_t* bounds, int64_t ns) noexcept nogil:
    ns = later(ns, 0)
    histogram.counts[bound_of(bounds, ns)] += 1
    histogram.sum_ns += <uint64_t> ns


cdef void observe_long(Histogram* histogram, int64_t ns) noexcept nogil:
    """Count a time of the total or first-byte kind: see LONG_BOUNDS."""
    observe(histogram, long_bounds, ns)


cdef void observe_short(Histogram* histogram, int64_t ns) noexcept nogil:
    """Count a time of the overhead kind: see SHORT_BOUNDS."""
    observe(histogram, short_bounds, ns)


cdef int relayed_slot(int status) noexcept nogil:
    """Where Series.outcomes counts a provider's status that was relayed: 0 for 200, else from RELAYED."""
    return relayed_slots[status if 0 <= status < 600 else 0]
