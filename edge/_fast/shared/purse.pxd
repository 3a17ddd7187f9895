"""Limits that hosts share: what this host has drawn of them ahead of need, in its shared memory."""
from libc.stdint cimport int64_t

from .slab cimport Slab

cdef enum:
    SHORT = -1                  # the fleet may have what this host has not

cdef int64_t purse_take(Slab slab, int index, int64_t now, int64_t cost) noexcept nogil
cdef int64_t purse_wait(Slab slab, int index, int64_t now, int64_t cost) noexcept nogil
cdef void purse_settle(Slab slab, int index, int64_t now, int64_t taken_at, int64_t cost, int64_t used) noexcept nogil
cdef int64_t purse_mute(Slab slab, int index) noexcept nogil
cdef int64_t purse_left(Slab slab, int index, int64_t now) noexcept nogil
cdef int64_t purse_full_in(Slab slab, int index, int64_t now) noexcept nogil
cdef bint call(Slab slab, int index) noexcept nogil
cdef int64_t take_alone(Slab slab, int index, int64_t now, int64_t cost) noexcept nogil
cdef void settle_alone(Slab slab, int index, int64_t now, int64_t cost, int64_t used) noexcept nogil
