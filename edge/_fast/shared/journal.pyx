"""The journal: what requests have cost and the store does not know yet, a mapped file for each worker.

A ring of entries of one size. Its worker alone writes it, by stores into memory: no system call, no lock, nothing is
allocated. Its room is taken from the disk when the file is made, and a request that must be billed is admitted only
where its entry has a place: what was served has one. An entry counts with the one store that moves the head over it; so
does what a killed worker had written, as the file's pages are the kernel's. Control reads what lies between tail and
head, writes it to the store, and moves the tail: if it is killed in between, the store finds by the entries' numbers
that it has them (boot of the memory, stripe of the worker, number). Numbers begin with the clock that never goes back:
a file that takes the place of one that was lost has none of its numbers, which the store would think it has.
"""

import fcntl
import mmap
import os
from collections import namedtuple

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

from .atomic cimport EDGE_CAS, EDGE_SEE, EDGE_SET
from .balances cimport balance_restore
from .slab cimport Slab, monotonic_ns

cdef enum:
    FIRST = 4096                # where the entries begin

JOURNAL_ROOM = JOURNAL_ENTRIES
cdef uint64_t MAGIC = 0x6C6E72756F6A6465       # "edjournl" in a dump
cdef uint64_t FORM = sizeof(Entry) << 32 | JOURNAL_ROOM

JournalEntry = namedtuple(
    "JournalEntry", "number time account points key model request input cached output estimated")


cdef inline Entry* entry_at(Journal journal, int64_t number) noexcept nogil:
    return <Entry*>(journal.base + FIRST) + number % JOURNAL_ENTRIES


cdef bint journal_is_full(Journal journal, int64_t expected) noexcept nogil:
    """Whether there is no place for another entry, so many being on their way."""
    return journal.head.head + expected - EDGE_SEE(&journal.head.tail) >= JOURNAL_ENTRIES


cdef Entry* journal_next(Journal journal) noexcept nogil:
    """Where the next entry is to be written, which then counts by `journal_add`."""
    return entry_at(journal, journal.head.head)


cdef void journal_add(Journal journal) noexcept nogil:
    """The entry is whole."""
    entry_at(journal, journal.head.head).number = journal.head.head + 1
    EDGE_SET(&journal.head.head, journal.head.head + 1)


cdef bytes text_in(const char* at, int size, int room):
    return PyBytes_FromStringAndSize(at, min(size, room))


cdef class Journal:
    """A worker's, or control's view of one: then neither `boot` nor `stripe` are given.

    OSError: the file cannot be had, or is another living worker's. ValueError: it is of another form, or not whole.
    """

    def __cinit__(self):
        self.file = -1

    def __init__(self, str path, boot=None, int stripe=0):
        cdef Py_buffer view
        cdef bint ours = boot is not None
        cdef Py_ssize_t size = FIRST + JOURNAL_ENTRIES * sizeof(Entry)
        self.path = path
        self.file = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if ours else 0), 0o600)
        if ours:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.posix_fallocate(self.file, 0, size)
        elif os.fstat(self.file).st_size != size:
            raise ValueError("it is not whole, or of another version of edge")
        self.mapping = mmap.mmap(self.file, size)
        PyObject_GetBuffer(self.mapping, &view, PyBUF_WRITABLE)
        self.base = <char*>view.buf
        PyBuffer_Release(&view)         # the mapping lasts as long as this object, which alone can reach it
        self.head = <JournalHead*>self.base
        if ours and self.head.magic == 0:
            self.head.form, self.head.boot, self.head.stripe = FORM, boot, stripe
            self.head.head = self.head.tail = monotonic_ns()
            EDGE_SET(<int64_t*>&self.head.magic, <int64_t>MAGIC)
        if self.head.magic != MAGIC or self.head.form != FORM:
            raise ValueError("it is of another version of edge")
        self.boot, self.stripe = self.head.boot, self.head.stripe

    cdef bint is_sound(self) noexcept:
        """Whether its head is still one: the file may be anybody's."""
        return (self.head.magic == MAGIC and self.head.form == FORM
                and 0 <= EDGE_SEE(&self.head.head) - EDGE_SEE(&self.head.tail) <= JOURNAL_ENTRIES)

    def __del__(self):
        if self.file >= 0:
            os.close(self.file)
            self.file = -1

    @property
    def inode(self):
        """The number of its file, which no other has while this one is open."""
        return os.fstat(self.file).st_ino

    @property
    def lost(self):
        """Whether its file is no more where it was: what is written into it nobody else will find."""
        cdef bint there = False
        try:
            there = os.stat(self.path).st_ino == os.fstat(self.file).st_ino
        except OSError:
            pass
        return not there

    @property
    def waiting(self):
        """How many entries the store does not have."""
        return EDGE_SEE(&self.head.head) - EDGE_SEE(&self.head.tail) if self.is_sound() else 0

    @property
    def since(self):
        """When the first of them was written (Unix time); 0: there is none."""
        return entry_at(self, EDGE_SEE(&self.head.tail)).time if self.waiting else 0

    def abandoned(self):
        """Whether no worker writes it any more: it is the caller's then."""
        cdef bint free = True
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            free = False
        return free

    def read(self, int most):
        """The number of the first entry that the store does not have; it, and those behind it. None: one is torn."""
        cdef int64_t tail = EDGE_SEE(&self.head.tail), end = min(EDGE_SEE(&self.head.head), tail + most), number
        cdef Entry* entry
        found = []
        if not self.is_sound():
            return tail, found
        for number in range(tail, end):
            entry = entry_at(self, number)
            if entry.number != number + 1 or min(entry.points, entry.account, entry.time) < 0:
                found.append(None)
                continue
            found.append(JournalEntry(
                number, entry.time, entry.account, entry.points,
                text_in(entry.key, entry.key_size, KEY_ROOM).decode("utf-8", "replace"),
                text_in(entry.model, entry.model_size, MODEL_ROOM).decode("utf-8", "replace"),
                text_in(entry.request, entry.request_size, REQUEST_ROOM).decode("utf-8", "replace"),
                entry.input, entry.cached, entry.output, bool(entry.estimated)))
        return tail, found

    def passed(self, int64_t number):
        """The store has all entries before this one."""
        cdef int64_t tail = EDGE_SEE(&self.head.tail)
        while tail < number and not EDGE_CAS(&self.head.tail, &tail, number):
            pass

    def restore(self, Slab slab):
        """Its last entry counts in the balances, also where the worker was killed just behind it."""
        cdef Entry* entry
        cdef int i
        entry = entry_at(self, self.head.head - 1)
        for i in range(2):
            if entry.number == self.head.head and entry.balances[i]:
                balance_restore(slab, self.head.stripe, entry.balances[i], entry.settled[i])

    def add(self, entry, balances=(0, 0), settled=(0, 0)):
        """Write an entry, as a worker does (the tests' way in). False: there is no place."""
        cdef Entry* into = journal_next(self)
        if journal_is_full(self, 0):
            return False
        into.time, into.account, into.points = entry.time, entry.account, entry.points
        into.input, into.cached, into.output = entry.input, entry.cached, entry.output
        into.estimated = entry.estimated
        into.balances, into.settled = balances, settled
        into.key_size = copied(into.key, KEY_ROOM, entry.key.encode())
        into.model_size = copied(into.model, MODEL_ROOM, entry.model.encode())
        into.request_size = copied(into.request, REQUEST_ROOM, entry.request.encode())
        journal_add(self)
        return True


cdef int copied(char* into, int room, bytes text) except -1:
    cdef int size = <int>min(len(text), room)
    memcpy(into, <const char*>text, size)
    return size
