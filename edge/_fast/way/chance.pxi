# chance: numbers that need not be secret.

cdef inline uint64_t next_random(Gateway g) noexcept:
    """splitmix64: ids must be distinct, not secret."""
    g.random += <uint64_t>0x9E3779B97F4A7C15
    return mixed(g.random)


cdef inline uint64_t mixed(uint64_t z) noexcept nogil:
    """splitmix64's finish: all bits depend on all."""
    z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
    return z ^ (z >> 31)


cdef inline double chance(Gateway g) noexcept:
    """0 to 1."""
    return (next_random(g) >> 11) * (1.0 / 9007199254740992.0)
