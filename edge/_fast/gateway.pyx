"""The data plane of one worker: from a client's bytes to the provider and back (design: one file per stage).

    wire        the seam to the sockets             exchange    a request's states, and the one driver
    runlist     what an end sets free for others    timers      what is awaited, and until when
    downstream  the client's side                   upstream    the provider's side
    parse       bytes -> head -> body               judge       what makes an answer an answer
    paths       path -> route                       words       what a provider's body and error say
    codings     a body that comes compressed        whole       plain answers
    cors        whose pages may read answers        stream      events, and the end of a stream
    own         what the gateway answers itself     relay       the answer's way back
    tenant      key -> whose it is                  permit      what is taken of limits, and given back
    admit       what it may; limits are taken
    intent      body -> model, targets              refuse      what a client is told of a failure
    makers      ids -> the provider that made them  lines       what all heads of answers have
    route       plan x health -> target             overdue     what it means that something has not come
    forward     attempts, one after the other       failures    what they say of target and key
    load        how many a provider gets at once    account     limits are given back; counted, reported, once
    queue       who waits for it                    fields      a head's fields, read
    pool        a provider's connections            chance      numbers that need not be secret
    request     what the provider is sent           upload      a body too long to be held
    usage       tokens asked for, or estimated      ratelimit   what an answer's head says of the limits
    points      what it costs, and who pays         switches    what operators say meanwhile
    access      a line for each request that asks   catalogue   what the model is made for
    cache       answers for who asks the same again

The files are included here, so that the C compiler sees one unit: calls between stages cost nothing. Each calls
functions of those before it alone; objects are called by the methods that gateway.pxd names.
Everything runs in the thread of the worker's event loop, and a callback never waits.
"""

import os
import re
import resource
from asyncio import get_running_loop
from collections import deque
from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import urlsplit

import orjson

from .contract.render import PHRASES
from .http.multipart import boundary_of, names_model
from .shared.directory import party_digest

cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.ref cimport Py_DECREF, Py_INCREF
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.errno cimport (
    EAGAIN, EBADF, ECONNRESET, EFAULT, EINTR, EINVAL, EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOTSOCK, EPIPE, errno,
)
from libc.math cimport INFINITY, exp, log
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memchr, memcmp, memcpy, memmove, memset, strlen
from libc.time cimport gmtime, strftime, time, time_t
from posix.strings cimport strncasecmp
from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec
from posix.uio cimport iovec

from .contract.condition cimport (
    account_concurrency_limited, account_rate_limited, balance_insufficient, body_too_large, body_unreadable,
    circuit_open, client_closed, concurrency_limited, content_coding, content_type, context_length, disk_full, draining,
    endpoint_unknown, feature_disabled, field_missing, field_type, field_value, gateway_overloaded,
    global_concurrency_limited, global_rate_limited, group_concurrency_limited, group_denied, group_rate_limited,
    headers_too_large, internal_error, ip_denied, ip_not_allowed, json_invalid, key_balance_insufficient, key_disabled,
    key_expired, key_frozen, key_malformed, key_missing, key_period_limited, key_revoked, key_unavailable, key_unknown,
    key_wrong_workspace, keys_limited, maintenance, method_not_allowed, model_capability, model_concurrency_limited,
    model_denied, model_disabled, model_rate_limited, model_unknown, not_implemented, ok, out_of_memory, provider_auth,
    provider_cut, provider_disconnected, provider_error, provider_misconfigured, provider_overloaded, provider_quota,
    provider_rate_limited, provider_region, provider_rejected, provider_response_invalid, provider_stalled,
    provider_timeout, provider_unreachable, quota_exceeded, rate_limited, request_malformed, request_timeout,
    scope_missing, time_window_denied, upgrade_refused, uri_too_long, user_banned,
    version_unsupported,
)
from .contract.render cimport (
    NEVER_MS, N_SLOTS, S_EXPECTED, S_FIELD, S_FINAL, S_GOT, S_LIMIT, S_MESSAGE, S_METHOD, S_MODEL, S_PATH, S_REASON,
    S_REQUEST_ID, S_RETRY_AFTER_MS, S_TIMEOUT, S_TRACE_ID, S_UPSTREAM_REASON, S_UPSTREAM_STATUS, Template,
)
from .dialect.tap cimport (
    T_SAID, dialect_named, tap_begin, tap_blind, tap_body, tap_end, tap_events, tap_is_whole, tap_skip, tap_tail,
)
from .http.address cimport (
    PROXY_BAD, PROXY_MORE, Address, from_v4, from_v6, read_proxy, subscriber, text_of_address, trace_back,
)
from .http.chunk cimport CHUNK_BAD, CHUNK_DATA, CHUNK_END, CHUNK_MORE, chunk_begin, chunk_next
from .http.head cimport (
    HEAD_CODING, HEAD_LARGE, HEAD_MORE, HEAD_PROXY, HEAD_TARGET_LONG, HEAD_VERSION, K_API_KEY, K_AUTHORIZATION, K_BETA,
    K_CACHE_CONTROL, K_CONTENT_ENCODING, K_CONTENT_TYPE, K_DATE, K_LOCATION, K_ORIGIN, K_STAINLESS_RETRY_COUNT,
    K_TRACEPARENT, K_UPGRADE, K_X_ACCEL_BUFFERING, K_X_API_KEY, K_X_FORWARDED_FOR, K_X_REQUEST_ID, M_DELETE, M_GET,
    M_HEAD, M_OPTIONS, M_OTHER, M_PATCH, M_POST, M_PUT, Field, field_number, parse_request, parse_response,
    write_relayed,
)
from .http.multipart cimport FORM_ALIKE, FORM_OK
from .http.writer cimport Writer, put, put_byte, put_bytes, put_hex, put_number, write_into, written
from .json.scan cimport (
    ABSENT, ARRAY, FALSE_, NULL_, NUMBER, OBJECT, SCAN_ALIKE, SCAN_MORE, SCAN_OK, STRING, TRUE_, number, scan,
    scan_begin, scan_on,
)
from .shared.health cimport (
    FORCED_OPEN, HALF_OPEN, RETURNING, SHUT, back_at, bench, count_failure, drop_probe, failed, set_rules, standing,
    succeeded, take_probe, usable_key, why_benched, within_budget,
)
from .shared.atomic cimport EDGE_SEE, EDGE_SET
from .shared.balances cimport UNGRANTED, balance_find, balance_settle, balance_settled, balance_take, period_end
from .shared.cache cimport Kept, Sighting, cache_copy, cache_find, cache_put
from .shared.directory cimport directory_find, directory_policy, directory_text, is_as_found
from .shared.journal cimport (
    KEY_ROOM, MODEL_ROOM, REQUEST_ROOM, Entry, journal_add, journal_is_full, journal_next,
)
from .shared.lines cimport LINE_KEPT, LINE_LOGGED, LINE_TRACED, lines_put
from .shared.places cimport (
    ALLOTTED_MORE, PLACED, places_alone, places_ask, places_expired, places_full, places_give, places_give_up,
    places_refuse, places_take, places_take_alone,
)
from .shared.purse cimport (
    SHORT, purse_full_in, purse_left, purse_mute, purse_settle, purse_take, purse_wait, settle_alone,
    take_alone,
)
from .shared.slab cimport (
    ACCOUNT, DIGEST, FILE, GENERATION, GROUP, MAX_PROVIDER_KEYS, PARTIES, STORE, USER, WORKSPACE, bucket_charge,
    bucket_full_in, bucket_give, bucket_hold, bucket_left, bucket_limit, bucket_reserve, bucket_settle, bucket_wait,
    concurrency_give, concurrency_held, concurrency_take, hash_of, monotonic_ns, observe_long, observe_short,
    relayed_slot,
)
from .shared.switches cimport (
    SWITCHED_OFF, UNSAID, is_anything_said, maintained_for, maintained_until, switched, switched_alike,
)

cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX

cdef extern from "string.h" nogil:
    void* memmem(const void* at, size_t size, const void* wanted, size_t length)

cdef enum:
    EVENTS_MAX = 256                # events taken from epoll at once
    BUFFER = 262144                 # one read, and what is built for one write
    INTAKE = 65536                  # one read of a head
    PIPELINE_MAX = 65536            # bytes of further requests, beyond which a client is not read
    SKIP_MAX = 65536                # longest body of a refused request that is read past
    PIECE = 262144                  # bytes of a body that are scanned at a time
    RESERVE_MAX = 1048576           # of a body's length, what is made room for before any of it comes
    # What configurations may bring into BUFFER: with a client's head, or an answer's, and our own fields, it fits.
    HEAD_LIMIT = 65536              # of head_bytes
    FIXED_LIMIT = 65536             # of a request's head, what the provider's configuration gives
    LINE_LIMIT = 4096               # of an answer's field that names the target

cdef int64_t FOREVER = INT64_MAX
cdef int64_t TICK_NS = 100000000            # between two calls of tick()
cdef int64_t LINGER_NS = 2000000000
cdef int64_t TERMINAL_NS = 1000000000       # from a stream's last event to the end of its framing

# By a key's state, what is answered to who uses it.
cdef dict STATES_OF_KEYS = {
    "active": 0, "disabled": key_disabled, "frozen": key_frozen, "revoked": key_revoked, "suspended": key_unavailable,
    "exhausted": key_unavailable, "pending": key_unavailable,
}
KEY_STATES = tuple(STATES_OF_KEYS)      # by their numbers in the directory
cdef tuple METHODS = (b"OTHER", b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS")
cdef tuple KINDS = ("nothing", "null", "boolean", "boolean", "number", "string", "array", "object")
cdef dict KIND_BITS = {"null": 1 << NULL_, "boolean": 1 << TRUE_ | 1 << FALSE_, "number": 1 << NUMBER,
                       "string": 1 << STRING, "array": 1 << ARRAY, "object": 1 << OBJECT}
cdef object HOST_NAME = re.compile(r"[0-9A-Za-z.:_-]{1,253}")
cdef object UNCACHED = re.compile(rb'(?is)(?:[^"]*,)?[ \t]*no-(?:cache|store)[ \t]*(?:,[^"]*)?')    # RFC 9111 5.2.2
cdef dict REASONS = {**{status.value: status.phrase for status in HTTPStatus}, **PHRASES}

include "io/runlist.pxi"
include "io/wire.pxi"
include "way/chance.pxi"
include "way/fields.pxi"
include "way/timers.pxi"
include "way/trace.pxi"
include "way/draw.pxi"
include "way/permit.pxi"
include "way/points.pxi"
include "way/lines.pxi"
include "way/ratelimit.pxi"
include "way/queue.pxi"
include "way/load.pxi"
include "way/failures.pxi"
include "way/tenant.pxi"
include "way/admit.pxi"
include "way/switches.pxi"
include "way/catalogue.pxi"
include "way/usage.pxi"
include "way/upload.pxi"
include "way/intent.pxi"
include "way/renew.pxi"
include "way/request.pxi"
include "way/makers.pxi"
include "way/cache.pxi"
include "way/relay.pxi"
include "way/refuse.pxi"
include "way/words.pxi"
include "way/access.pxi"
include "way/whole.pxi"
include "way/stream.pxi"
include "way/account.pxi"
include "way/route.pxi"
include "way/forward.pxi"
include "way/judge.pxi"
include "way/codings.pxi"
include "way/cors.pxi"
include "way/own.pxi"
include "way/paths.pxi"
include "way/parse.pxi"
include "way/overdue.pxi"
include "way/pool.pxi"
include "way/upstream.pxi"
include "way/downstream.pxi"
include "way/exchange.pxi"


cdef class Surface:

    def __init__(self, surface, list templates, bint native, bint tells_limits):
        limits = {kind: surface.limit_headers(kind) for kind in surface.limits} if tells_limits else {}
        self.told = tuple(
            (f"{limits[kind][0]}: ".encode(), f"\r\n{limits[kind][1]}: ".encode(), f"\r\n{limits[kind][2]}: ".encode())
            if kind in limits else None for kind in KINDS_OF_LIMITS) if tells_limits else None
        self.dated = surface.dated
        self.exposed = "".join(f", {name}" for names in limits.values() for name in names).encode() + b"\r\n"
        self.limit_prefix = surface.limit_prefix.encode()
        self.name = surface.name
        self.templates = templates
        self.native = native
        self.generates = surface.generates
        self.prefix = surface.prefix
        self.has_key_header = surface.has_key_header
        self.version = -1
        if surface.version is not None:
            self.version = field_number(surface.version[0].encode())
            self.version_name = surface.version[0].encode()
            self.version_line = f"{surface.version[0]}: {surface.version[1]}\r\n".encode()


cdef class Route:

    def __init__(self, route, int index, Surface surface):
        cdef int i
        self.name = route.name
        self.path = route.path.encode()
        self.index = index
        self.surface = surface
        self.dialect = dialect_named(route.dialect)
        self.json = route.json
        self.methods = sum(1 << METHODS.index(method) for method in route.methods)
        self.allow = b"allow: %b\r\n" % b", ".join(route.methods)
        self.model_at = self.models_at = self.stream_at = self.count_at = self.keep_at = -1
        self.options_at = self.fill_at = self.drafts_at = self.prompts_at = self.lasts_at = -1
        self.asks = route.asks
        self.names = Names(tuple(rule.name for rule in route.fields))
        self.words = tuple(" or ".join(f"{'an' if kind[0] in 'ao' else 'a'} {kind}" for kind in rule.types)
                           for rule in route.fields)
        for i, rule in enumerate(route.fields):
            self.checks[i].kinds = sum(KIND_BITS[kind] for kind in rule.types)
            self.checks[i].required = rule.required
            self.checks[i].low = -INFINITY if rule.low is None else rule.low
            self.checks[i].high = INFINITY if rule.high is None else rule.high
            if rule.role == "model":
                self.model_at = i
            elif rule.role == "models":
                self.models_at = i
            elif rule.role == "stream":
                self.stream_at = i
            elif rule.role == "stream_options":
                self.options_at = i
            elif rule.role == "choices":
                self.count_at = i
            elif rule.role == "most_output":
                self.most_output |= 1 << i
            elif rule.role == "drafts":
                self.drafts_at = i
            elif rule.role == "prompts":
                self.prompts_at = i
            elif rule.role == "lasts":
                self.lasts_at = i
            elif rule.role == "keeps" or rule.role == "forgets":
                self.keep_at = i
                self.keeps = rule.role == "forgets"
            elif rule.role == "refers":
                self.refers |= 1 << i
            if rule.needs is not None:
                self.needs[i], self.signs[i] = rule.needed, SIGNS[rule.needs]
                self.may_need |= rule.needed
            if rule.default is not None:
                self.fill_at = i
                self.fill = b'"%b":%d,' % (rule.name.encode(), rule.default)
                self.fill_value = b"%d" % rule.default

    def bind(self, int unrouted, Target target=None, own=None, bint open_to_all=False, Route other=None,
             bint pinned=False):
        """What the configuration adds: series, the provider of a relayed path, or who answers here, and to whom."""
        self.unrouted = unrouted
        self.plan = (target,)
        self.pinned = pinned
        self.own = own
        self.open_to_all = open_to_all
        self.other = other
        return self

    def share(self, tuple makers):
        """Several providers answer here, and each knows its own ids alone. Where no model decides: their targets."""
        self.makers = makers
        return self


cdef class Policy:

    def __init__(self, policy, tuple takes, str outage, uint64_t scopes, allows, hours):
        self.providers = frozenset(policy.providers) if policy.providers else None
        self.takes, self.shadow, self.outage = takes, policy.minute.shadow, outage
        self.bounded, self.caches = any(policy.points), policy.cache
        self.priority = policy.priority
        self.allowed_from = Networks(policy.allowed_addresses) if policy.allowed_addresses else None
        self.denied_from = Networks(policy.denied_addresses) if policy.denied_addresses else None
        self.hours = hours
        self.scopes = scopes
        self.named = scopes if policy.scopes else 0
        self.models, self.denied_models = policy.models, policy.denied_models
        self.allows = allows
        self.allowed = {}


cdef class Tenant:
    pass


cdef class Target:

    def __init__(self, Pool pool, bytes model, list series):
        cdef int i
        self.pool = pool
        self.model = model
        self.plain = None if model is None else orjson.loads(model).encode()
        self.alone = True
        for i in range(len(series)):
            self.series[i] = series[i]

    def place(self, str name, int index, int priority, int weight):
        """Where it stands: its name for people, its health's index, and its place among others."""
        self.name = name
        visible = bytes(byte if 33 <= byte <= 126 else 63 for byte in name.encode())
        self.line = b"x-edge-target: %b\r\n" % visible
        if len(self.line) > LINE_LIMIT:
            raise ValueError("the name of a target is too long for a header")
        self.index = index
        self.health = self.pool.gateway.slab.health(index)
        self.priority = priority
        self.weight = weight
        return self


cdef class Model:

    def __init__(self, str name, dict targets, Limits limits, Prices prices=None):
        """Targets by the name of their surface, each of them by priority."""
        cdef Target target
        self.name = name
        self.prices = prices
        self.entry = self.listed = name.encode()
        self.limits = limits
        self.targets = targets
        for plan in targets.values():
            for target in plan:
                target.alone = target is plan[0] and sum(other.priority == target.priority for other in plan) == 1

    def with_traits(self, str listed, bint off, uint32_t lacks, Prices prices=None):
        """The same model as the catalogue has it: under which name, whether it is off, what it lacks (bits), its
        prices where a list has it."""
        cdef Model model = Model.__new__(Model)
        model.name, model.entry, model.targets = self.name, self.entry, self.targets
        model.limits, model.prices = self.limits, self.prices if prices is None else prices
        model.listed = listed.encode() if listed else self.entry
        model.off, model.lacks = off, lacks
        return model


cdef class Gateway:

    def __init__(self, Slab slab, int stripe, connect, log_fault):
        self.epoll = epoll_create1(EPOLL_CLOEXEC)
        if self.epoll < 0:
            raise OSError(errno, "epoll_create1")
        self.delayed = []
        self.bound = {}
        self.decoding = []
        self.leaders = {}
        self.retired = []
        self.slab = slab
        self.index = stripe
        self.connect = connect
        self.fault = log_fault
        self.counts = slab.worker(stripe)
        self.board = slab.board()
        self.listeners = []
        self.inbox = <char*>malloc(BUFFER)
        self.outbox = <char*>malloc(BUFFER)
        self.scratch = <char*>malloc(BUFFER)
        if self.inbox == NULL or self.outbox == NULL or self.scratch == NULL:
            raise MemoryError
        self.window = Window.__new__(Window)
        self.random = int.from_bytes(os.urandom(8), "little")
        self.connections = set()
        self.tell_epochs()
        self.addresses = {}
        self.pools = {}
        self.now = monotonic_ns()
        self.status_lines = [b""] * 600
        for status in range(100, 600):
            self.status_lines[status] = f"HTTP/1.1 {status} {REASONS.get(status, 'Unknown')}\r\n".encode()

    def __dealloc__(self):
        close(self.epoll)
        free(self.inbox)
        free(self.outbox)
        free(self.scratch)

    @staticmethod
    def check(tables):
        """ValueError where something would not fit into a buffer."""
        bounds = tables.bounds
        if bounds.head_bytes > HEAD_LIMIT or bounds.target_bytes > bounds.head_bytes:
            raise ValueError("the limits of a head are too high")

    def load(self, tables):
        """Takes over one version of the configuration, whole: requests on their way keep what they hold.

        ValueError, and nothing changed, where something would not fit into a buffer.
        """
        cdef int condition
        cdef Pool pool
        self.check(tables)
        self.version = tables.version
        self.routes, self.prefixes = tables.routes, tables.prefixes
        self.paths = tuple((path, frozenset(bare(path).split(b"/"))) for path in tables.known)
        self.named, self.is_plain, self.says_model = tables.named, tables.is_plain, tables.says_model
        self.models = dict(tables.models)
        self.limits = tables.limits
        self.store, self.priced, self.worth, self.currency = tables.store, tables.priced, tables.worth, tables.currency
        self.books, self.unbooked = tables.books, True
        take_cache(self, tables)
        self.resolve = tables.resolve
        self.policy, self.digest = tables.policy, tables.digest
        self.known, self.parties, self.policies = {}, {}, {}
        self.surfaces, self.capabilities, self.interface = tables.surfaces, tables.capabilities, tables.interface
        self.workspace, self.owned = tables.workspace, tables.owned
        self.cors = tables.cors
        self.bearer_only = tables.bearer_only
        self.proxies, self.proxy_protocol = tables.proxies, tables.proxy_protocol
        self.report, self.notice = tables.notes.report, tables.notes.notice
        self.ring = tables.ring
        self.patience_ns = to_ns(tables.patience)
        self.classify = tables.classify
        self.decoded, self.joined = tables.decoded, tables.joined
        self.details = tables.details
        self.ending = tables.ending
        self.begun = tables.begun
        self.wait_ms = tables.wait_ms
        set_rules(&self.rules, tables.breaker)
        self.max_retries = tables.retry.max
        self.backoff_ms = <int64_t>(tables.retry.backoff * 1000)
        self.max_wait_ns = to_ns(tables.retry.max_wait)
        self.retry_share = tables.retry.budget
        self.sticky = None if tables.sticky is None else tables.sticky.encode()
        self.unknown = set()
        for condition in range(N_OUTCOMES):
            self.reported[condition] = tables.reported.get(condition, SILENT)
            self.logged[condition] = tables.logged.get(condition, 0)
        self.labels = tables.labels
        self.traced = tables.traced is not None
        self.trace_share = 0 if tables.traced is None else <uint64_t>(tables.traced * 2.0**32)
        replaced = [pool for pool in self.pools.values() if tables.pools.get(pool.name) is not pool]
        self.retired += replaced
        self.pools = tables.pools
        for pool, provider, heads, targets in tables.leading:
            if pool.provider is not provider or pool.heads != heads:
                pool.update(provider, heads)
                wake(self, pool)                # there may be room now for who waits
            pool.targets = targets
            pool.version = tables.version
        for pool in replaced:
            pool.retire()
        self.take_bounds(tables.bounds)
        run_jobs(self)

    cdef int take_bounds(self, bounds) except -1:
        """What a client may send, and how long it may take."""
        self.head_ns = to_ns(bounds.head_timeout)
        self.body_ns = to_ns(bounds.body_timeout)
        self.byte_ns = 1000000000 // bounds.body_rate if bounds.body_rate else 0
        self.least_taken = max(1, int(bounds.body_rate * bounds.body_timeout))
        self.keep_ns = to_ns(bounds.keep_alive)
        self.max_body = bounds.body_bytes
        self.max_upload = max(bounds.body_bytes, bounds.upload_bytes)
        self.max_head = bounds.head_bytes
        self.max_target = bounds.target_bytes
        self.max_connections = bounds.connections
        self.max_address = bounds.address_connections
        limit_memory(bounds.memory_bytes)
        self.queue = bounds.queue
        self.ping_ns = to_ns(bounds.keepalive)
        self.queue_ns = to_ns(bounds.queue_timeout) or FOREVER
        return 0

    def listen(self, sock):
        """Takes clients from a listening socket from now on."""
        self.listeners.append(Listener(self, sock))

    def turn(self):
        """The epoll set has events: all of them, one batch after the other while there are any."""
        cdef epoll_event events[EVENTS_MAX]
        cdef Peer peer
        cdef int count = EVENTS_MAX, i, rounds = 0
        while count > 0 and rounds < 16:
            count = epoll_wait(self.epoll, events, EVENTS_MAX, 0)
            rounds += 1
            self.looked = self.now = monotonic_ns()     # `now` again behind each write, the one thing that takes long
            for i in range(count):
                peer = <Peer>events[i].data.ptr
                if type(peer) is Upstream and (<Upstream>peer).exchange is None:
                    self.serve(peer, events[i].events)      # it is idle: before somebody takes it
            for i in range(count):
                self.serve(<Peer>events[i].data.ptr, events[i].events)
            bury(self)

    cdef int serve(self, Peer peer, uint32_t events) except -1:
        """Hands one connection its events. A fault of ours ends that connection alone."""
        if peer.fd < 0:
            return 0                        # closed by an earlier event of this batch
        try:
            peer.ready(events)
        except Exception as error:
            self.log_fault(error, None)
            peer.abort()
        return run_jobs(self) if self.jobs is not None else 0

    @property
    def deaf(self):
        """Whether a listening socket was lost: nobody takes the clients that the kernel leads there."""
        cdef Listener listener
        for listener in self.listeners:
            if listener.fd < 0:
                return True
        return False

    def tick(self):
        """Ends what is overdue. Called some times a second: deadlines are exact to that."""
        cdef Downstream downstream
        cdef Exchange x
        cdef Pool pool
        cdef Listener listener
        self.now = monotonic_ns()
        self.counts.heartbeat_ns = self.now
        note_lateness(self)
        note_strain(self)
        self.counts.memory = settle_memory(self.now)
        settle_notes(self)
        overdue = []
        silent = []
        for downstream in self.connections:
            if downstream.due < self.now or downstream.is_stuck():
                overdue.append(downstream)
            elif self.ping_ns and downstream.exchange is not None and is_silent(downstream.exchange):
                silent.append(downstream.exchange)
        for downstream in overdue:
            if downstream.is_open() and (downstream.due < self.now or downstream.stuck):     # still, after the others
                downstream.expired()
        for listener in self.listeners:
            if listener.starved:
                listener.starved = False
                listener.rearm()
        for x in silent:
            x.drive(FELL_SILENT, 0, NULL, 0, None)
        for x in tuple(self.delayed):
            if x.due and x.due <= self.now:
                x.drive(PAUSE_OVER, 0, NULL, 0, None)
        for pool in (*self.pools.values(), *self.retired):
            pool.sweep()
        self.retired = [pool for pool in self.retired if pool.total or pool.waiting.count]
        run_jobs(self)
        self.counts.oldest = self.oldest()
        self.tell_epochs()
        self.recheck_waiting()
        bury(self)

    cdef uint64_t oldest(self):
        """The oldest version of the configuration that a request on its way or a replaced pool still holds parts of."""
        cdef Downstream downstream
        cdef Pool pool
        cdef uint64_t version = self.version
        for downstream in self.connections:
            if downstream.exchange is not None and downstream.version < version:
                version = downstream.version
        for pool in self.retired:
            version = min(version, pool.version)
        return version

    cdef int recheck_waiting(self) except -1:
        """Requests that wait need not wait for their turn to hear that their key has changed, or what operators say."""
        cdef Downstream downstream
        cdef Exchange x
        cdef int64_t changes = directory_generations(self) + EDGE_SEE(&self.board.word)    # (both but grow)
        if changes == self.rechecked:
            return 0
        self.rechecked = changes
        for downstream in tuple(self.connections):
            x = downstream.exchange
            if x is not None and (DRAWING <= x.state <= PAUSED):
                x.drive(RULES_CHANGED, 0, NULL, 0, None)
        return run_jobs(self)

    cdef int tell_epochs(self) noexcept:
        """Which of the directory's buckets requests on their way may use, whatever becomes of their keys."""
        cdef Downstream downstream
        cdef int64_t needed
        cdef int source
        for source in range(<int>N_SOURCES):
            needed = self.epochs[source] = EDGE_SEE(&self.slab.catalogue(source).epoch)
            for downstream in self.connections:
                if downstream.exchange is not None and downstream.exchange.tenant is not None:
                    needed = min(needed, downstream.exchange.epochs[source])
            EDGE_SET(&self.counts.epochs[source], needed + 1)
        return 0

    def decode(self):
        """Goes on with bodies that came compressed, a piece of each."""
        cdef Exchange x
        cdef list waiting = self.decoding
        self.decoding = []
        self.now = monotonic_ns()
        for x in waiting:
            if x.decoding is not None:
                x.drive(PIECE_DECODED, 0, NULL, 0, None)
        run_jobs(self)

    def redraw(self):
        """Requests that wait for what their limits lack look again."""
        cdef Exchange x
        self.now = monotonic_ns()
        for x in tuple(self.delayed):
            if x.state == DRAWING and x.due:
                x.drive(PAUSE_OVER, 0, NULL, 0, None)
        if self.drawing:
            self.ring()
            get_running_loop().call_later(REDRAW_NS / 1e9, self.redraw)
        run_jobs(self)

    def drain(self):
        """From now on new requests are refused; `busy` says how many are still on their way."""
        self.draining = True

    def retire(self):
        """From now on no client is taken, and those that are here are let go with their next answer."""
        cdef Listener listener
        self.retiring = True
        for listener in self.listeners:
            listener.abort()
        self.listeners.clear()

    @property
    def taken(self):
        """How often requests of this process have taken each row of TRANSITIONS: (state, verdict) -> count."""
        return {row: TAKEN[<int>STATES.index(row[0])][<int>VERDICTS.index(row[1])] for row in TRANSITIONS}

    @property
    def clients(self):
        """Connections of clients, idle ones among them."""
        return len(self.connections)

    @property
    def busy(self):
        """Clients whose request is on its way, or who still read what they got."""
        cdef Downstream downstream
        cdef int count = 0
        for downstream in self.connections:
            count += downstream.exchange is not None or downstream.out is not None or downstream.lingering
        return count

    def close(self):
        """Ends every connection; requests that are still on their way learn why."""
        cdef Downstream downstream
        self.now = monotonic_ns()
        for downstream in tuple(self.connections):
            if downstream.exchange is not None:
                downstream.exchange.keep_alive = False
                downstream.exchange.drive(TURNED_AWAY, draining, NULL, 0, None)
            downstream.abort()
        for pool in (*self.pools.values(), *self.retired):
            pool.retire()
        run_jobs(self)

    cdef int log_fault(self, object error, object request_id) except -1:
        self.fault(error, request_id)
        return 0
