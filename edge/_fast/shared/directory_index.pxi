# An index of the directory: a table of numbers of rows (or of policies, or of freed buckets) with open addressing.

cdef uint64_t entry_hash(Catalogue* c, int which, int32_t entry) noexcept nogil:
    cdef const Row* row
    if which == BY_TEXT:
        return policy_at(c, entry - 1).hash
    if which == BY_OWNER:
        return freed(c, entry - 1).owner
    row = row_at(c, entry - 1)
    return digest_hash(row.digest) if which == BY_DIGEST else hash_of(row.name, row.name_size)


cdef int enter(Catalogue* c, int which, int64_t table, int32_t entry) noexcept nogil:
    """Whether it took a slot that was never used."""
    cdef int32_t* slots = slots_of(c, which, table)
    cdef uint64_t mask = (<uint64_t>1 << (table >> 1)) - 1, at = entry_hash(c, which, entry)
    cdef int32_t there
    while slots[at & mask] > 0:
        at += 1
    there = slots[at & mask]
    EDGE_PLACE(&slots[at & mask], entry)
    return there == 0


cdef void erase(Catalogue* c, int which, int64_t table) noexcept nogil:
    cdef size_t size = sizeof(int32_t) << (table >> 1)
    if edge_empty(slots_of(c, which, table), size) != 0:
        memset(slots_of(c, which, table), 0, size)


cdef int rebuild(Catalogue* c, int which, int64_t count) noexcept nogil:
    """Another table for what is in this one, half full at most."""
    cdef Index* index = &c.indices[which]
    cdef int64_t before = index.table, table, bits = LEAST_BITS, i
    cdef int32_t* slots
    while <int64_t>1 << bits < 2 * (count + 1) and bits < SLOTS_BITS:
        bits += 1
    table = bits * 2 | (1 - (before & 1))
    if before:
        slots = slots_of(c, which, before)
        for i in range(<int64_t>1 << (before >> 1)):
            if slots[i] > 0:
                enter(c, which, table, slots[i])
    index.used = count
    EDGE_SET(&index.table, table)
    EDGE_ADD(&c.generation, 1)
    if before:
        erase(c, which, before)
    return 0


cdef int insert(Catalogue* c, int which, int32_t entry, int64_t count) noexcept nogil:
    """`count`: of those that are there."""
    cdef Index* index = &c.indices[which]
    if index.table == 0 or (index.used + 1) * 4 > <int64_t>3 << (index.table >> 1):
        rebuild(c, which, count)
    index.used += enter(c, which, index.table, entry)
    return 0


cdef int supplant(Catalogue* c, int which, int32_t entry, int32_t by) noexcept nogil:
    """Puts another entry of the same hash, or GONE, in an entry's slot."""
    cdef int64_t table = c.indices[which].table
    cdef int32_t* slots = slots_of(c, which, table)
    cdef uint64_t mask = (<uint64_t>1 << (table >> 1)) - 1, at = entry_hash(c, which, entry), i
    for i in range(mask + 1):
        if slots[(at + i) & mask] == entry:
            EDGE_PLACE(&slots[(at + i) & mask], by)
            break
    return 0
