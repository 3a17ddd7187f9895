"""The private surface of the data plane: who holds what. One translation unit, a file per stage (see gateway.pyx)."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from posix.uio cimport iovec

from .chunk cimport Chunked
from .head cimport Head
from .scan cimport MAX_NAMES, Member, Names
from .slab cimport Bucket, Series, Slab, Worker
from .tap cimport Tap

cdef enum:
    MAX_ROUTES = 32
    ID_ROOM = 64

cdef class Window:              # what get_buffer hands out: a place to read into
    cdef char* at
    cdef Py_ssize_t size

cdef class Store:               # bytes that grow; the one owner of its memory
    cdef char* at
    cdef Py_ssize_t size
    cdef Py_ssize_t room
    cdef int reserve(self, Py_ssize_t more) except -1
    cdef int append(self, const char* data, Py_ssize_t size) except -1

cdef class Peer:                # one connection of either side
    cdef object transport
    cdef int fd                 # -1: through the transport only (TLS, or closed)
    cdef bint queued            # bytes wait in the transport
    cdef bint paused            # the transport asks us to write no more
    cdef int write(self, iovec* parts, int count) except -1
    cdef int write_bytes(self, bytes data) except -1
    cdef int attach(self, object transport) except -1
    cdef int hang_up(self) except -1
    cdef int abort(self) except -1

cdef struct Check:              # of one member of a request's body
    uint16_t kinds              # bit 1 << Kind
    uint8_t required
    double low
    double high

cdef class Route:
    cdef readonly str name
    cdef readonly str expected          # words for the types of each member, in order, for messages
    cdef int index
    cdef int surface                    # index into Gateway.templates
    cdef int dialect
    cdef bint json
    cdef bint open_to_all
    cdef object own                     # callable of a route that the gateway answers itself
    cdef Target target                  # of a relayed path
    cdef int unrouted                   # series of requests that end before they have a target
    cdef Names names
    cdef tuple words
    cdef int model_at
    cdef int stream_at
    cdef Check checks[MAX_NAMES]

cdef class Tenant:
    cdef readonly str name
    cdef bytes digest
    cdef Bucket* bucket
    cdef bint disabled
    cdef double expires
    cdef uint64_t scopes
    cdef object allows                  # callable(model name) -> bool, or None: all
    cdef dict allowed                   # what it said, by name

cdef class Target:
    cdef Pool pool
    cdef bytes model                    # the model's name there, as JSON; None: as asked
    cdef int series[MAX_ROUTES]

cdef class Model:
    cdef readonly str name
    cdef tuple targets                  # by surface: tuple of Target

cdef class Pool:                        # connections to one provider
    cdef readonly object provider       # catalogue.Provider
    cdef readonly str name
    cdef Gateway gateway
    cdef int surface
    cdef bytes base                     # path before the route's
    cdef int strip                      # bytes of the route's path that base already has
    cdef tuple heads                    # by provider key: the head's fixed part, behind the request target
    cdef int next_head
    cdef list idle
    cdef object waiting                 # deque of Exchange
    cdef int opening
    cdef int total
    cdef bint retired
    cdef int64_t first_byte_ns
    cdef int64_t idle_ns
    cdef int64_t total_ns
    cdef int64_t keep_ns
    cdef int acquire(self, Exchange x) except -1
    cdef int release(self, Upstream upstream) except -1
    cdef int serve(self) except -1
    cdef int forget(self, Upstream upstream) except -1

cdef class Exchange:                    # one request's way
    cdef Gateway gateway
    cdef Downstream downstream
    cdef Upstream upstream
    cdef Route route
    cdef Tenant tenant
    cdef Target target
    cdef tuple targets
    cdef int attempt
    cdef int redialled
    cdef Series* series
    cdef uint8_t state
    cdef uint8_t mode
    cdef uint8_t method
    cdef uint8_t minor
    cdef uint8_t keep_alive
    cdef uint8_t chunked                # the request's body
    cdef uint8_t framing                # of the answer to the client
    cdef uint8_t stream
    cdef uint8_t head_sent
    cdef uint8_t limited
    cdef uint8_t counted
    cdef int surface
    cdef int status
    cdef int condition
    cdef int64_t length                 # of the request's body; -1: chunked
    cdef int64_t answer_length
    cdef bytes line                     # request target as the client sent it
    cdef bytes relayed                  # the client's fields that go on
    cdef bytes fields                   # the provider's fields that go on
    cdef Store body
    cdef Store held
    cdef bytes tail                     # of a stream: an event's beginning
    cdef Chunked inbound
    cdef Tap tap
    cdef Py_ssize_t model_start
    cdef Py_ssize_t model_end
    cdef list values                    # what the words of a refusal name
    cdef char request_id[ID_ROOM]
    cdef int request_id_size
    cdef int64_t started
    cdef int64_t sent
    cdef int64_t first_byte
    cdef int64_t overhead
    cdef int64_t deadline               # of all of it
    cdef int64_t retry_after_ms

cdef class Downstream(Peer):
    cdef Gateway gateway
    cdef Exchange exchange
    cdef bytes pending
    cdef int64_t deadline
    cdef int64_t skip                   # bytes of a refused request's body
    cdef bint lingering
    cdef bint consuming
    cdef bint stopped                   # reading is paused: too much is pipelined
    cdef bint into_body(self, Exchange x) noexcept
    cdef int consume(self, const char* buf, Py_ssize_t size) except -1
    cdef int resume(self) except -1
    cdef int linger(self) except -1
    cdef int expired(self) except -1

cdef class Upstream(Peer):
    cdef Pool pool
    cdef Exchange exchange
    cdef bytes pending                  # of a head
    cdef Chunked inbound
    cdef uint8_t framing
    cdef uint8_t keep_alive
    cdef uint8_t answering              # the head has been read
    cdef uint8_t ended
    cdef uint8_t reading_paused
    cdef bint used
    cdef int64_t left                   # of a body with a length
    cdef int64_t idle_since
    cdef int send(self, Exchange x) except -1
    cdef int feed(self, char* buf, Py_ssize_t size) except -1
    cdef int body(self, char* buf, Py_ssize_t size) except -1
    cdef int closed(self, str reason) except -1
    cdef int answer_closed(self, Exchange x, Pool pool, str reason) except -1
    cdef int pause_reading(self) except -1
    cdef int resume_reading(self) except -1

cdef class Gateway:
    cdef readonly object loop
    cdef readonly Slab slab
    cdef readonly int index
    cdef Worker* counts
    cdef Bucket* bucket
    cdef Head head                      # of the request being parsed
    cdef Head answer                    # of the answer being parsed
    cdef Member members[MAX_NAMES]
    cdef char* inbox
    cdef char* outbox
    cdef char* scratch
    cdef Window window
    cdef int64_t now
    cdef uint64_t random
    cdef set connections
    cdef readonly bint draining
    cdef bint bearer_only
    cdef bint debug
    cdef dict routes                    # path -> Route
    cdef tuple prefixes                 # (path prefix, Route)
    cdef dict models
    cdef object resolve                 # callable(name) -> Model or None, for patterns
    cdef dict tenants                   # digest -> Tenant
    cdef dict known                     # key -> Tenant, once its digest was looked up
    cdef object digest
    cdef list templates                 # by surface, by condition
    cdef tuple native                   # by surface: the contract is the dialect's own
    cdef frozenset owned                # fields that the configuration sets
    cdef readonly dict pools
    cdef object connect                 # callable(pool)
    cdef object report                  # callable(dict), or None
    cdef object bounds
    cdef int64_t head_ns
    cdef int64_t body_ns
    cdef int64_t keep_ns
    cdef int64_t max_body
    cdef size_t max_head
    cdef size_t max_target
    cdef int max_connections
    cdef int queue
    cdef bytes date
    cdef int64_t date_until
    cdef list status_lines
    cdef object fault                   # callable(exception, request id): to the log
    cdef int log_fault(self, object error, object request_id) except -1
