"""Balances of points: what an account, and a key, may spend."""
from libc.stdint cimport int64_t, uint64_t

from .slab cimport Slab

cdef enum:
    UNGRANTED = -1              # nobody has said what there is

cdef int balance_find(Slab slab, uint64_t owner) noexcept nogil
cdef int balance_take(Slab slab, int stripe, int index, int64_t cost) noexcept nogil
cdef int64_t balance_settle(Slab slab, int stripe, int index, int64_t reserved, int64_t cost) noexcept nogil
cdef int64_t balance_settled(Slab slab, int stripe, int index) noexcept nogil
cdef void balance_restore(Slab slab, int stripe, int index, int64_t settled) noexcept nogil
cdef int64_t period_end(Slab slab, int part) noexcept nogil
