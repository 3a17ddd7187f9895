"""Usage and fate of an answer, found in passing: whole JSON bodies and event streams of three dialects."""
from libc.stdint cimport int64_t, uint8_t, uint32_t

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

cdef struct Tap:
    Usage usage
    int64_t fresh               # D_MESSAGES: input tokens that no cache had to do with
    int64_t written             # and those written to one
    uint32_t events             # whole events that carry data; pings and errors are not counted
    uint8_t dialect
    uint8_t terminal            # the dialect's last event was seen
    uint8_t error               # an error event (or error body) was seen
    Py_ssize_t data             # span in the bytes last fed: a body's error object, an error event's data;
    Py_ssize_t data_end         # always JSON, and empty (data == data_end) where the provider sent none
    Py_ssize_t scanned          # bytes of the unconsumed tail that are known to hold no whole event
    uint8_t begun               # something was consumed

cdef void tap_begin(Tap* tap, int dialect) noexcept nogil
cdef Py_ssize_t tap_events(Tap* tap, const char* buf, Py_ssize_t size) noexcept nogil
cdef int tap_body(Tap* tap, const char* buf, Py_ssize_t size) noexcept nogil
