"""The private surface of the data plane: who holds what. One translation unit, a file per stage (see gateway.pyx)."""
cimport cython
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from posix.uio cimport iovec

from .dialect.tap cimport Dialect, Tap
from .http.address cimport Address, Networks
from .http.chunk cimport Chunked
from .http.head cimport Head
from .http.multipart cimport Form
from .json.scan cimport MAX_NAMES, Member, Names, Scan
from .shared.cache cimport Cache
from .shared.health cimport Rules
from .shared.journal cimport Journal
from .shared.slab cimport (
    MOST_LIMITS, N_OUTCOMES, N_PARTIES, N_SOURCES, Board, Bucket, Fleet, Health, Load, Row, Series, Slab, Strain,
    Worker,
)

cdef enum:
    MAX_ROUTES = 32
    ID_ROOM = 64

include "io/peers.pxi"

cdef struct Trace:                      # which trace a request belongs to (W3C Trace Context)
    uint64_t high
    uint64_t low                        # both 0: to none
    uint64_t parent                     # its caller's span; 0: it has none
    uint64_t span                       # its own; 0: nobody is told of it
    uint8_t flags

include "way/tables.pxi"

cdef class Queue:
    cdef tuple rows
    cdef int count
    cdef int push(self, Exchange x) except -1
    cdef Exchange out(self, Exchange x)
    cdef Exchange pop(self, bint used)
    cdef Exchange late(self, int64_t since)
    cdef list shut_off(self)
    cdef Exchange outranked(self, int priority)
    cdef int remove(self, Exchange x) except -1

cdef class Pace:                        # by kind: plain answers, streams
    cdef double recent[2]
    cdef double usual[2]
    cdef double managed[2]              # requests at once
    cdef int64_t seen[2]
    cdef int learn(self, int kind, double value, int crowd, int64_t span) noexcept
    cdef double lateness(self, int kind) noexcept

cdef class Pool(Job):                   # connections to one provider
    cdef readonly object provider       # snapshot.Provider
    cdef readonly str name
    cdef Gateway gateway
    cdef bytes base                     # path before the route's
    cdef bytes query                    # from its ? on, before the client's; b"": there is none
    cdef int index                      # in the shared memory
    cdef int strip                      # bytes of the route's path that base already has
    cdef tuple secrets                  # what must not be repeated: keys, values of configured fields
    cdef tuple heads                    # by provider key: the head's fixed part, behind the request target
    cdef int keys
    cdef int next_key
    cdef tuple targets                  # that lead here
    cdef list idle                      # the one used last is the next to be used
    cdef list ending                    # their answers are complete, but not their framing
    cdef Queue waiting
    cdef list outranked                 # no longer among them: others with a higher priority have their places
    cdef Load* load                     # where others see these three: active, waiting, limit,
    cdef Load shown                     # and what of it is this pool's: one that it has replaced may be there too
    cdef uint64_t version               # the last version of the configuration that it was part of
    cdef int active                     # requests that have a connection
    cdef int limit                      # how many may have
    cdef double grown                   # part of one more
    cdef int64_t lowered                # when the limit was
    cdef int64_t calm_since             # nobody has waited
    cdef Pace pace
    cdef int64_t learnt
    cdef double trouble                 # share of recent answers that told of too much work
    cdef double blamed                  # the pace for which the limit was lowered,
    cdef int blamed_kind
    cdef int trial                      # and answers until it is seen whether that was right; 0: it is not in question
    cdef int trial_size
    cdef double trial_sum
    cdef int64_t rekeyed                # since when it has these keys
    cdef bint misplaced                 # that base_url looks wrong was said
    cdef bint asks_usage
    cdef bint adaptive
    cdef int opening
    cdef int total
    cdef int max_connections
    cdef int max_idle
    cdef bint retired
    cdef int64_t first_byte_ns
    cdef int64_t idle_ns
    cdef int64_t plain_ns
    cdef int64_t total_ns
    cdef int64_t keep_ns
    cdef int acquire(self, Exchange x) except -1
    cdef bint is_blocked(self) noexcept
    cdef bint is_full(self, Exchange x) noexcept
    cdef int release(self, Upstream upstream) except -1
    cdef int prune(self, int64_t since) except -1
    cdef Upstream take(self)
    cdef int drop(self, Upstream upstream) except -1
    cdef int forget(self, Upstream upstream) except -1
    cdef int await_end(self, Upstream upstream) except -1
    cdef int keep(self, Upstream upstream, list among) except -1
    cdef int unopened(self, int condition, str reason) except -1
    cdef int spoilt(self, Upstream upstream, object error) except -1

cdef class Scanning:                    # of a body that is not all there yet
    cdef Scan scan
    cdef Member members[MAX_NAMES]
    cdef int result
    cdef Py_ssize_t where
    cdef int go_on(self, Store body, bint more) noexcept


@cython.final
cdef class Exchange:                    # one request's way
    cdef Gateway gateway
    cdef Downstream downstream
    cdef Upstream upstream
    cdef Route route
    cdef Tenant tenant
    cdef int64_t epochs[N_SOURCES]      # of the directory: buckets that were freed since may be its tenant's
    cdef tuple plan                     # targets by priority
    cdef Target target                  # of this attempt
    cdef uint64_t tried                 # bits of the plan
    cdef uint64_t session               # hash of the client's own; 0: none
    cdef int attempts
    cdef int most_retries
    cdef int key                        # of the provider's
    cdef uint64_t tried_keys            # bits of them
    cdef int redialled
    cdef int64_t probe                  # this attempt is the target's one probe, by this word; 0: it is none
    cdef bint retrying                  # it is a further one
    cdef int crowd                      # requests at the provider when this one was sent
    cdef int64_t queued                 # since when it waits in the pool's queue; 0: it does not
    cdef Target next                    # of the next attempt, where one is to be; None: the same
    cdef int64_t pause                  # ns until then
    cdef int64_t due                    # when that is; 0: none is put off
    cdef int64_t soonest                # when the first of all targets asked wants to be asked again; 0: none has said
    cdef int64_t paused                 # ns of all pauses before further attempts
    cdef uint16_t upstream_status       # of the last attempt; 0: there was none
    cdef uint8_t provider_id_size
    cdef char provider_id[ID_ROOM]      # the provider's own for the request
    cdef uint8_t advice                 # the provider's x-should-retry
    cdef Series* series
    cdef uint8_t state
    cdef uint8_t mode
    cdef uint8_t method
    cdef uint8_t minor
    cdef uint8_t keep_alive
    cdef uint8_t chunked                # the request's body
    cdef uint8_t framing                # of the answer to the client
    cdef uint8_t stream
    cdef uint8_t asks_usage             # of the provider, and not for the client
    cdef uint8_t keeps                  # the provider keeps the answer, and others like it may be asked for it
    cdef uint8_t choices                # that were asked for; 0: one
    cdef uint8_t head_sent
    cdef uint8_t limited
    cdef uint8_t counted
    cdef Surface surface
    cdef int status
    cdef int condition
    cdef int64_t length                 # of the request's body; -1: chunked
    cdef int64_t unread                 # bytes to come of a body that is not held: it goes on, or nobody wants it
    cdef uint8_t beta                   # the client asks for something that its provider may refuse our key for
    cdef uint8_t dated                  # the answer brings a date
    cdef uint8_t undone                 # the answer, which is none, shows that the provider has not done the work
    cdef uint8_t unseen                 # nothing of the answer's body has shown yet what it is
    cdef uint8_t closed                 # of long JSON: the last byte that came is a closing brace
    cdef uint8_t spent                  # some of it has gone on: it cannot be sent again
    cdef uint8_t expects                # the client waits for leave to send its body
    cdef uint8_t unsynced               # where its next request begins is not known: the connection ends with this one
    cdef uint8_t verbatim               # where it is refused, the provider's own words are the answer
    cdef uint8_t told                   # the provider has said itself what is wrong,
    cdef uint8_t doubtful               # and it may be about what was asked for, where it refuses our key
    cdef int64_t answer_length
    cdef bytes line                     # request target, its path as the route has it
    cdef bytes deployment               # the model, where an Azure client's path names it
    cdef uint8_t azure                  # the path is one of Azure's clients
    cdef bytes relayed                  # the client's fields that go on
    cdef bytes fields                   # the provider's fields that go on
    cdef Store body
    cdef bytes origin                   # of a page that may read the answer
    cdef str coding                     # what it came in; None: nothing
    cdef Store coded                    # while it is decoded, the body as it came
    cdef object decoding                # its pieces to come
    cdef Py_ssize_t scan_at             # how much of the body must be there for it to be read on
    cdef Scanning scanning
    cdef Store held
    cdef Store copy                     # of a relayed answer: what has gone on and may hold ids
    cdef uint64_t missed                # bits of the route's makers: they do not have what is asked for
    cdef Store tail                     # of a stream: an event's beginning
    cdef Chunked inbound
    cdef Trace trace                    # that it belongs to
    cdef int64_t attempted              # when the last attempt began
    cdef bytes trail                    # attempts that have failed, as the access log has them; None: none has
    cdef int64_t passed_on              # bytes of the answer's body that have gone on
    cdef Tap tap
    cdef bytes usage                    # what asks for usage, in the place of these bytes; None: nothing need be asked
    cdef Py_ssize_t usage_start
    cdef Py_ssize_t usage_end
    cdef int64_t said                   # when the client of a stream got something last
    cdef uint8_t reads                  # how the body is read
    cdef uint8_t legible                # of a relayed one: its members were read
    cdef uint8_t place                  # what of the body is the model's name: see request.pxi
    cdef uint8_t empty                  # it has no members beside what is put in
    cdef Form form                      # of a form
    cdef bytes asked                    # the model, as the client calls it
    cdef tuple others                   # and those that a provider may take in its place, where the body has some
    cdef Model model                    # what is known of it
    cdef Py_ssize_t model_start
    cdef Py_ssize_t model_end
    cdef object details                 # of the provider's own error inside its answer
    cdef bytes fill                     # a member's default; None: none is put in
    cdef Py_ssize_t fill_start
    cdef Py_ssize_t fill_end
    cdef list values                    # what the words of a refusal name
    cdef char request_id[ID_ROOM]
    cdef Address client                 # who asks; behind trusted proxies, who they say
    cdef int request_id_size
    cdef int64_t started
    cdef int64_t sent
    cdef int64_t first_byte
    cdef int64_t overhead
    cdef int64_t deadline               # of all of it
    cdef int64_t allowed                # ns that this deadline gives
    cdef int64_t retry_after_ms
    cdef Prices prices                  # of its model; None: it costs nothing
    cdef uint8_t caching                # of the cache, what it wants: see Use in cache.pxi
    cdef bint hit                       # its answer was there
    cdef bytes marks                    # fields that change what a provider answers,
    cdef bytes digest                   # and what the answer is called in the cache
    cdef Exchange leader                # whose answer it awaits; None: nobody's
    cdef dict followers                 # who await its own; None: nobody may
    cdef Store gathered                 # what has gone out of a stream that will be kept
    cdef bint billed                    # its account has so many points reserved for it
    cdef int64_t points
    cdef Journal journal                # where what it has cost will stand
    cdef Limits model_limits            # what was taken from,
    cdef Limits gateway_limits          # with the key's
    cdef int binding                    # bucket of the limit that has refused it; -1: none has
    cdef bint binding_shared
    cdef uint8_t crowded                # it is one of concurrent requests
    cdef uint8_t placed                 # the request has not given back its places under those
    cdef uint8_t untaken                # bits of the owners from whose limits it has taken nothing, and who let it pass
    cdef uint64_t alone                 # and of the limits that let it pass without Redis's word
    cdef uint64_t passed                # and of them those from which it has taken nothing
    cdef int64_t drawn_by               # until then it waits for what its limits lack; 0: it has not missed anything
    cdef int64_t admitted               # when
    cdef int64_t reserved_input
    cdef int64_t reserved_output
    cdef int64_t likely_output          # for points: as long where it does not say how long its answer may be
    cdef uint8_t lasting                # the provider goes on with it when the client has left
    cdef int drive(self, int event, int number, char* data, Py_ssize_t size, object words) except -1
    cdef int move(self, int verdict) except -1
    cdef int refuse(self, int condition) noexcept
    cdef int fail(self, int condition, object reason) except -1
    cdef int say(self, int slot, object value) except -1

cdef class Listener(Peer):
    cdef object sock
    cdef int reserve            # a descriptor kept for the day when there is no other
    cdef bint starved           # the kernel had no memory for a connection: asked again at the next tick
    cdef int take(self, bint last) except -2
    cdef int serve(self, int fd, Address client, bint last) except -1

cdef class Downstream(Peer):
    cdef Exchange exchange
    cdef Store pending
    cdef int64_t due                    # when what it awaits must have come
    cdef uint8_t why                    # what that is: see timers.pxi
    cdef Py_ssize_t used                # of the bytes that a stage was given
    cdef Address peer                   # who has connected
    cdef bint counted                   # among the connections of its address
    cdef bint unproven                  # a PROXY header has yet to tell whose it is
    cdef bint stuck                     # the client takes too little of its answer
    cdef int64_t skip                   # bytes of a refused request's body
    cdef uint64_t version               # of the configuration that the rest was looked up in
    cdef Route route                    # what this client asked for last time, as it mostly does again
    cdef Tenant tenant
    cdef Model model
    cdef bytes key
    cdef bytes model_name
    cdef bint lingering
    cdef bint consuming
    cdef int begin_service(self, Address client) except -1
    cdef int count_address(self) except -1
    cdef int introduce(self, char* buf, Py_ssize_t size) except -1
    cdef bint into_body(self, Exchange x) noexcept
    cdef int consume(self, char* buf, Py_ssize_t size) except -1
    cdef int keep_rest(self, const char* buf, Py_ssize_t size) except -1
    cdef int begin(self, char* buf, Py_ssize_t size) except -1
    cdef int set_timer(self, int why, int64_t limit) except -1
    cdef int await_next(self) except -1
    cdef int sever(self) except -1
    cdef bint is_full(self) noexcept
    cdef bint is_stuck(self) noexcept
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
    cdef uint8_t heads                  # so many have come, interim ones included
    cdef uint8_t ended
    cdef bint used
    cdef bint ending                    # its answer is complete, but not its framing
    cdef readonly bint joined           # the pool has counted it
    cdef int64_t left                   # of a body with a length
    cdef int64_t idle_since
    cdef int take_on(self, Exchange x) except -1
    cdef int read_answer(self, char* buf, Py_ssize_t size) except -1
    cdef int feed(self, char* buf, Py_ssize_t size) except -1
    cdef int body(self, char* buf, Py_ssize_t size) except -1
    cdef int read_end(self, const char* buf, Py_ssize_t size) except -1
    cdef bint is_quiet(self) noexcept
    cdef bint is_over(self) noexcept
    cdef bint into_held(self, Exchange x) noexcept
    cdef int join(self) except -1
    cdef int closed(self, str reason) except -1

cdef class Gateway:
    cdef readonly Slab slab
    cdef readonly int epoll
    cdef Job jobs                       # the first of those who are woken, and the last
    cdef Job last_job
    cdef bint running
    cdef Peer graves                    # peers closed in this turn: events of theirs may still be listed
    cdef readonly int index             # the stripe that it writes
    cdef Worker* counts
    cdef Journal journal                # of what requests cost
    cdef bytes store                    # which has the ledger
    cdef bint priced                    # a model has a price
    cdef bint unbooked                  # which is yet to be opened, or is another store's
    cdef object books                   # callable() -> Journal, or None: it cannot be had
    cdef int64_t worth                  # of a point, in millionths of the currency; 0: it is not told
    cdef bytes currency
    cdef Cache cache                    # None: no answer is kept
    cdef int cache_area                 # where this worker's are,
    cdef int64_t cache_ttl              # and for how many seconds
    cdef dict leaders                   # requests whose answers it will have, by what these are called
    cdef object cache_owner
    cdef object cache_name
    cdef const Board* board             # what operators say
    cdef Limits limits
    cdef Head head                      # of the request being parsed
    cdef Head answer                    # of the answer being parsed
    cdef Member members[MAX_NAMES]
    cdef char* inbox
    cdef char* outbox
    cdef char* scratch
    cdef Window window
    cdef int64_t now
    cdef int64_t looked                 # when epoll was asked last
    cdef uint64_t random
    cdef set connections
    cdef uint64_t version               # of the configuration in force
    cdef readonly bint draining
    cdef bint retiring
    cdef list listeners
    cdef bint bearer_only
    cdef dict routes                    # path -> Route
    cdef tuple prefixes                 # (path prefix, Route)
    cdef tuple paths                    # those that there are, each with its words: what a client may have meant
    cdef object named                   # callable(segment) -> the name that it spells, or None
    cdef object joined                  # callable(target, query) -> the target with a provider's query
    cdef object says_model              # callable(path) -> bool: the model in the body does the work
    cdef object is_plain                # callable(path with escapes, may hold slashes) -> bool
    cdef tuple capabilities             # names, by their bits
    cdef object interface               # callable(path) -> which known interface it is of that is not done, or None
    cdef dict models
    cdef object resolve                 # callable(name) -> Model or None, for patterns
    cdef object policy                  # callable(text of the directory) -> Policy
    cdef dict policies                  # source and number in the directory -> its version there, Policy
    cdef dict known                     # key -> Tenant, once its digest was looked up
    cdef dict parties                   # number and kind -> Tenant, likewise
    cdef int64_t generations            # of the directory when `unknown` was last emptied
    cdef int64_t rechecked              # of the directory when waiting requests' keys were looked at last
    cdef int64_t epochs[N_SOURCES]      # of the directory, at the last tick
    cdef object digest
    cdef str workspace                  # whose keys alone may come, as its row is called; None: all workspaces'
    cdef tuple surfaces                 # the first is that of requests that show none
    cdef frozenset cors                 # origins whose pages may read answers; None: there is no word of them
    cdef frozenset owned                # fields that the configuration sets
    cdef readonly dict pools
    cdef list retired                   # pools that a reload has replaced, until they are empty
    cdef object connect                 # callable(pool)
    cdef object report                  # callable(dict)
    cdef object notice                  # callable(event, dict): what was decided about an attempt or a target
    cdef object decoded                 # callable(coding, body) -> iterator of its pieces; ValueError: it is damaged
    cdef list decoding                  # requests with further pieces
    cdef object classify                # callable(status, body) -> condition, message, kind
    cdef object details                 # callable(body): status, type and code of an error inside a good answer
    cdef object ending                  # callable: what a failed stream ends with, made of the contract's event
    cdef object begun                   # callable: what `ending` needs to know of a response
    cdef object wait_ms                 # callable(fields, Unix time) -> ms until a provider wants to be asked again
    cdef list delayed                   # requests whose next attempt is put off, or that wait for what they miss
    cdef int drawing                    # how many of them do that
    cdef int64_t patience_ns            # and for how long at most
    cdef object ring                    # callable(): control is to look at the purses
    cdef dict bound                     # limits that have refused or delayed somebody, and when they did last
    cdef Rules rules                    # of circuit breakers
    cdef int max_retries
    cdef int64_t backoff_ms
    cdef int64_t max_wait_ns            # of all pauses of a request
    cdef double retry_share
    cdef int64_t queue_ns
    cdef int64_t ping_ns                # of silence in a stream; 0: nothing breaks it
    cdef int64_t ticked                 # the last tick
    cdef int64_t late                   # how late the last two of them were, the less late one
    cdef int64_t was_late
    cdef int64_t strain                 # what the host is short of, see STRAINS; 0: nothing
    cdef bytes sticky                   # the field that names a session, None: there is none
    cdef uint8_t reported[N_OUTCOMES]   # by condition: whether report() hears of it, see Report
    cdef int noted[N_OUTCOMES]          # refusals of this second that it has heard of
    cdef int64_t noted_until
    cdef uint32_t logged[N_OUTCOMES]    # by condition: the share of requests that the access log has, of 2**32
    cdef bint traced                    # a tracing backend is told of requests:
    cdef uint64_t trace_share           # of those that went well this share, of 2**32
    cdef tuple labels                   # by condition: how lines name it, and whose fault it is
    cdef char stamp[24]                 # a line's time without its fraction,
    cdef int64_t stamped                # and the second that it is of
    cdef set unknown                    # keys looked up in vain, a few
    cdef int64_t head_ns
    cdef int64_t body_ns
    cdef int64_t byte_ns                # what a byte of a body adds to its time; 0: all of it anew
    cdef Py_ssize_t least_taken         # of an answer that waits, within body_ns
    cdef int64_t keep_ns
    cdef int64_t max_body
    cdef int64_t max_upload
    cdef size_t max_head
    cdef size_t max_target
    cdef int max_connections
    cdef int max_address                # connections of one client address; 0: as many as there are
    cdef dict addresses                 # subscriber -> connections, while there is such a limit
    cdef Networks proxies               # whose word on clients' addresses counts
    cdef bint proxy_protocol            # each connection begins with a PROXY header
    cdef int queue
    cdef bytes date
    cdef int64_t date_until
    cdef list status_lines
    cdef object fault                   # callable(exception, request id): to the log
    cdef int log_fault(self, object error, object request_id) except -1
    cdef int serve(self, Peer peer, uint32_t events) except -1
    cdef uint64_t oldest(self)
    cdef int tell_epochs(self) noexcept
    cdef int recheck_waiting(self) except -1
    cdef int take_bounds(self, bounds) except -1
