"""Usage and fate of an answer, found in passing: whole JSON bodies and event streams of three dialects."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from edge._fast.json.scan cimport Member

cdef struct Text:
    const char* text            # NULL: there is none
    Py_ssize_t size

cdef struct Event:
    Text type                   # of its `event:` line
    Text data                   # of its `data:` lines, joined where there is more than one
    unsigned seen               # its line names a finish_reason
    uint32_t lines              # `data:` lines
    Text cut                    # usage, where it is to be taken out

cdef enum Says:                 # what an event says; bits
    NOTHING = 0
    SAYS_USAGE = 1
    SAYS_LAST = 2
    SAYS_ERROR = 4
    SAYS_NOTHING_READABLE = 8
    SAYS_FAILED = 16            # the last event of a response that has failed
    SAYS_BEGUN = 32             # a response's first, which has its id
    SAYS_USAGE_ALONE = 64       # a chat chunk that would not be there without include_usage

cdef struct Sign:               # an event's type, and what it says by it
    Text type
    int says

cdef struct Tap

cdef enum Fate:                 # of a whole answer
    GOOD
    FAILED                      # it is an answer, and says that it has failed
    AN_ERROR                    # it is none

cdef struct Dialect:            # what answers are made of, and the codec that reads them: see dialects.pxi
    const char* name
    bint judged                 # they have a form, which they are held to; else they are relayed as they are
    bint has_tokens             # they are made of them, and tell their usage
    bint numbered               # events have a number, and the one that ends in trouble has the next
    bint mark                   # the last event is a mere mark: alone it is no answer
    Text last                   # it is added where nothing else is missing; none: it would have something to say
    const Sign* signs           # types of events that say something, beside `error`; none: each is looked into
    int n_signs
    int (*judge)(Tap* tap, Event* event) noexcept nogil                 # what an event says: Says
    void (*heed)(Tap* tap, const char* text, const Member* members, int said) noexcept nogil    # the rest of a typed
    void (*count)(Tap* tap, const char* buf, const Member* members) noexcept nogil      # what a usage object says
    int (*fate)(const char* buf, const Member* members) noexcept nogil  # of a whole answer
    bint (*is_whole)(const Tap* tap) noexcept nogil                     # nothing but the last event is missing

cdef struct Usage:              # as the provider counts: Anthropic's input leaves the cached tokens out
    int64_t input               # tokens; -1: the provider did not say
    int64_t output
    int64_t cached              # of the input tokens, those read from a cache

cdef enum Trouble:              # of Tap.error
    T_NONE
    T_SAID                      # the provider says that it has failed
    T_UNREADABLE                # an event's data is no JSON object

cdef enum:
    NAME_ROOM = 64              # bytes of a response's id that are remembered
    SHAPE_MAX = 768             # bytes of an event that others are compared with
    TYPE_ROOM = 48              # and of its type
    HOLES = 3                   # places where they may differ

cdef struct Shape:              # see tap_shape.pxi; in memory of its own, which streams alone have, its text behind it
    uint16_t room               # for text
    uint16_t size               # of text; 0: there is none
    uint16_t starts[HOLES]      # of the text or number there, and its end
    uint16_t ends[HOLES]
    uint16_t cut                # where usage stands that is to be taken out
    uint16_t cut_size
    uint8_t numbers[HOLES]
    uint8_t holes
    uint8_t known               # else it is an example alone
    uint8_t wait                # events to let pass before something is learnt
    uint8_t patience            # how many that were the last time
    uint8_t type_size
    char type[TYPE_ROOM]

cdef struct Tap:
    Usage usage
    int64_t fresh               # messages: input tokens that no cache had to do with
    int64_t written             # and those written to one
    uint32_t events             # whole events that carry data; pings and errors are not counted
    const Dialect* dialect
    uint8_t terminal            # the dialect's last event was seen
    uint8_t error               # of an event, or of a whole body: Trouble
    uint8_t failed              # the answer is one, and says that it has failed
    uint8_t keeps               # the provider keeps the answer: its id is wanted
    uint8_t hide                # usage is read and taken out, as the client has not asked for it
    uint8_t blind               # an event too long to be held is on its way: 1, or 2 where it is the last
    uint8_t line_begun          # of such an event: where the last byte was left
    uint8_t line_cr
    uint8_t begun               # something was consumed
    uint8_t stopped             # messages: the message has its stop_reason
    uint8_t choices             # chat: how many were asked for; 0: one
    uint8_t name_size
    char name[NAME_ROOM]        # responses: the id, as JSON without its quotes
    uint64_t made               # with keeps: hash_of() the answer's id; 0: none has come
    int64_t sequence            # and the number of its last event; -1: none has one
    uint64_t seen               # chat: choices that have begun, by index,
    uint64_t finished           # and those that have said why they end
    uint64_t passed             # bytes before the first event, or of an event that is passed on unread
    uint64_t bytes              # of all events' data, and of the shortest one: what is more is text, by and large
    uint64_t least
    Py_ssize_t kept             # bytes to relay of those consumed last: fewer where usage was taken out
    Py_ssize_t data             # span in the bytes last fed: a body's error object, an error event's data;
    Py_ssize_t data_end         # always JSON, and empty (data == data_end) where the provider sent none
    Py_ssize_t scanned          # bytes of the unconsumed tail that are known to hold no whole event
    Shape* shape                # NULL: nothing was learnt

cdef const Dialect* dialect_named(object name) except NULL
cdef void tap_begin(Tap* tap, const Dialect* dialect) noexcept nogil
cdef void tap_end(Tap* tap) noexcept nogil
cdef Py_ssize_t tap_events(Tap* tap, const char* buf, Py_ssize_t size) noexcept nogil
cdef bint tap_blind(Tap* tap, const char* buf, Py_ssize_t size) noexcept nogil
cdef Py_ssize_t tap_skip(Tap* tap, const char* buf, Py_ssize_t size) noexcept nogil
cdef bint tap_is_whole(const Tap* tap) noexcept nogil
cdef int tap_body(Tap* tap, const char* buf, Py_ssize_t size, bint more) noexcept nogil
cdef void tap_tail(Tap* tap, const char* buf, Py_ssize_t size) noexcept nogil
