"""Usage and fate of an answer, found in passing: whole JSON bodies and server-sent events of three dialects."""
from libc.stdint cimport int64_t, uint8_t, uint32_t

cdef enum Dialect:
    D_NONE                      # relayed as it is: nothing is looked for
    D_CHAT                      # /v1/chat/completions, /v1/completions, /v1/embeddings
    D_RESPONSES                 # /v1/responses
    D_MESSAGES                  # /v1/messages

cdef struct Usage:
    int64_t input               # tokens; -1: the provider did not say
    int64_t output
    int64_t cached              # of the input tokens, those read from a cache

cdef struct Tap:
    Usage usage
    uint32_t events
    uint8_t dialect
    uint8_t terminal            # the dialect's last event was seen
    uint8_t error               # an error event (or error body) was seen
    Py_ssize_t data             # the error object's JSON: span in the bytes last fed
    Py_ssize_t data_end

cdef void tap_begin(Tap* tap, int dialect) noexcept nogil
cdef Py_ssize_t tap_events(Tap* tap, const char* buf, Py_ssize_t size) noexcept nogil
cdef int tap_body(Tap* tap, const char* buf, Py_ssize_t size) noexcept nogil
