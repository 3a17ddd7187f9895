# Who made an id: a bounded table, so that every worker of the host finds the way back to a provider.
#
# A set is a cache line of eight words; an id's hash gives the set and the 40 bits that it is known by there. A word is
# changed by compare-and-swap alone, and holds all there is: those bits, the provider's pool, and when it came. A new id
# takes the place of the oldest of its set, give or take four minutes. It is a hint: who follows it asks a provider,
# which knows its own ids.

cdef enum:
    WAYS = 8
    TAG_AT = 24                 # bits of a word: hash, pool, age
    POOL_AT = 16
    AGES = 65536
    AGE_AT = 38                 # of ns: 275 s, so that all ages span 208 days


cdef inline int64_t ids_tag(uint64_t hash) noexcept nogil:
    """Never 0, which is what an empty word has."""
    return <int64_t>(hash >> TAG_AT | 1)


cdef inline int64_t* ids_line(int64_t* ids, uint64_t hash) noexcept nogil:
    return ids + (hash & (MAX_IDS // WAYS - 1)) * WAYS


cdef inline int64_t ids_tag_of(int64_t word) noexcept nogil:
    return <int64_t>(<uint64_t>word >> TAG_AT)


cdef void ids_put(int64_t* ids, uint64_t hash, int pool, int64_t now) noexcept nogil:
    cdef int64_t* line = ids_line(ids, hash)
    cdef int64_t age = (now >> AGE_AT) & (AGES - 1), tag = ids_tag(hash)
    cdef int64_t word, held, place, old, oldest
    cdef int i, at, picked
    word = <int64_t>(<uint64_t>tag << TAG_AT) | <int64_t>pool << POOL_AT | age
    while True:
        picked, oldest, place = 0, -1, 0
        for i in range(WAYS):
            at = <int>((i + (hash >> 13)) % WAYS)       # begins anywhere: of equals not always the same goes
            held = EDGE_SEE(&line[at])
            old = AGES if held == 0 else (age - held) & (AGES - 1)
            if ids_tag_of(held) == tag:
                old = AGES + 1
            if old > oldest:
                picked, oldest, place = at, old, held
        if EDGE_CAS(&line[picked], &place, word):
            return


cdef int ids_get(const int64_t* ids, uint64_t hash) noexcept nogil:
    cdef const int64_t* line = ids_line(<int64_t*>ids, hash)
    cdef int64_t held
    cdef int i
    for i in range(WAYS):
        held = EDGE_SEE(&line[i])
        if ids_tag_of(held) == ids_tag(hash):
            return <int>((held >> POOL_AT) & (MAX_POOLS - 1))
    return -1


cdef int ids_drop(int64_t* ids, object pools) except -1:
    """Forgets the ids of providers whose indices others get."""
    cdef int64_t held
    cdef int i
    for i in range(<int>MAX_IDS):
        held = EDGE_SEE(&ids[i])
        if held and ((held >> POOL_AT) & (MAX_POOLS - 1)) in pools:
            EDGE_CAS(&ids[i], &held, 0)
    return 0
