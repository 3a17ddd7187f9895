"""Strict HTTP/1.1 heads (RFC 9112) as spans into the receive buffer: no object per field."""
from libc.stdint cimport int16_t, int64_t, uint8_t, uint16_t, uint32_t

from .writer cimport Writer

cdef enum:
    MAX_FIELDS = 128
    MAX_NAME = 256              # bytes of one field name; more is 431
    MAX_METHOD = 32             # bytes of a method (the longest registered has 17); more is 400
    MAX_NOMINATED = 32          # fields that Connection may nominate; more is 431

cdef enum HeadResult:
    HEAD_DONE = 1
    HEAD_MORE = 0
    HEAD_BAD = -1               # 400: anything RFC 9112 forbids, or leaves open to two readings
    HEAD_LARGE = -2             # 431: over the size limit, or more than MAX_FIELDS fields
    HEAD_TARGET_LONG = -3       # 414
    HEAD_VERSION = -4           # 505: not HTTP/1.0 or HTTP/1.1
    HEAD_CODING = -5            # 501: a known transfer coding beneath chunked
    HEAD_PROXY = -6             # 400: there is no PROXY header before it, where one must be

cdef enum Method:
    M_OTHER, M_GET, M_HEAD, M_POST, M_PUT, M_DELETE, M_PATCH, M_OPTIONS

cdef enum:                      # fields that the gateway itself reads; Head.known is indexed by these
    K_OTHER, K_HOST, K_CONTENT_LENGTH, K_TRANSFER_ENCODING, K_CONNECTION, K_CONTENT_TYPE, K_CONTENT_ENCODING
    K_EXPECT, K_AUTHORIZATION, K_X_API_KEY, K_X_REQUEST_ID, K_TRACEPARENT, K_ANTHROPIC_VERSION
    K_STAINLESS_RETRY_COUNT, K_LOCATION, K_API_KEY, K_DATE, K_BETA, K_ORIGIN, K_UPGRADE, K_CACHE_CONTROL
    K_X_ACCEL_BUFFERING, K_X_FORWARDED_FOR, K_DROPPED, N_KNOWN

cdef struct Field:
    uint32_t name
    uint32_t value
    uint32_t value_len
    uint16_t name_len
    uint8_t known
    uint8_t relay               # an end-to-end field that goes on to the other side

cdef struct Head:
    uint32_t size               # bytes of the head, its last empty line included
    uint8_t method
    uint8_t minor               # HTTP/1.minor
    uint8_t keep_alive
    uint8_t chunked
    uint8_t expect_continue
    uint8_t has_body            # false: responses 1xx, 204, 304 or to HEAD; requests without or of length 0
    uint16_t status
    uint16_t n_fields
    uint32_t path               # path without query
    uint32_t path_len
    uint32_t query              # query with its '?', length 0 when there is none
    uint32_t query_len
    int64_t content_length      # -1: none given
    int16_t known[N_KNOWN]      # index into fields, -1: absent
    uint32_t method_at          # the method as sent
    uint16_t method_len
    uint8_t options             # private: what Connection said, see head.pyx
    uint8_t nominated           # private: how many fields Connection nominated
    Field fields[MAX_FIELDS]

cdef int parse_request(const char* buf, size_t size, size_t max_size, size_t max_target,
                       Head* head) noexcept nogil
cdef int parse_response(const char* buf, size_t size, size_t max_size, bint to_head,
                        Head* head) noexcept nogil
cdef void write_relayed(const char* buf, const Head* head, Writer* out) noexcept nogil
cdef int field_number(bytes name) except -1
cdef bint is_token(uint8_t byte) noexcept nogil
