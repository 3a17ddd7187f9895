"""The response cache: answers that are kept for who asks the same again, in memory that all processes share.

Each worker has an area of its own, and control the last: it alone writes there, and all read everywhere. An area is a
ring, in which the oldest answers make room, with an index of where which begins. Nobody waits for a lock: a reader
copies an answer, and then looks whether it was one, by its name, its sum, and by how far the writer has come meanwhile.
So a writer may be killed at any point, and what a power cut leaves of a cache on a disk is good, or not there.

While a version of the program takes the place of another there are two workers for an area: it is the one's that came
last, and the other keeps nothing any more. Where both write for a moment a sum is wrong.
"""

from collections import namedtuple

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy, memset

from .atomic cimport EDGE_ADD, EDGE_CAS, EDGE_FENCE, EDGE_SEE, EDGE_SET

cdef enum:
    PAGE = 4096
    USUAL = 2048                # bytes of an answer: an index has a slot for each so many
    LAST = 1 << 30              # areas' sizes that are written one after the other, in any life
    MOST = 1048576              # bytes of an answer, in the largest cache

CACHE_LEAST = 65536             # bytes of an area
cdef uint64_t MAGIC = 0x6568636163656465       # "edecache" in a dump

# Of an answer: Unix times, whether it is a stream's, its bytes.
Remembered = namedtuple("Remembered", "made until stream data")
# How many were found, were not, were put in; bytes that are in use.
CacheTotal = namedtuple("CacheTotal", "hits misses kept used")


cdef inline int64_t whole_words(int64_t size) noexcept nogil:
    return (size + 7) & ~<int64_t>7


cdef uint64_t sum_of(const Kept* kept, const char* data) noexcept nogil:
    """Tells a torn answer, or another one than is said, from a whole one; it need not withstand anybody."""
    cdef uint64_t sum = kept.digest[0] ^ kept.digest[1] ^ <uint64_t>kept.until ^ <uint64_t>kept.stream << 32, word
    cdef Py_ssize_t at = 0, size = kept.size
    sum = (sum ^ <uint64_t>size) * 0x9E3779B97F4A7C15u
    while at + 8 <= size:
        memcpy(&word, data + at, 8)
        sum = (sum ^ word) * 0xFF51AFD7ED558CCDu
        sum ^= sum >> 32
        at += 8
    word = 0
    memcpy(&word, data + at, size - at)
    return (sum ^ word) * 0xFF51AFD7ED558CCDu


cdef inline bint is_there(Cache cache, int number, int64_t at) noexcept nogil:
    """Whether what begins there has not been overwritten."""
    return EDGE_SEE(&cache.area(number).writing) - at <= cache.room


cdef bint look_at(Cache cache, int number, int64_t at, Kept* kept) noexcept nogil:
    """What stands before an answer; whether one may begin there at all."""
    cdef int64_t place
    if at < 0 or at + <int64_t>sizeof(Kept) > EDGE_SEE(&cache.area(number).head):
        return False
    place = at % cache.room
    if place % 8 or place + <int64_t>sizeof(Kept) > cache.room:
        return False
    memcpy(kept, cache.data(number) + place, sizeof(Kept))
    EDGE_FENCE()
    return (is_there(cache, number, at) and kept.size <= cache.longest
            and place + <int64_t>sizeof(Kept) + kept.size <= cache.room)


cdef bint cache_find(Cache cache, const uint64_t* digest, int64_t now, Sighting* found) noexcept nogil:
    """Where an answer of that name is that counts yet."""
    cdef int64_t epoch = EDGE_SEE(&(<CacheHead*>cache.base).epoch)
    cdef uint64_t first = digest[0] & (cache.slots - CACHE_WAYS)
    cdef int number, way
    for number in range(cache.areas):
        for way in range(<int>CACHE_WAYS):
            found.at = EDGE_SEE(&cache.index(number)[first + way]) - 1
            if not look_at(cache, number, found.at, &found.kept):
                continue
            if (found.kept.digest[0] == digest[0] and found.kept.digest[1] == digest[1]
                    and found.kept.epoch == epoch and found.kept.until > now):
                found.area = number
                return True
    return False


cdef bint cache_copy(Cache cache, const Sighting* found, char* into) noexcept nogil:
    """Its bytes, of which there are kept.size. False: it is there no more."""
    memcpy(into, cache.data(found.area) + found.at % cache.room + sizeof(Kept), found.kept.size)
    EDGE_FENCE()
    return is_there(cache, found.area, found.at) and sum_of(&found.kept, into) == found.kept.sum


cdef bint cache_put(Cache cache, int number, Kept* kept, const char* data) noexcept nogil:
    """Keeps an answer in the writer's own area. False: it is too long, or the area is another's by now."""
    cdef Area* area = cache.area(number)
    cdef int64_t at = area.head, total = whole_words(sizeof(Kept) + kept.size), place = at % cache.room
    cdef int64_t* index = cache.index(number) + (kept.digest[0] & (cache.slots - CACHE_WAYS))
    cdef int way, oldest = 0
    cdef Kept other
    if kept.size > cache.longest or EDGE_SEE(&area.writer) != cache.writer:
        return False
    if place + total > cache.room:              # it would not lie in one piece
        at += cache.room - place
        place = 0
    EDGE_ADD(&area.writing, max(<int64_t>0, at + total - area.writing))     # and not a byte before it
    kept.epoch = EDGE_SEE(&(<CacheHead*>cache.base).epoch)
    kept.sum = sum_of(kept, data)
    memcpy(cache.data(number) + place, kept, sizeof(Kept))
    memcpy(cache.data(number) + place + sizeof(Kept), data, kept.size)
    EDGE_SET(&area.head, at + total)
    for way in range(<int>CACHE_WAYS):
        if (look_at(cache, number, index[way] - 1, &other) and other.digest[0] == kept.digest[0]
                and other.digest[1] == kept.digest[1]):
            oldest = way
            break
        if index[way] < index[oldest]:
            oldest = way
    EDGE_SET(&index[oldest], at + 1)
    area.kept += 1
    return True


cdef int digest_of(bytes name, uint64_t* digest) except -1:
    if PyBytes_GET_SIZE(name) != 16:
        raise ValueError("the name of an answer has 16 bytes")
    memcpy(digest, PyBytes_AS_STRING(name), 16)
    return 0


cdef class Cache:
    """In a mapping of zeros, or of what another life of the gateway has left; for so many writers. ValueError: it is
    too small for them, or something else is in it."""

    def __init__(self, mapping, int areas):
        cdef Py_buffer view
        cdef CacheHead* head
        cdef uint64_t form
        self.mapping, self.areas, self.size = mapping, areas, len(mapping)
        self.pace = ((self.size - PAGE) // areas) & ~<size_t>(PAGE - 1) if self.size > PAGE else 0
        if <int64_t>self.pace < CACHE_LEAST:
            raise ValueError(f"a cache for {areas} processes has at least {areas * CACHE_LEAST + PAGE} bytes")
        PyObject_GetBuffer(mapping, &view, PyBUF_WRITABLE)
        self.base = <char*>view.buf
        PyBuffer_Release(&view)         # the mapping lasts as long as this object, which alone can reach it
        self.slots = CACHE_WAYS
        while self.slots * USUAL < self.pace:
            self.slots *= 2
        self.room = self.pace - sizeof(Area) - self.slots * sizeof(int64_t)
        self.longest = min(<int64_t>MOST, self.room // 8) - <int64_t>sizeof(Kept)
        head = <CacheHead*>self.base
        form = sizeof(Kept) << 56 ^ <uint64_t>areas << 48 ^ <uint64_t>self.size
        if head.magic == 0 and head.form == 0:
            head.form, head.magic = form, MAGIC
        if head.magic != MAGIC or head.form != form:
            raise ValueError("this is not a cache of that form")

    cdef Area* area(self, int number) noexcept nogil:
        return <Area*>(self.base + PAGE + number * self.pace)

    cdef int64_t* index(self, int number) noexcept nogil:
        return <int64_t*>(self.base + PAGE + number * self.pace + sizeof(Area))

    cdef char* data(self, int number) noexcept nogil:
        return <char*>self.index(number) + self.slots * sizeof(int64_t)

    def claim(self, int number, int64_t writer):
        """The area is this process's, and nobody else keeps anything there. Where a torn file says nonsense of it, it
        is empty."""
        cdef Area* area
        if not 0 <= number < self.areas or writer <= 0:
            raise IndexError(f"there are {self.areas} areas")
        area = self.area(number)
        self.writer = writer
        EDGE_SET(&area.writer, writer)
        if not 0 <= area.head <= area.writing < LAST * self.room or area.head % 8:
            memset(self.index(number), 0, self.slots * sizeof(int64_t))
            area.writing = area.head = area.hits = area.misses = area.kept = 0

    def find(self, bytes name, int64_t now):
        """A Remembered. None: there is none of that name."""
        cdef uint64_t digest[2]
        cdef Sighting found
        cdef bytes data
        digest_of(name, digest)
        if not cache_find(self, digest, now, &found):
            return None
        data = PyBytes_FromStringAndSize(NULL, found.kept.size)
        if not cache_copy(self, &found, PyBytes_AS_STRING(data)):
            return None
        return Remembered(found.kept.made, found.kept.until, found.kept.stream == 1, data)

    def put(self, int number, bytes name, remembered):
        """Keep it, as the writer of that area. False: it is too long, or the area is another's."""
        cdef Kept kept
        if not 0 <= number < self.areas:
            raise IndexError(f"there are {self.areas} areas")
        memset(&kept, 0, sizeof(Kept))
        digest_of(name, kept.digest)
        if len(remembered.data) > self.longest:
            return False
        kept.made, kept.until, kept.stream = remembered.made, remembered.until, remembered.stream
        kept.size = <uint32_t>len(remembered.data)
        return cache_put(self, number, &kept, remembered.data)

    def drop(self, bytes name):
        """Nobody finds it any more. Whether there was one."""
        cdef uint64_t digest[2]
        cdef Kept kept
        cdef int64_t at
        cdef int number, way
        cdef bint found = False
        digest_of(name, digest)
        for number in range(self.areas):
            for way in range(<int>CACHE_WAYS):
                slot = (digest[0] & (self.slots - CACHE_WAYS)) + way
                at = EDGE_SEE(&self.index(number)[slot])
                if (look_at(self, number, at - 1, &kept) and kept.digest[0] == digest[0]
                        and kept.digest[1] == digest[1]):
                    found = EDGE_CAS(&self.index(number)[slot], &at, 0) or found
        return found

    def clear(self):
        """Nothing of what there is counts any more, for anybody."""
        EDGE_ADD(&(<CacheHead*>self.base).epoch, 1)

    @property
    def total(self):
        """A CacheTotal of all areas."""
        cdef uint64_t hits = 0, misses = 0, kept = 0
        cdef int64_t used = 0
        cdef int number
        for number in range(self.areas):
            hits += self.area(number).hits
            misses += self.area(number).misses
            kept += self.area(number).kept
            used += min(EDGE_SEE(&self.area(number).head), self.room)
        return CacheTotal(hits, misses, kept, used)
