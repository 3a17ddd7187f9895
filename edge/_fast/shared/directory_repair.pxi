# What a writer that was killed has left half done: what no digest leads to is nobody's, and is free.

cdef void repair_tables(Catalogue* c) noexcept nogil:
    """But for those in force all are empty."""
    cdef int which
    cdef int64_t table
    for which in range(<int>N_INDICES):
        for table in range(LEAST_BITS * 2, SLOTS_BITS * 2 + 2):
            if table != c.indices[which].table:
                erase(c, which, table)


cdef void repair_rows(Catalogue* c) noexcept nogil:
    """What no digest leads to is not there, and is free."""
    cdef Row found
    cdef const Row* at
    cdef Row* row
    cdef int64_t number
    c.keys = c.free_row = 0
    for number in range(c.rows):
        row = row_at(c, number)
        if row.version & 1 and not (
                seek(c, BY_DIGEST, <const char*>row.digest, DIGEST, &found, &at) and at == row):
            EDGE_ADD(&row.version, 1)
        if row.version & 1:
            c.keys += 1
        else:
            row.policy = <int32_t>c.free_row
            c.free_row = number + 1


cdef int repair_policies(Catalogue* c) except -1:
    """What no key has is not there, and is free, and so are its parts."""
    cdef Policy* policy
    cdef int64_t number
    cdef int32_t part
    cdef bytearray held = bytearray(c.parts + 1)
    for number in range(c.policies):
        policy_at(c, number).keys = 0
    for number in range(c.rows):
        if row_at(c, number).version & 1:
            policy_at(c, row_at(c, number).policy).keys += 1
    c.free_policy = c.free_part = 0
    for number in range(c.policies):
        policy = policy_at(c, number)
        if policy.keys:
            part = policy.first
            while part:
                held[part] = 1
                part = part_at(c, part - 1).next
            continue
        if policy.version & 1:
            EDGE_ADD(&policy.version, 1)
        policy.first = <int32_t>c.free_policy
        c.free_policy = number + 1
    for number in range(1, c.parts + 1):
        if not held[number]:
            part_at(c, number - 1).next = <int32_t>c.free_part
            c.free_part = number
    return 0
