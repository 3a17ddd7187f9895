"""One parser under the fuzzer: inputs that reach new edges are kept, and inputs are made from those that were kept.

The fuzzer's command puts this file beside the parsers, so that it calls the very functions that the gateway calls.
"""
from libc.math cimport isfinite, isnan
from libc.stdint cimport INT64_MIN, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset, strlen

from .http.chunk cimport CHUNK_DATA, CHUNK_END, CHUNK_MORE, Chunked, chunk_begin, chunk_next
from .http.head cimport (
    HEAD_DONE, HEAD_MORE, K_HOST, M_OPTIONS, MAX_FIELDS, N_KNOWN, Field, Head, is_token, parse_request, parse_response,
    write_relayed,
)
from .json.scan cimport (
    ABSENT, MAX_NAMES, NUMBER, OBJECT, SCAN_MORE, SCAN_NOT_OBJECT, SCAN_OK, Member, Names, Scan, integer,
    number, scan, scan_begin, scan_on,
)
from .http.writer cimport Writer, write_into
from .dialect.tap cimport Dialect, Tap, dialect_named, tap_begin, tap_body, tap_end, tap_events

from .json.scan import kernels, use_kernel

cdef extern from "cover.h":
    enum:
        EDGE_EDGES
    bint cover_on "edge_cover_on"
    uint32_t edge_cover_take(uint8_t* seen)

cdef extern from "mutate.h":
    enum:
        EDGE_LARGEST
    struct edge_piece:
        const char* text
        uint32_t size
    struct edge_draft:
        uint64_t chance
        const uint8_t* seams
        const edge_piece* words
        uint32_t n_words
        uint32_t largest
        uint32_t size
        char* text
    uint64_t edge_chance_of(const char* text, uint32_t size)
    uint32_t edge_below(uint64_t* chance, uint32_t limit)
    void edge_mutate(edge_draft* draft, edge_piece start, edge_piece other)

cdef enum:
    MAX = 1 << 30

cdef Names _names = Names((
    "model", "stream", "max_tokens", "messages", "usage", "error", "id", "x", "n", "\u00e9t\u00e9", "a/b"))
cdef Names _no_names = Names(())


# Whatever an input is, a reader has one verdict however the bytes are cut, and stays inside of what it was given:
# pieces lie against the end of a block of the heap, so that a sanitizer sees a read behind them.

cdef struct Case:
    const char* text
    uint32_t size
    char* room                  # `size` bytes
    char* out                   # room for payloads
    uint64_t chance             # depends on the input alone: it can be tried again
    const Dialect* dialect
    bint accepted

cdef enum Cuts:
    WHOLE, BYTES, RANDOM

KERNELS = kernels()


cdef inline const char* put(Case* c, uint32_t start, uint32_t size) noexcept:
    """A piece of the input, with nothing behind it."""
    cdef char* to = c.room + (c.size - size)
    memcpy(to, c.text + start, size)
    return to


cdef inline uint32_t next_cut(Case* c, uint32_t at, Cuts cuts) noexcept:
    if cuts == WHOLE:
        return c.size
    return at + 1 + (0 if cuts == BYTES else edge_below(&c.chance, min(c.size - at, 1 + edge_below(&c.chance, 200))))


include "check_http.pxi"
include "check_json.pxi"

cdef enum Kind:
    REQUEST, RESPONSE, CHUNKED_BODY, MEMBERS, BODY, STREAM

TARGETS = {
    "request": (REQUEST, "none"), "response": (RESPONSE, "none"), "chunked": (CHUNKED_BODY, "none"),
    "members": (MEMBERS, "none"), "body-chat": (BODY, "chat"), "body-responses": (BODY, "responses"),
    "body-messages": (BODY, "messages"), "stream-chat": (STREAM, "chat"), "stream-responses": (STREAM, "responses"),
    "stream-messages": (STREAM, "messages"),
}
EDGES = EDGE_EDGES


cdef class Target:
    """A target's inputs, and the edges that they reach.

    name: one of TARGETS. seeds, words: bytes. seams: the bytes behind which a piece begins. current: a writable buffer
    that always holds the input being tried (its size as four bytes, then the bytes), for whoever finds this process
    dead. Counts: inputs, accepted, edges, kept.
    """

    cdef readonly str name
    cdef readonly uint64_t inputs, accepted
    cdef uint8_t seen[EDGE_EDGES]
    cdef edge_piece* corpus
    cdef uint32_t* good                 # those of the corpus that were accepted
    cdef edge_piece* words
    cdef uint8_t seams[256]
    cdef uint32_t n_kept, n_good
    cdef edge_draft draft
    cdef uint8_t[:] current
    cdef int kind
    cdef const Dialect* dialect
    cdef bint last_accepted
    cdef object seeds, kept_words

    def __cinit__(self, str name, list seeds, list words, bytes seams, uint8_t[:] current, uint64_t seed):
        self.name = name
        self.kind, dialect = TARGETS[name]
        self.dialect = dialect_named(dialect)
        self.seeds, self.kept_words, self.current = seeds, words, current
        self.words = <edge_piece*>calloc(len(words), sizeof(edge_piece))
        for i, word in enumerate(words):
            self.words[i] = edge_piece(word, <uint32_t>len(word))
        for byte in seams:
            self.seams[byte] = 1
        self.draft.chance = edge_chance_of(<char*>&seed, sizeof(seed))
        self.draft.seams, self.draft.words, self.draft.n_words = self.seams, self.words, <uint32_t>len(words)
        self.draft.largest = EDGE_LARGEST if self.kind == CHUNKED_BODY else 2048

    def __dealloc__(self):
        for i in range(self.n_kept):
            free(<void*>self.corpus[i].text)
        free(self.corpus)
        free(self.good)
        free(self.words)

    @property
    def kept(self):
        return self.n_kept

    @property
    def edges(self):
        """One byte for each edge, 0 where it was not reached."""
        return (<char*>self.seen)[:EDGE_EDGES]

    cdef int keep(self, const char* text, uint32_t size) except -1:
        cdef char* copy = <char*>malloc(size + 1)
        memcpy(copy, text, size)
        if self.n_kept & (self.n_kept + 1) == 0:
            self.corpus = <edge_piece*>realloc(self.corpus, (2 * self.n_kept + 2) * sizeof(edge_piece))
            self.good = <uint32_t*>realloc(self.good, (2 * self.n_kept + 2) * sizeof(uint32_t))
        self.corpus[self.n_kept] = edge_piece(copy, size)
        if self.last_accepted:
            self.good[self.n_good] = self.n_kept
            self.n_good += 1
        self.n_kept += 1
        return 0

    cdef edge_piece choose(self):
        """One of those kept: half of the time one that was accepted, a quarter one of the newest; rather a short one.
        Most changes break an input, and what is broken already shows less of its reader."""
        cdef uint32_t first = 0, i, j
        if self.n_good and edge_below(&self.draft.chance, 2):
            return self.corpus[self.good[edge_below(&self.draft.chance, self.n_good)]]
        if edge_below(&self.draft.chance, 2):
            first = self.n_kept - 1 - self.n_kept // 8
        i = first + edge_below(&self.draft.chance, self.n_kept - first)
        j = first + edge_below(&self.draft.chance, self.n_kept - first)
        if edge_below(&self.draft.chance, 4) and self.corpus[j].size < self.corpus[i].size:
            i = j
        return self.corpus[i]

    cdef const char* check(self, const char* text, uint32_t size) except? NULL:
        """What is wrong with an input, or NULL."""
        cdef Case c = Case(text, size, <char*>malloc(size), <char*>malloc(2 * size), edge_chance_of(text, size),
                           self.dialect, False)
        cdef const char* wrong = NULL
        memcpy(&self.current[0], &size, 4)
        memcpy(&self.current[4], text, size)
        if self.kind == REQUEST or self.kind == RESPONSE:
            wrong = check_head(&c, self.kind == RESPONSE)
        elif self.kind == CHUNKED_BODY:
            wrong = check_chunked(&c)
        elif self.kind == MEMBERS:
            wrong = check_scan(&c)
        elif self.kind == BODY:
            wrong = check_body(&c)
        else:
            wrong = check_stream(&c)
        self.inputs += 1
        self.accepted += c.accepted
        self.last_accepted = c.accepted
        free(c.room)
        free(c.out)
        return wrong

    def run(self, uint64_t inputs, uint32_t share):
        """Tries that many inputs. Returns those for the oracles (all that were kept, and one of `share` others) and the
        findings as (input, what is wrong)."""
        cdef const char* wrong
        cdef uint64_t end = self.inputs + inputs
        asked, found = [], []
        for seed in self.seeds:
            wrong = self.check(seed, <uint32_t>len(seed))
            if wrong != NULL:
                found.append((seed, wrong.decode()))
            edge_cover_take(self.seen)
            self.keep(seed, <uint32_t>len(seed))
            asked.append(seed)
        self.seeds = ()
        while self.inputs < end:
            edge_mutate(&self.draft, self.choose(), self.choose())
            wrong = self.check(self.draft.text, self.draft.size)
            if wrong != NULL:
                found.append((self.draft.text[:self.draft.size], wrong.decode()))
            if edge_cover_take(self.seen):
                self.keep(self.draft.text, self.draft.size)
                asked.append(self.draft.text[:self.draft.size])
            elif edge_below(&self.draft.chance, share) == 0:
                asked.append(self.draft.text[:self.draft.size])
        return asked, found

    def again(self, bytes text not None):
        """What is wrong with one input, or None."""
        cdef const char* wrong = self.check(text, <uint32_t>len(text))
        return None if wrong == NULL else wrong.decode()
