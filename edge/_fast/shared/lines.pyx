"""Lines of text from workers to control: a ring for each worker, in the shared memory, without a lock.

The worker alone moves the head, and only over what is written whole: if it dies, what was there is there still. Who
takes lines moves the tail by compare-and-swap behind a copy: of two that take at once, as during an upgrade, one has
them. Where there is no room a line is lost and counted, for the worker waits for nobody.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memmove

from .atomic cimport EDGE_CAS, EDGE_SEE, EDGE_SET
from .slab cimport GENERATION, LINES_ROOM, Ring, Slab

cdef enum:
    HEAD = 4                    # bytes before a line: its size and what it is for
    FLAGS = 3                   # bits of them


cdef void write_at(Ring* ring, int64_t at, const char* data, size_t size) noexcept nogil:
    cdef size_t place = at % LINES_ROOM
    cdef size_t first = min(size, <size_t>LINES_ROOM - place)
    memcpy(ring.data + place, data, first)
    memcpy(ring.data, data + first, size - first)


cdef bint lines_put(Ring* ring, const char* line, Py_ssize_t size, int flags) noexcept nogil:
    """Whether there was room for it."""
    cdef int64_t head = ring.head
    cdef uint32_t before = <uint32_t>(size << FLAGS | flags)
    if size + HEAD > LINES_ROOM - (head - EDGE_SEE(&ring.tail)):
        ring.lost += 1
        return False
    write_at(ring, head, <const char*>&before, HEAD)
    write_at(ring, head + HEAD, line, size)
    EDGE_SET(&ring.head, head + HEAD + size)
    return True


cdef class Lines:
    """Takes the lines of all workers."""
    cdef Slab slab

    def __init__(self, Slab slab):
        self.slab = slab

    def put(self, int stripe, bytes line, bint logged, bint kept, bint traced=False):
        """Leave a line, as a worker does (the tests' way in). False: there is no room."""
        self.slab.check_stripe(stripe)
        cdef int flags = (LINE_LOGGED if logged else 0) | (LINE_KEPT if kept else 0)
        flags |= LINE_TRACED if traced else 0
        return lines_put(self.slab.ring(stripe), line, len(line), flags)

    def take(self):
        """What has come: all bytes for the log, a list of the lines to keep, and one of those that are traced."""
        cdef list logged = [], kept = [], traced = []
        cdef int stripe
        for stripe in range(2 * GENERATION):
            # A page that nobody has touched is made by a look at it.
            if stripe % GENERATION < self.slab.workers and self.slab.worker(stripe).accepted:
                self.take_of(self.slab.ring(stripe), logged, kept, traced)
        return b"".join(logged), kept, traced

    cdef int take_of(self, Ring* ring, list logged, list kept, list traced) except -1:
        cdef int64_t tail = EDGE_SEE(&ring.tail)
        cdef int64_t head = EDGE_SEE(&ring.head)
        cdef size_t size = head - tail, place = tail % LINES_ROOM, first
        cdef size_t at = 0, used = 0
        cdef uint32_t before
        cdef bytes copy, line
        cdef char* text
        if size == 0 or size > LINES_ROOM:      # another took some between the two looks
            return 0
        copy = PyBytes_FromStringAndSize(NULL, size)
        first = min(size, <size_t>LINES_ROOM - place)
        memcpy(PyBytes_AS_STRING(copy), ring.data + place, first)
        memcpy(PyBytes_AS_STRING(copy) + first, ring.data, size - first)
        if not EDGE_CAS(&ring.tail, &tail, head):
            return 0
        text = PyBytes_AS_STRING(copy)
        while at < size:
            memcpy(&before, text + at, HEAD)
            at += HEAD
            line = PyBytes_FromStringAndSize(text + at, before >> FLAGS) if before & (LINE_KEPT | LINE_TRACED) else None
            if before & LINE_KEPT:
                kept.append(line)
            if before & LINE_TRACED:
                traced.append(line)
            if before & LINE_LOGGED:        # moved together, over what is read by now
                memmove(text + used, text + at, before >> FLAGS)
                used += before >> FLAGS
            at += before >> FLAGS
        if used:
            logged.append(PyBytes_FromStringAndSize(text, used))
        return 0

    @property
    def lost(self):
        """Lines for which there was no room."""
        cdef uint64_t count = 0
        cdef int stripe
        for stripe in range(2 * GENERATION):
            if stripe % GENERATION < self.slab.workers and self.slab.worker(stripe).accepted:
                count += self.slab.ring(stripe).lost
        return count
