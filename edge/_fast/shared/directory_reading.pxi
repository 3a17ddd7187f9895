# How a row is found and read by whom it does not belong to: without a lock, and without waiting for its writer.

cdef inline Row* row_at(Catalogue* c, int64_t number) noexcept nogil:
    return <Row*>(<char*>c + rows_at()) + number


cdef inline Policy* policy_at(Catalogue* c, int64_t number) noexcept nogil:
    return <Policy*>(<char*>c + policies_at()) + number


cdef inline Part* part_at(Catalogue* c, int64_t number) noexcept nogil:
    return <Part*>(<char*>c + parts_at()) + number


cdef inline Freed* freed(Catalogue* c, int64_t number) noexcept nogil:
    return <Freed*>(<char*>c + freed_at()) + number % MAX_BUCKETS


cdef inline int32_t* holder_of(Catalogue* c, int64_t bucket) noexcept nogil:
    """The number of a row that has it, and 1; or had it."""
    return <int32_t*>(<char*>c + holders_at()) + bucket


cdef inline bint has_bucket(const Row* row, int32_t bucket) noexcept nogil:
    cdef int i
    for i in range(<int>MOST_LIMITS):
        if row.buckets[i] == bucket:
            return True
    return False


cdef inline int32_t* slots_of(Catalogue* c, int which, int64_t table) noexcept nogil:
    return <int32_t*>(<char*>c + slots_at(which, table))


cdef inline uint64_t digest_hash(const void* digest) noexcept nogil:
    cdef uint64_t hash          # a digest is as random as one gets
    memcpy(&hash, digest, sizeof(hash))
    return hash


cdef bint copied(const Row* row, Row* into) noexcept nogil:
    """Whether the row is there, whole."""
    cdef int64_t version = EDGE_SEE(&row.version)
    if not version & 1:
        return False
    memcpy(into, row, sizeof(Row))
    EDGE_FENCE()
    into.version = version
    return EDGE_SEE(&row.version) == version


cdef bint is_wanted(int which, const Row* row, const char* data, size_t size) noexcept nogil:
    if which == BY_DIGEST:
        return memcmp(row.digest, data, DIGEST) == 0
    return not row.former and row.name_size == size and memcmp(row.name, data, size) == 0


cdef bint seek(Catalogue* c, int which, const char* data, size_t size, Row* found, const Row** at) noexcept nogil:
    """The first row of that digest, or of that name which is no former one."""
    cdef uint64_t hash = digest_hash(data) if which == BY_DIGEST else hash_of(data, size)
    cdef const int32_t* slots
    cdef uint64_t mask, i
    cdef int64_t generation, table
    cdef int32_t entry
    cdef int _round
    for _round in range(<int>ROUNDS):
        generation = EDGE_SEE(&c.generation)
        table = EDGE_SEE(&c.indices[which].table)
        if table == 0:
            return False
        slots = slots_of(c, which, table)
        mask = (<uint64_t>1 << (table >> 1)) - 1
        for i in range(mask + 1):
            entry = EDGE_SLOT(&slots[(hash + i) & mask])
            if entry == 0:
                break
            if entry == GONE:
                continue
            at[0] = row_at(c, entry - 1)
            if copied(at[0], found) and is_wanted(which, found, data, size):
                return True
        if generation == EDGE_SEE(&c.generation):
            return False
    return False


cdef bint directory_find(Slab slab, int source, const char* digest, Row* found, const Row** at) noexcept nogil:
    """Copies the row of a digest, and says where it is: as long as that one's version is the copy's, both are good."""
    return seek(slab.catalogue(source), BY_DIGEST, digest, DIGEST, found, at)


cdef int64_t directory_policy(Slab slab, int source, const Row* at, const Row* found) noexcept nogil:
    """The version of the policy of a row that was found; 0: the row is there no more."""
    cdef int64_t version = EDGE_SEE(&policy_at(slab.catalogue(source), found.policy).version)
    return version if is_as_found(at, found.version) else 0


cdef bytes directory_text(Slab slab, int source, const Row* found, int64_t version):
    """That version of the policy; None: it is there no more."""
    cdef Catalogue* c = slab.catalogue(source)
    cdef const Policy* policy = policy_at(c, found.policy)
    cdef bytes text = copy_text(c, policy)
    EDGE_FENCE()
    return text if EDGE_SEE(&policy.version) == version else None


def party_digest(int party, int number):
    """What a party's row is found by: no key's digest, since keys are other sources'."""
    cdef int32_t said[2]
    said[0], said[1] = party, number
    return hash_of(<const char*>said, sizeof(said)).to_bytes(8, "little") + bytes(
        PyBytes_FromStringAndSize(<const char*>said, sizeof(said))).ljust(DIGEST - 8, b"\0")


cdef tuple parties_of(const Row* row):
    """Their numbers."""
    cdef int i
    return tuple([row.parties[i] for i in range(<int>N_PARTIES)])


cdef bytes copy_text(Catalogue* c, const Policy* policy):
    """It may be no text at all, where the policy goes meanwhile: the caller looks at its version then."""
    cdef int size = policy.size, done = 0, piece
    cdef int32_t part = policy.first
    cdef bytes text
    if not 0 <= size <= MAX_PARTS * PART:
        return b""
    text = PyBytes_FromStringAndSize(NULL, size)
    while done < size and 0 < part <= MAX_PARTS:
        piece = min(size - done, <int>PART)
        memcpy(PyBytes_AS_STRING(text) + done, part_at(c, part - 1).text, piece)
        done += piece
        part = part_at(c, part - 1).next
    return text if done == size else b""
