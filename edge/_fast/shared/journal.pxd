"""What requests have cost, in a mapped file of each worker's, until the store has it."""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

cdef enum:
    JOURNAL_ENTRIES = 32768
    KEY_ROOM = 64
    MODEL_ROOM = 64
    REQUEST_ROOM = 64

cdef struct Entry:
    int64_t number              # and 1: it is whole
    int64_t time                # Unix time
    int64_t points              # micro-points
    int64_t account
    int64_t settled[2]          # all that this worker has of these balances, with it
    int32_t balances[2]         # of the account and of the key; 0: there is none
    int32_t input               # tokens
    int32_t cached
    int32_t output
    uint8_t estimated
    uint8_t key_size
    uint8_t model_size
    uint8_t request_size
    char key[KEY_ROOM]
    char model[MODEL_ROOM]
    char request[REQUEST_ROOM]

cdef struct JournalHead:        # the first page. Numbers grow for ever; two writers share no cache line
    uint64_t magic
    uint64_t form
    int64_t boot
    int64_t stripe
    int64_t apart[4]
    int64_t head                # the worker's: the number of the next entry
    int64_t further[7]
    int64_t tail                # control's: of the first that the store does not have

cdef class Journal:
    cdef readonly str path
    cdef readonly int64_t boot          # of the memory whose worker writes it,
    cdef readonly int64_t stripe        # and of that worker
    cdef object mapping
    cdef int file
    cdef char* base
    cdef JournalHead* head
    cdef bint is_sound(self) noexcept

cdef bint journal_is_full(Journal journal, int64_t expected) noexcept nogil
cdef Entry* journal_next(Journal journal) noexcept nogil
cdef void journal_add(Journal journal) noexcept nogil
