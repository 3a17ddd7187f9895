"""What operators say while the gateway runs: that it is in maintenance, and which models are on or off.

All of it is one record, which is written whole beside the one in force; a word says which of the two that is. So a
change is one store, and in force on all workers with it, and where nothing is said a request looks at that word alone.
It stays for as long as the memory does: over reloads, and over the death of every process but the supervisor.

One process writes, control. Who reads looks at the word once more behind it, and reads anew where it is another one.
"""

from collections import namedtuple

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

cdef extern from "strings.h" nogil:
    int strncasecmp(const char* a, const char* b, size_t size)

from .atomic cimport EDGE_FENCE, EDGE_SEE, EDGE_SET
from .slab cimport HOLDS, MESSAGE_ROOM, MOST_SWITCHED, NAME_BYTES, SWITCH_SLOTS, Board, Said, Slab, Switch, hash_of

# Unix times at which the maintenance ends (0: there is none) and began, why, and by name whether a model is on.
Spoken = namedtuple("Spoken", "until since message models")


cdef int look_up(const Said* said, const char* name, Py_ssize_t size) noexcept nogil:
    cdef uint64_t hash = hash_of(name, size)
    cdef size_t slot = hash & (SWITCH_SLOTS - 1)
    cdef int _i, place
    if said.models == 0 or size > NAME_BYTES:
        return UNSAID
    for _i in range(<int>SWITCH_SLOTS):
        place = said.slots[slot] - 1
        if not 0 <= place < MOST_SWITCHED:
            break
        if said.switched[place].hash == hash and said.switched[place].size == size and memcmp(
                said.switched[place].name, name, size) == 0:
            return said.switched[place].on
        slot = (slot + 1) & (SWITCH_SLOTS - 1)
    return UNSAID


cdef int switched(const Board* board, const char* name, Py_ssize_t size) noexcept nogil:
    """What is said of a model: SWITCHED_OFF, SWITCHED_ON, or UNSAID."""
    cdef int64_t word = -1
    cdef int found = UNSAID
    while word != EDGE_SEE(&board.word):
        word = EDGE_SEE(&board.word)
        found = look_up(&board.sides[word & 1], name, size)
        EDGE_FENCE()
    return found


cdef int look_alike(const Said* said, const char* name, Py_ssize_t size) noexcept nogil:
    cdef int i
    cdef const Switch* switch
    for i in range(min(<int>MOST_SWITCHED, said.models)):
        switch = &said.switched[i]
        if switch.size == size and switch.on == SWITCHED_OFF and strncasecmp(switch.name, name, size) == 0:
            return SWITCHED_OFF
    return UNSAID


cdef int switched_alike(const Board* board, const char* name, Py_ssize_t size) noexcept nogil:
    """SWITCHED_OFF where that is said of a name that differs in the case of its letters alone; else UNSAID."""
    cdef int64_t word = -1
    cdef int found = UNSAID
    while word != EDGE_SEE(&board.word):
        word = EDGE_SEE(&board.word)
        found = look_alike(&board.sides[word & 1], name, size)
        EDGE_FENCE()
    return found


cdef int64_t maintained_until(const Board* board) noexcept nogil:
    """The Unix time at which the maintenance ends; 0: there is none."""
    cdef int64_t word = -1, until = 0
    while word != EDGE_SEE(&board.word):
        word = EDGE_SEE(&board.word)
        until = board.sides[word & 1].until
        EDGE_FENCE()
    return until


cdef bytes text_of(const char* at, int size, int room):
    """A text that may be written anew meanwhile: no more than its room."""
    return PyBytes_FromStringAndSize(at, max(0, min(size, room)))


cdef bytes maintained_for(const Board* board):
    """Why, in the operator's words."""
    cdef int64_t word = -1
    cdef const Said* said
    cdef bytes message = b""
    while word != EDGE_SEE(&board.word):
        word = EDGE_SEE(&board.word)
        said = &board.sides[word & 1]
        message = text_of(said.message, said.message_size, MESSAGE_ROOM)
        EDGE_FENCE()
    return message


cdef void put(Said* said, int place, const char* name, Py_ssize_t size, int on) noexcept nogil:
    cdef Switch* switch = &said.switched[place]
    cdef size_t slot
    switch.hash = hash_of(name, size)
    switch.on = on
    switch.size = <int>size
    memcpy(switch.name, name, size)
    slot = switch.hash & (SWITCH_SLOTS - 1)
    while said.slots[slot]:
        slot = (slot + 1) & (SWITCH_SLOTS - 1)
    said.slots[slot] = place + 1


cdef class Switches:
    """Reads and writes it; a time that nobody knows is FOREVER."""
    cdef Slab slab

    def __init__(self, Slab slab):
        self.slab = slab

    @property
    def spoken(self):
        """All of it: a Spoken."""
        cdef const Board* board = self.slab.board()
        cdef const Said* said
        cdef int64_t word = -1, until = 0, since = 0
        cdef bytes message = b""
        cdef dict models = {}
        cdef int i
        while word != EDGE_SEE(&board.word):
            word = EDGE_SEE(&board.word)
            said = &board.sides[word & 1]
            until, since = said.until, said.since
            message = text_of(said.message, said.message_size, MESSAGE_ROOM)
            models = {}
            for i in range(min(<int>MOST_SWITCHED, said.models)):
                name = text_of(said.switched[i].name, said.switched[i].size, NAME_BYTES)
                models[name] = said.switched[i].on == SWITCHED_ON
            EDGE_FENCE()
        return Spoken(until, since, message.decode("utf-8", "replace"),
                      {name.decode("utf-8", "replace"): on for name, on in models.items()})

    def speak(self, spoken):
        """Put it into the place of all that was said. ValueError: there is no room for it, and nothing has changed."""
        cdef Board* board = self.slab.board()
        cdef int64_t word = EDGE_SEE(&board.word)
        cdef Said* said = &board.sides[1 - (word & 1)]
        cdef bytes message = spoken.message.encode(), name
        cdef dict models = {each.encode(): on for each, on in spoken.models.items()}
        cdef int count = 0
        if len(message) > MESSAGE_ROOM:
            raise ValueError(f"a message has {MESSAGE_ROOM} bytes at most")
        if len(models) > MOST_SWITCHED or any([len(each) > NAME_BYTES for each in models]):
            raise ValueError(f"{MOST_SWITCHED} models can be switched at most, of names of {NAME_BYTES} bytes")
        said.until, said.since = spoken.until, spoken.since
        said.message_size = len(message)
        memcpy(said.message, PyBytes_AS_STRING(message), len(message))
        memset(&said.slots[0], 0, SWITCH_SLOTS * sizeof(said.slots[0]))
        said.models = len(models)
        for name, on in models.items():
            put(said, count, PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name), SWITCHED_ON if on else SWITCHED_OFF)
            count += 1
        EDGE_SET(&board.word, ((word >> 2) + 1) << 2 | (HOLDS if said.until or count else 0) | (1 - (word & 1)))
