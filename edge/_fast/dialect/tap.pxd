"""Usage and fate of an answer, found in passing: whole JSON bodies and event streams of three dialects."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum Dialect:
    D_NONE                      # relayed as it is: nothing is looked for
    D_CHAT                      # /v1/chat/completions, /v1/completions, /v1/embeddings
    D_RESPONSES                 # /v1/responses
    D_MESSAGES                  # /v1/messages
    D_OBJECT                    # a JSON object without usage: /v1/messages/count_tokens

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

    SHAPE_ROOM = 768            # bytes of an event that others are compared with
    TYPE_ROOM = 48              # and of its type
    HOLES = 3                   # places where they may differ

cdef struct Shape:              # see tap_shape.pxi
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
    char text[SHAPE_ROOM]

cdef struct Tap:
    Usage usage
    int64_t fresh               # D_MESSAGES: input tokens that no cache had to do with
    int64_t written             # and those written to one
    uint32_t events             # whole events that carry data; pings and errors are not counted
    uint8_t dialect
    uint8_t terminal            # the dialect's last event was seen
    uint8_t error               # of an event, or of a whole body: Trouble
    uint8_t failed              # D_RESPONSES: the answer is one, and says that it has failed
    uint8_t keeps               # the provider keeps the answer: its id is wanted
    uint8_t hide                # D_CHAT: usage is read and taken out, as the client has not asked for it
    uint8_t blind               # an event too long to be held is on its way: 1, or 2 where it is the last
    uint8_t line_begun          # of such an event: where the last byte was left
    uint8_t line_cr
    uint8_t begun               # something was consumed
    uint8_t stopped             # D_MESSAGES: the message has its stop_reason
    uint8_t choices             # D_CHAT: how many were asked for; 0: one
    uint8_t name_size
    char name[NAME_ROOM]        # D_RESPONSES: the response's id, as JSON without its quotes
    uint64_t made               # with keeps: hash_of() the answer's id; 0: none has come
    int64_t sequence            # and the number of its last event; -1: none has one
    uint64_t seen               # D_CHAT: choices that have begun, by index,
    uint64_t finished           # and those that have said why they end
    uint64_t passed             # bytes before the first event, or of an event that is passed on unread
    uint64_t bytes              # of all events' data, and of the shortest one: what is more is text, by and large
    uint64_t least
    Py_ssize_t kept             # bytes to relay of those consumed last: fewer where usage was taken out
    Py_ssize_t data             # span in the bytes last fed: a body's error object, an error event's data;
    Py_ssize_t data_end         # always JSON, and empty (data == data_end) where the provider sent none
    Py_ssize_t scanned          # bytes of the unconsumed tail that are known to hold no whole event
    Shape shape

cdef void tap_begin(Tap* tap, int dialect) noexcept nogil
cdef Py_ssize_t tap_events(Tap* tap, const char* buf, Py_ssize_t size) noexcept nogil
cdef bint tap_blind(Tap* tap, const char* buf, Py_ssize_t size) noexcept nogil
cdef Py_ssize_t tap_skip(Tap* tap, const char* buf, Py_ssize_t size) noexcept nogil
cdef bint tap_is_whole(const Tap* tap) noexcept nogil
cdef int tap_body(Tap* tap, const char* buf, Py_ssize_t size, bint more) noexcept nogil
cdef void tap_tail(Tap* tap, const char* buf, Py_ssize_t size) noexcept nogil
