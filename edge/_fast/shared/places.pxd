"""Limits of concurrent requests that hosts share: what part of one this host may fill."""
from libc.stdint cimport int64_t

from .slab cimport Slab

cdef enum Found:
    PLACED, ALLOTTED_MORE, FULL         # the fleet may have more; or it has none, as far as this host knows

cdef Found places_take(Slab slab, int stripe, int index, int64_t now, bint waits) noexcept nogil
cdef void places_give_up(Slab slab, int stripe, int index, bint waits) noexcept nogil
cdef void places_ask(Slab slab, int index, int64_t now) noexcept nogil
cdef bint places_take_alone(Slab slab, int stripe, int index, bint whole) noexcept nogil
cdef void places_refuse(Slab slab, int index) noexcept nogil
cdef bint places_give(Slab slab, int stripe, int index) noexcept nogil
cdef bint places_full(Slab slab, int index, int64_t now) noexcept nogil
cdef int64_t places_alone(Slab slab, int index) noexcept nogil
cdef int64_t places_expired(Slab slab, int index, bint everywhere) noexcept nogil
