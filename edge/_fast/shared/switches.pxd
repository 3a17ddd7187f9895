"""What operators say while the gateway runs, for workers."""
from libc.stdint cimport int64_t

from .atomic cimport EDGE_SEE
from .slab cimport HOLDS, Board

cdef enum:
    UNSAID = -1                 # of a model: it is as the configuration has it
    SWITCHED_OFF
    SWITCHED_ON

cdef int switched(const Board* board, const char* name, Py_ssize_t size) noexcept nogil
cdef int64_t maintained_until(const Board* board) noexcept nogil
cdef int switched_alike(const Board* board, const char* name, Py_ssize_t size) noexcept nogil
cdef bytes maintained_for(const Board* board)

cdef inline bint is_anything_said(const Board* board) noexcept nogil:
    """Whether an operator has said anything that holds: the usual no is a look at one word."""
    return EDGE_SEE(&board.word) & HOLDS
