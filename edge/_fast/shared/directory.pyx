"""The directory: whose a key is, by its digest, in the shared memory, for any number of keys.

Who stands behind keys (accounts, users, groups, workspaces) has rows of the same kind in a source of its own: a key's
row has their numbers, and a change of one is one row, however many keys there are.

A row is a key's own: its name, state, end, and the buckets of its limits. What keys have in common, their policy, is a
text that is there once. Each source's rows have one writer (the supervisor the file's, control the store's) and any
number of readers, without a lock:

- what is published does not change. A key that changes gets another row: that one is written, the index leads to it
  from one store on, and the row before says by its version that it is there no more. Who keeps a row and its version
  asks that one word whether both are still good. No reader ever waits for a writer, also not for one that was killed.
- a row that is free is used again. Who copies one looks at its version before and behind; who finds nothing looks again
  if there was a change meanwhile: what was looked for may have moved.
- an index is a table of row numbers with open addressing. When it is full it is made anew beside itself, larger or of
  the same size, and one store puts it in force.
- a bucket is used again when no request is on its way that may have known its key: see Worker.epochs. Until somebody
  has it a key that comes back under its name finds it as it was: who goes and comes has no more for it.
- a writer that is killed leaves nothing that a reader could not read; what its successor needs `repair` makes anew.
"""

from collections import namedtuple

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from .atomic cimport EDGE_ADD, EDGE_FENCE, EDGE_SEE, EDGE_SET, EDGE_TURN
from .slab cimport (
    BY_DIGEST, BY_NAME, BY_OWNER, BY_TEXT, DIGEST, FILE, FILE_BUCKETS, MAX_BUCKETS, MAX_KEYS, MAX_LIMITS, MAX_PARTS,
    MAX_POLICIES, MOST_LIMITS, NAME_ROOM, N_INDICES, N_PARTIES, N_SOURCES, PART, PARTIES, PARTY_BUCKETS, SLOTS_BITS,
    Catalogue, Freed, Index, Part, Policy, Row, Slab, freed_at, hash_of, holders_at, parts_at, policies_at, rows_at,
    slots_at,
)

cdef extern from *:
    """
    #include <sys/mman.h>
    /* Pages that lie whole in it are given back, and read as 0. */
    static int edge_empty(void* at, size_t size) { return madvise(at, size, MADV_REMOVE); }
    """
    int edge_empty(void* at, size_t size) noexcept nogil

cdef extern from "shared/atomic.h" nogil:
    int32_t EDGE_SLOT "EDGE_SEE"(const int32_t* p)
    void EDGE_PLACE "EDGE_SET"(int32_t* p, int32_t value)

cdef enum:
    LEAST_BITS = 10             # a page of slots
    GONE = -1                   # of a slot: it was somebody's
    ROUNDS = 1000               # no loop without an end: so many changes while a reader looks

KeyRow = namedtuple("KeyRow", "digest name policy state expires buckets former parties", defaults=[(0,) * N_PARTIES])


include "directory_reading.pxi"


# Writing

include "directory_index.pxi"


cdef int32_t kin(Catalogue* c, const char* name, size_t size, int number) noexcept nogil:
    """The number of a row of that name that has such a limit, and 1; 0: there is none."""
    cdef int64_t table = c.indices[BY_NAME].table
    cdef const int32_t* slots
    cdef uint64_t hash = hash_of(name, size), mask, i
    cdef const Row* row
    cdef int32_t entry
    if table == 0:
        return 0
    slots = slots_of(c, BY_NAME, table)
    mask = (<uint64_t>1 << (table >> 1)) - 1
    for i in range(mask + 1):
        entry = slots[(hash + i) & mask]
        if entry == 0:
            break
        row = row_at(c, entry - 1) if entry > 0 else NULL
        if row != NULL and row.buckets[number] and row.name_size == size and memcmp(row.name, name, size) == 0:
            return entry
    return 0


cdef inline int32_t kin_bucket(Catalogue* c, const char* name, size_t size, int number) noexcept nogil:
    """What the keys of a name have for this limit; 0: nothing."""
    cdef int32_t entry = kin(c, name, size, number)
    return row_at(c, entry - 1).buckets[number] if entry else 0


cdef int32_t find_text(Catalogue* c, bytes text, uint64_t hash):
    """The number of a text's policy, and 1; 0: there is none."""
    cdef int64_t table = c.indices[BY_TEXT].table
    cdef const int32_t* slots
    cdef uint64_t mask, i
    cdef int32_t entry
    if table == 0:
        return 0
    slots = slots_of(c, BY_TEXT, table)
    mask = (<uint64_t>1 << (table >> 1)) - 1
    for i in range(mask + 1):
        entry = slots[(hash + i) & mask]
        if entry == 0:
            break
        if entry > 0 and policy_at(c, entry - 1).hash == hash and copy_text(c, policy_at(c, entry - 1)) == text:
            return entry
    return 0


cdef int32_t intern(Catalogue* c, bytes text, uint64_t hash) except 0:
    """The number of a new policy, and 1. OverflowError: there is no room, and nothing has changed."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(text), done = 0, parts = (size + PART - 1) // PART
    cdef int32_t entry = <int32_t>c.free_policy, part = 0, last = 0, first = 0
    cdef Policy* policy
    if (not entry and c.policies == MAX_POLICIES) or not has_parts(c, parts):
        raise OverflowError("there is no room for so many policies of keys")
    if entry:
        c.free_policy = policy_at(c, entry - 1).first
    else:
        c.policies += 1
        entry = <int32_t>c.policies
    policy = policy_at(c, entry - 1)
    while done < size:
        part = <int32_t>c.free_part
        if part:
            c.free_part = part_at(c, part - 1).next
        else:
            c.parts += 1
            part = <int32_t>c.parts
        memcpy(part_at(c, part - 1).text, PyBytes_AS_STRING(text) + done, min(<Py_ssize_t>PART, size - done))
        done += PART
        part_at(c, part - 1).next = 0
        if last:
            part_at(c, last - 1).next = part
        else:
            first = part
        last = part
    policy.hash, policy.size, policy.first, policy.keys = hash, <int32_t>size, first, 0
    EDGE_ADD(&policy.version, 1)
    insert(c, BY_TEXT, entry, c.policies)
    return entry


cdef uint64_t limits_hash(bytes said):
    return hash_of(said, PyBytes_GET_SIZE(said))


cdef bint has_parts(Catalogue* c, int64_t wanted) noexcept nogil:
    cdef int64_t free = MAX_PARTS - c.parts
    cdef int32_t part = <int32_t>c.free_part
    while free < wanted and part:
        free += 1
        part = part_at(c, part - 1).next
    return free >= wanted


cdef int let_policy_go(Catalogue* c, int32_t number) noexcept nogil:
    """One key has it no more."""
    cdef Policy* policy = policy_at(c, number)
    cdef int32_t part, after
    policy.keys -= 1
    if policy.keys:
        return 0
    supplant(c, BY_TEXT, number + 1, GONE)
    EDGE_ADD(&policy.version, 1)
    part = policy.first
    while part:
        after = part_at(c, part - 1).next
        part_at(c, part - 1).next = <int32_t>c.free_part
        c.free_part = part
        part = after
    policy.first = <int32_t>c.free_policy
    c.free_policy = number + 1
    return 0


include "directory_repair.pxi"


cdef class Directory:
    """One source's keys, for their writer; and for who reads."""

    cdef readonly Slab slab
    cdef Catalogue* c
    cdef int source
    cdef int64_t needed                 # the epoch from which on freed buckets may be in use; -1: it is not known

    def __init__(self, Slab slab, int source):
        if not 0 <= source < N_SOURCES:
            raise ValueError("there is no such source of keys")
        self.slab, self.source, self.c = slab, source, slab.catalogue(source)

    @property
    def generation(self):
        """How many changes there have been, give or take."""
        return EDGE_SEE(&self.c.generation)

    @property
    def limits(self):
        """Another number, in all likelihood, where keys of other names or with other limits are in it."""
        return self.c.limits

    def __len__(self):
        return self.c.keys

    cdef object shown(self, const Row* row, const Row* found):
        """A KeyRow; None: it is there no more."""
        cdef int64_t version = directory_policy(self.slab, self.source, row, found)
        cdef int i
        cdef bytes text = directory_text(self.slab, self.source, found, version) if version else None
        if text is None:
            return None
        return KeyRow(PyBytes_FromStringAndSize(<const char*>found.digest, DIGEST),
                      PyBytes_FromStringAndSize(found.name, found.name_size).decode(), text, found.state,
                      found.expires, tuple([found.buckets[i] for i in range(MOST_LIMITS)]), bool(found.former),
                      parties_of(found))

    cdef object sought(self, int which, bytes data):
        cdef Row found
        cdef const Row* at
        cdef int _round
        for _round in range(<int>ROUNDS):
            if not seek(self.c, which, data, PyBytes_GET_SIZE(data), &found, &at):
                return None
            shown = self.shown(at, &found)
            if shown is not None:
                return shown
        return None

    def find(self, bytes digest):
        """The row of a key as a KeyRow; None: there is none."""
        return self.sought(BY_DIGEST, digest) if len(digest) == DIGEST else None

    def named(self, str name):
        """The row of a key of that name; of several any one."""
        return self.sought(BY_NAME, name.encode())

    def mark(self, int64_t bucket):
        """Names the row that has a bucket, as it is now; 0: none has."""
        cdef int32_t entry = EDGE_SLOT(holder_of(self.c, bucket)) if 0 <= bucket < MAX_BUCKETS else 0
        cdef const Row* row = row_at(self.c, entry - 1) if entry else NULL
        cdef int64_t version = EDGE_SEE(&row.version) if entry else 0
        return version * MAX_KEYS + entry - 1 if version & 1 and has_bucket(row, bucket) else 0

    def marked(self, int64_t mark):
        """The KeyRow that has such a mark; None: it has another one by now."""
        cdef const Row* row = row_at(self.c, mark % MAX_KEYS)
        cdef Row found
        return self.shown(row, &found) if copied(row, &found) and found.version == mark // MAX_KEYS else None

    def __iter__(self):
        """All of them, each as it is then."""
        cdef Row found
        cdef int64_t number = 0
        while number < EDGE_SEE(&self.c.rows):
            if copied(row_at(self.c, number), &found):
                shown = self.shown(row_at(self.c, number), &found)
                if shown is not None:
                    yield shown
            number += 1

    def digests(self):
        """Of all of them."""
        cdef Row found
        cdef int64_t number
        all = []
        for number in range(EDGE_SEE(&self.c.rows)):
            if copied(row_at(self.c, number), &found):
                all.append(PyBytes_FromStringAndSize(<const char*>found.digest, DIGEST))
        return all

    def digests_of(self, str name):
        """Of all that have this name, former ones as well."""
        cdef bytes said = name.encode()
        cdef int64_t table = self.c.indices[BY_NAME].table
        cdef const int32_t* slots
        cdef uint64_t hash = hash_of(said, len(said)), mask, i
        cdef const Row* row
        cdef int32_t entry
        all = []
        if table == 0:
            return all
        slots = slots_of(self.c, BY_NAME, table)
        mask = (<uint64_t>1 << (table >> 1)) - 1
        for i in range(mask + 1):
            entry = slots[(hash + i) & mask]
            if entry == 0:
                break
            row = row_at(self.c, entry - 1) if entry > 0 else NULL
            if row != NULL and row.name_size == len(said) and memcmp(row.name, PyBytes_AS_STRING(said), len(said)) == 0:
                all.append(PyBytes_FromStringAndSize(<const char*>row.digest, DIGEST))
        return all

    def having(self, wanted):
        """Name and policy of each whose policy is wanted: `wanted(text)` is asked once of each policy."""
        cdef Row found
        cdef int64_t number, version
        known = {}
        for number in range(EDGE_SEE(&self.c.rows)):
            if not copied(row_at(self.c, number), &found) or found.former:
                continue
            version = policy_at(self.c, found.policy).version
            if (found.policy, version) not in known:
                shown = self.shown(row_at(self.c, number), &found)
                if shown is None:
                    continue
                known[found.policy, version] = shown.policy if wanted(shown.policy) else None
            text = known[found.policy, version]
            if text is not None:
                yield PyBytes_FromStringAndSize(found.name, found.name_size).decode(), text

    @property
    def free_limits(self):
        """How many limits of keys there may be besides those that there are."""
        cdef int64_t free = self.end() - self.first() - self.c.buckets, at = self.c.freed_head
        self.needed = -1
        while at < self.c.freed_tail and freed(self.c, at).epoch < self.oldest():
            free, at = free + 1, at + 1
        return free

    def put(self, row, limits):
        """Whether anything was to do: `row` takes the place of the one of its digest, in force on all workers from now.

        `limits` are by number of the row's buckets: rate and burst, or for the last how many at once; None: no such
        limit. Keys of one name have their buckets in common. OverflowError: there is no room, and nothing has changed.
        """
        cdef Catalogue* c = self.c
        cdef bytes digest = row.digest, name = row.name.encode(), text = row.policy
        cdef uint64_t hash = hash_of(text, len(text))
        cdef int32_t policy, old, new
        cdef int party
        cdef Row* into
        if len(digest) != DIGEST or not 0 < len(name) <= NAME_ROOM:
            raise ValueError("a key has a digest and a name")
        policy, old = find_text(c, text, hash), self.number(digest)
        if old and policy and self.is_same(row_at(c, old - 1), row, policy - 1):
            return False
        if not c.free_row and c.rows == MAX_KEYS:
            raise OverflowError(f"there is room for {MAX_KEYS} keys")
        new = <int32_t>c.free_row or <int32_t>c.rows + 1
        into = row_at(c, new - 1)
        following = into.policy if c.free_row else 0
        c.writing = 1
        self.needed = -1
        policy = policy or intern(c, text, hash)
        policy_at(c, policy - 1).keys += 1
        try:
            self.lay(into, name, limits)
        except BaseException:
            let_policy_go(c, policy - 1)
            raise
        if c.free_row:
            c.free_row = following
        else:
            c.rows += 1
        memcpy(into.digest, PyBytes_AS_STRING(digest), DIGEST)
        into.expires, into.policy, into.state, into.former = row.expires, policy - 1, row.state, row.former
        for party in range(<int>N_PARTIES):
            into.parties[party] = row.parties[party]
        into.limits = 0 if row.former or not any(limits) else limits_hash(repr((row.name, list(limits))).encode())
        EDGE_ADD(&into.version, 1)
        self.note(new)
        insert(c, BY_NAME, new, c.keys)
        if old:
            supplant(c, BY_DIGEST, old, new)
            self.drop(old)
        else:
            insert(c, BY_DIGEST, new, c.keys)
        c.keys += 1
        EDGE_ADD(&c.generation, 1)
        c.writing = 0
        return True

    def remove(self, bytes digest):
        """Whether it was there: no worker takes the key from now on."""
        cdef int32_t old = self.number(digest) if len(digest) == DIGEST else 0
        if not old:
            return False
        self.c.writing = 1
        supplant(self.c, BY_DIGEST, old, GONE)
        self.drop(old)
        EDGE_ADD(&self.c.generation, 1)
        self.c.writing = 0
        return True

    def repair(self):
        """Whether a writer was killed in a change: what it has left half done is made good.

        A key is what it was before that change, or after it. For the writer that comes after, before its first change.
        """
        cdef Catalogue* c = self.c
        if not c.writing:
            return False
        repair_tables(c)
        repair_rows(c)
        repair_policies(c)
        c.limits = 0
        c.indices[BY_NAME].table = c.indices[BY_TEXT].table = c.indices[BY_OWNER].table = 0
        for which in (BY_NAME, BY_TEXT, BY_OWNER):
            for table in range(LEAST_BITS * 2, SLOTS_BITS * 2 + 2):
                erase(c, which, table)
        for number in range(c.rows):
            if row_at(c, number).version & 1:
                insert(c, BY_NAME, number + 1, c.keys)
                self.note(number + 1)
        for number in range(c.policies):
            if policy_at(c, number).version & 1:
                insert(c, BY_TEXT, number + 1, c.policies)
        if c.indices[BY_DIGEST].table:
            rebuild(c, BY_DIGEST, c.keys)
        held = {index for each in self for index in each.buckets}
        c.freed_head = c.freed_tail = 0
        for index in range(self.first(), self.first() + c.buckets):
            if index not in held:
                self.free_bucket(index, 0, 0)
        EDGE_ADD(&c.epoch, 1)
        EDGE_ADD(&c.generation, 1)
        c.writing = 0
        return True

    cdef int32_t number(self, bytes digest) noexcept:
        """Of the row of a digest, and 1; 0: there is none."""
        cdef Row found
        cdef const Row* at
        if not seek(self.c, BY_DIGEST, PyBytes_AS_STRING(digest), DIGEST, &found, &at):
            return 0
        return <int32_t>(at - row_at(self.c, 0)) + 1

    cdef bint is_same(self, const Row* there, row, int32_t policy) except -1:
        return (there.policy == policy and there.state == row.state and there.expires == row.expires
                and there.former == row.former and parties_of(there) == row.parties
                and PyBytes_FromStringAndSize(there.name, there.name_size) == row.name.encode())

    cdef int lay(self, Row* into, bytes name, limits) except -1:
        """Name and buckets of a row that is not there yet. OverflowError: it gives back what it has taken."""
        cdef Catalogue* c = self.c
        cdef int i
        cdef uint64_t owner = hash_of(name, len(name))
        memcpy(into.name, PyBytes_AS_STRING(name), len(name))
        into.name_size = <uint8_t>len(name)
        for i in range(MOST_LIMITS):
            into.buckets[i] = 0
        try:
            for i, terms in enumerate(limits):
                if terms is not None:
                    into.buckets[i] = kin_bucket(c, name, len(name), i) or self.retake(owner, i) or self.take_bucket()
                if terms is not None and i == MOST_LIMITS - 1:
                    self.slab.set_concurrency(into.buckets[i], terms)
                elif terms is not None:
                    self.slab.set_bucket(into.buckets[i], *terms)
        except BaseException:
            for i in range(MOST_LIMITS):
                if into.buckets[i] and kin_bucket(c, name, len(name), i) != into.buckets[i]:
                    self.free_bucket(into.buckets[i], owner, i)
            raise
        return 0

    cdef int note(self, int32_t entry) noexcept:
        """What finds a row by its buckets, and says whether another host's keys have the same limits."""
        cdef const Row* row = row_at(self.c, entry - 1)
        cdef int i
        self.c.limits += row.limits
        for i in range(<int>MOST_LIMITS):
            if row.buckets[i]:
                EDGE_PLACE(holder_of(self.c, row.buckets[i]), entry)
        return 0

    cdef int drop(self, int32_t old) except -1:
        """A row that no digest leads to any more is free, and what it had alone."""
        cdef Catalogue* c = self.c
        cdef Row* row = row_at(c, old - 1)
        cdef Row gone = row[0]
        cdef int32_t other
        cdef int i
        supplant(c, BY_NAME, old, GONE)
        EDGE_TURN(&row.version, gone.version + 1)
        for i in range(MOST_LIMITS):
            other = kin(c, gone.name, gone.name_size, i) if gone.buckets[i] else 0
            if other and row_at(c, other - 1).buckets[i] == gone.buckets[i]:
                EDGE_PLACE(holder_of(c, gone.buckets[i]), other)
            elif gone.buckets[i]:
                self.free_bucket(gone.buckets[i], hash_of(gone.name, gone.name_size), i)
        c.limits -= gone.limits
        EDGE_ADD(&c.epoch, 1)
        let_policy_go(c, gone.policy)
        row.policy = <int32_t>c.free_row
        c.free_row = old
        c.keys -= 1
        return 0

    cdef int free_bucket(self, int32_t index, uint64_t owner, int number) except -1:
        cdef Catalogue* c = self.c
        freed(c, c.freed_tail)[0] = Freed(c.epoch, owner, number, index)
        c.freed_tail += 1
        if owner:
            insert(c, BY_OWNER, <int32_t>((c.freed_tail - 1) % MAX_BUCKETS) + 1, c.freed_tail - c.freed_head)
        return 0

    cdef int32_t retake(self, uint64_t owner, int number) noexcept:
        """What a key of that name had, as it was; 0: it is somebody's."""
        cdef Catalogue* c = self.c
        cdef int64_t table = c.indices[BY_OWNER].table
        cdef const int32_t* slots
        cdef uint64_t mask, i
        cdef int32_t entry
        cdef Freed* found
        if table == 0:
            return 0
        slots = slots_of(c, BY_OWNER, table)
        mask = (<uint64_t>1 << (table >> 1)) - 1
        for i in range(mask + 1):
            entry = slots[(owner + i) & mask]
            if entry == 0:
                return 0
            found = freed(c, entry - 1) if entry > 0 else NULL
            if found != NULL and found.owner == owner and found.number == number:
                number = found.index
                supplant(c, BY_OWNER, entry, GONE)
                if entry - 1 != c.freed_head % MAX_BUCKETS:     # the first of them moves to its place
                    if freed(c, c.freed_head).owner:
                        supplant(c, BY_OWNER, <int32_t>(c.freed_head % MAX_BUCKETS) + 1, entry)
                    found[0] = freed(c, c.freed_head)[0]
                c.freed_head += 1
                return number
        return 0

    cdef int64_t first(self) noexcept:
        """Of the indices of this source's buckets; and their end."""
        if self.source == FILE:
            return MAX_LIMITS
        return MAX_LIMITS + FILE_BUCKETS + (PARTY_BUCKETS if self.source != PARTIES else 0)

    cdef int64_t end(self) noexcept:
        if self.source == FILE:
            return MAX_LIMITS + FILE_BUCKETS
        return MAX_LIMITS + FILE_BUCKETS + PARTY_BUCKETS if self.source == PARTIES else MAX_BUCKETS

    cdef int32_t take_bucket(self) except -1:
        """One that nobody uses. OverflowError: there is none."""
        cdef Catalogue* c = self.c
        cdef int64_t first = self.first(), end = self.end(), index
        if c.freed_head < c.freed_tail and freed(c, c.freed_head).epoch < self.oldest():
            index = freed(c, c.freed_head).index
            if freed(c, c.freed_head).owner:
                supplant(c, BY_OWNER, <int32_t>(c.freed_head % MAX_BUCKETS) + 1, GONE)
            c.freed_head += 1
            self.slab.clear((), (index,), (), ())
            return <int32_t>index
        if first + c.buckets == end:
            waiting = c.freed_tail - c.freed_head
            raise OverflowError(f"there is room for {end - first - waiting} limits of keys" + (
                f" until the last requests of {waiting} others have ended" if waiting else ""))
        c.buckets += 1
        return <int32_t>(first + c.buckets - 1)

    cdef int64_t oldest(self) except -1:
        """Buckets that were freed before this epoch are nobody's."""
        cdef int64_t said
        cdef int number
        if self.needed < 0:
            self.needed = INT64_MAX
            for number in range(2 * self.slab.workers):
                said = EDGE_SEE(&self.slab.worker(self.slab.stripe(number)).epochs[self.source])
                if said:
                    self.needed = min(self.needed, said - 1)
        return self.needed
