"""The host's shared memory: token buckets, counters, histograms. Lock-free, touched by this module alone."""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint64_t

cpdef enum:
    MAX_WORKERS = 64
    CONTROL = 64                # the stripe of control, which only beats
    GENERATION = 65             # stripes of one generation
    MAX_SERIES = 2048
    MAX_BUCKETS = 2097152
    MAX_LIMITS = 65536          # those below are the registry's; behind them come those of the file's keys,
    FILE_BUCKETS = 524288       # so many, those of parties, so many, and of the store's: edge._fast.shared.directory
    PARTY_BUCKETS = 262144
    N_OUTCOMES = 128            # conditions from 0, relayed statuses from RELAYED
    RELAYED = 96
    N_BOUNDS = 20               # finite bounds; one more bucket for +Inf
    MAX_TARGETS = 4096
    MAX_POOLS = 256
    MAX_PROVIDER_KEYS = 32
    MAX_IDS = 65536
    LINES_ROOM = 2097152        # bytes of lines that one worker may be ahead of control
    MAX_KEYS = 2097152          # rows of the directory
    MAX_POLICIES = 262144
    MAX_PARTS = 1048576         # of their texts
    PART = 248                  # bytes of one
    DIGEST = 32                 # bytes
    NAME_ROOM = 64              # bytes of a key's name
    MOST_LIMITS = 6             # of one key, one model or the gateway
    SLOTS_BITS = 22             # an index has 2**22 slots at most
    MAX_BALANCES = 1048576      # of points: edge._fast.shared.balances
    BALANCE_BITS = 21           # of its index
    PERIODS = 3                 # in which some of a balance may be spent, besides all of it
    MOST_SWITCHED = 512         # models of which an operator may say anything,
    SWITCH_SLOTS = 1024         # a power of two
    NAME_BYTES = 2048           # of a model's name
    MESSAGE_ROOM = 512          # bytes
    HOLDS = 2                   # the bit of Board.word: something of it is not as the configuration has it

cdef enum:
    PROBER = 255                # the bits of Health.probe that say whose it is

cdef struct Terms:              # what a bucket grants
    int64_t interval            # ns per unit; 0: unlimited
    int64_t window              # ns that a full bucket spans: burst * interval

cdef struct Bucket:             # GCRA: one word says all, so that a step is one compare-and-swap
    int64_t word                # theoretical arrival time (CLOCK_MONOTONIC, ns) * 2 + the terms in force
    Terms terms[2]              # new terms are written beside the old ones, and come into force with the word
    int64_t most                # of a limit of concurrency, which is all of it: requests at once; 0: any number
    int64_t reserved            # units that requests on their way may use yet, beside the word,
    int64_t born                # which were reserved since then

cdef struct Histogram:
    uint64_t counts[N_BOUNDS + 1]
    uint64_t sum_ns

cdef struct Series:             # what one worker counted of one (route, provider, model)
    int64_t in_flight
    uint64_t outcomes[N_OUTCOMES]
    uint64_t input_tokens
    uint64_t output_tokens
    uint64_t cached_tokens
    uint64_t without_usage      # answers whose provider told no tokens,
    uint64_t estimated_input    # and what they may have been
    uint64_t estimated_output
    Histogram total             # client's first byte to our last
    Histogram first_byte        # client's first byte to the provider's first
    Histogram overhead          # the gateway's own share of total

cdef struct Health:             # of one target, as all workers have found it: edge._fast.shared.health
    int64_t open_until          # 0: closed; a time to come: open; a time gone by: half-open (CLOCK_MONOTONIC, ns)
    int64_t closed_at           # since when it is closed again, while its share still grows; 0: fully back
    int64_t forced              # by an operator: 1 open, 2 closed
    int64_t ailing              # its health checks fail
    int64_t benched_until       # the last of `benches`
    int64_t failures            # in a row
    int64_t probe               # of a half-open target: when it is given up, and in PROBER stripe + 1; 0: there is none
    int64_t opened_at
    int64_t good_at             # the last success, give or take a tenth of a second
    int64_t trips               # openings since it was last fully back: the next one is longer
    int64_t window_at           # failure rate: since when, how many were asked before that, how many failed since
    int64_t window_asked
    int64_t window_failed
    uint64_t opened             # counts
    uint64_t probes
    uint64_t shut_out           # requests that it could not be chosen for
    int64_t benches[MAX_PROVIDER_KEYS]      # by provider key: not to be used before
    uint8_t reasons[MAX_PROVIDER_KEYS]      # and the condition for which
    uint64_t failed[RELAYED]    # attempts, by condition
    int64_t forced_at           # when the operator said so; 0: none has said anything

cdef struct Load:               # of one provider, as one worker has it
    int64_t active
    int64_t waiting
    int64_t limit               # how many may be active
    uint64_t refused

cdef struct Budget:             # of further attempts, for the host: what had been counted when the window began
    int64_t begun
    int64_t admitted
    int64_t retries

cdef struct Purse:              # of a limit that hosts share: edge._fast.shared.purse. Times: CLOCK_MONOTONIC, ns
    int64_t units               # to spend; below 0: a debt
    int64_t expires             # when units are void, as far as is known,
    int64_t origin              # since when the fleet's level grows, from nothing, if nobody has taken meanwhile
    int64_t unasked             # until then what is missing is not asked for
    int64_t lack                # the most that a request has missed since control's last look
    int64_t reserved            # units that were taken by who may not use them all
    int64_t born                # since when Redis knows of all of these
    int64_t alone               # units taken without Redis, from the host's own bucket; below 0: such that come back
    int64_t lent                # and those of all these, told or not, that their requests may not use
    int64_t seq                 # control's own from here on: of the last message
    int64_t ack                 # of the last answer
    int64_t sent                # when the last message was
    int64_t life                # this host's, as Redis calls it, in which these units were drawn
    int64_t until               # when they are void if it goes on for ever
    int64_t low                 # below it units are asked for, but not before `again`
    int64_t high                # above it some go back
    int64_t due                 # when there is something to say in any case
    int64_t again
    int64_t mute                # since when there is no answer for this limit alone; 0: there is

cdef struct Allotment:          # of a limit of concurrency that hosts share: edge._fast.shared.places. Times likewise
    int64_t word                # places that this host may fill, of the number that its configuration had then
    int64_t expires             # when it may fill none, as far as is known
    int64_t unasked             # until then nobody need ask for more
    int64_t waiting             # requests that began to wait since control's last look,
    int64_t placed              # of those that waited, who has got a place,
    int64_t refused             # and those that were refused
    int64_t eager               # whether control is to hear at once of a place that comes free
    int64_t left                # places that nobody holds, when Redis spoke last
    int64_t alone               # since when it alone cannot be shared; 0: it can
    int64_t seq                 # control's own from here on, as in Purse
    int64_t ack
    int64_t sent
    int64_t life
    int64_t until
    int64_t low                 # requests, below which some places go back,
    int64_t high                # and above which more are asked for; but not before `again`
    int64_t due
    int64_t again

cdef struct Fleet:              # what this host knows of Redis and of its peers
    int64_t host                # its name among them; 0: it has none yet
    int64_t hosts               # that were there last,
    int64_t rank                # and how many of them come before it
    int64_t slow                # Redis does not answer at once: nobody waits for it
    int64_t away                # since when it does not answer at all (CLOCK_MONOTONIC, ns); 0: it does
    int64_t grace               # ns from then until the limits' own policies

cdef struct Strain:             # of the host, as control finds it: what is scarce
    int64_t until               # it is so until then, unless control says more (CLOCK_MONOTONIC, ns)
    int64_t kind                # of STRAINS in admit.pxi; 0: nothing is
    int64_t share               # per cent

cdef struct Ring:               # of one worker, for control: edge._fast.shared.lines. Positions grow for ever
    int64_t head                # the worker's: what it has written,
    uint64_t lost               # and how many lines there was no room for
    uint64_t apart[6]           # two writers share no cache line
    int64_t tail                # the reader's: what it has taken
    int64_t further[7]
    char data[LINES_ROOM]

cpdef enum Party:               # who stands behind keys: limits, bans and features of many keys at once
    ACCOUNT, USER, GROUP, WORKSPACE, N_PARTIES

cdef struct Row:                # of a key: edge._fast.shared.directory
    int64_t version             # odd: it is there
    uint8_t digest[DIGEST]
    double expires              # Unix time; 0: never
    int32_t policy              # of one that is not there: the next of these, and 1
    int32_t buckets[MOST_LIMITS]        # 0: none
    uint8_t state
    uint8_t name_size
    uint8_t former              # it is of the secret from before the key's rotation
    uint8_t unused
    int32_t parties[N_PARTIES]          # who stands behind it, by number; 0: nobody
    uint64_t limits             # a hash of what limits of what name it has; 0: none that count
    char name[NAME_ROOM]

cdef struct Policy:             # what keys have in common, as text
    int64_t version             # likewise
    uint64_t hash
    int32_t keys                # that have it
    int32_t first               # part of its text, and 1; of one that is not there: the next of these, and 1
    int32_t size

cdef struct Part:
    int32_t next
    int32_t unused
    char text[PART]

cdef struct Freed:              # a bucket whose key is gone
    int64_t epoch
    uint64_t owner              # hash of what its key was called; 0: nobody knows
    int32_t number              # which of the key's buckets it was
    int32_t index

cdef struct Index:              # open addressing; of two tables of each size one is in force
    int64_t table               # its bits * 2 + which of the two
    int64_t used                # slots that are or were somebody's

cdef enum:                      # what an index finds: a row by either, a policy by its text, a freed bucket
    BY_DIGEST, BY_NAME, BY_TEXT, BY_OWNER, N_INDICES

cpdef enum Source:              # who has made a key, and alone writes its row; behind keys, who stands behind those
    FILE, STORE, PARTIES, N_SOURCES

cdef struct Catalogue:          # of one source's keys: what is beside their rows
    int64_t generation          # counts changes
    int64_t epoch               # counts changes that have freed buckets
    int64_t writing             # a change is under way
    int64_t keys
    int64_t rows                # that were ever used,
    int64_t free_row            # and the first of those that are free, and 1
    int64_t policies            # likewise
    int64_t free_policy
    int64_t parts
    int64_t free_part
    int64_t buckets             # of keys that were ever used
    int64_t freed_head          # those that are free, and were when: from here
    int64_t freed_tail          # to there
    uint64_t limits             # the sum of all keys' hashes of limits
    Index indices[N_INDICES]

cdef struct Balance:            # of points: edge._fast.shared.balances
    uint64_t owner              # hash of its name
    int64_t limited             # bits: the parts that have an end; 0: nobody has said anything of it
    int64_t granted[4]          # micro-points that this memory's workers may spend: in all, a month, a day, an hour
    int64_t unused[2]

cdef struct Spent:              # of a balance, by one worker, in micro-points
    int64_t held                # by requests on their way
    int64_t settled             # by those that have ended
cdef struct Switch:             # what an operator says of a model
    uint64_t hash               # of its name
    int32_t on
    int32_t size
    char name[NAME_BYTES]

cdef struct Said:               # all that operators say while the gateway runs: edge._fast.shared.switches
    int64_t until               # Unix times: when the maintenance ends; 0: there is none; INT64_MAX: nobody knows
    int64_t since
    int32_t message_size
    int32_t models              # that are switched
    char message[MESSAGE_ROOM]
    uint16_t slots[SWITCH_SLOTS]        # by hash: a model's place below, and 1
    Switch switched[MOST_SWITCHED]

cdef struct Board:              # of the two sides one is in force
    int64_t word                # counts what was said, times 4; HOLDS; which side it is
    int64_t apart[7]
    Said sides[2]

cdef struct Worker:             # what one worker counted whatever the series
    uint64_t heartbeat_ns       # last turn of its event loop
    uint64_t accepted
    int64_t connections
    int64_t upstream_connections
    uint64_t admitted
    uint64_t refused_key
    uint64_t refused_model
    uint64_t refused_gateway
    uint64_t shadowed           # refusals of limits that only count what they would refuse
    uint64_t upstream_opened
    uint64_t upstream_reused
    uint64_t restarts           # written by the supervisor, between two lives of the worker
    int64_t in_flight           # requests admitted and not ended
    int64_t retrying            # of these, those beyond their first attempt
    uint64_t retries            # further attempts at the same provider
    uint64_t fallbacks          # and at another
    uint64_t budget_refused     # and those that the budget did not allow
    uint64_t shed               # requests refused because the event loop was late
    uint64_t degraded           # requests admitted without Redis's word, of limits that hosts share
    Histogram lag               # of the event loop: how late its ticks came
    uint64_t series_used        # series from here on were never touched, and their pages cost nothing
    int64_t memory              # bytes held for requests and answers
    uint64_t lines_lost         # of the log: standard error would not take them
    uint64_t held_used          # counts of concurrency from here on were never touched
    uint64_t oldest             # version of the configuration that is still needed: by the oldest request on its way
    uint64_t balances_used      # balances from here on were never touched
    int64_t reservations        # of points, by requests on their way
    uint64_t expired            # reservations of workers that have died
    uint64_t points             # micro-points that requests have cost
    uint64_t unbilled           # requests refused, as there was no place in the journal for what they cost
    int64_t epochs[N_SOURCES]   # of the directory, and 1: what was freed from there on it may still use; 0: nothing
    Load loads[MAX_POOLS]
    uint64_t asked[MAX_TARGETS]     # attempts

# FNV-1a, and splitmix64's finish so that all bits depend on all: the same in every process.
cdef inline uint64_t hash_of(const char* at, Py_ssize_t size) noexcept nogil:
    cdef uint64_t hash = <uint64_t>0xCBF29CE484222325
    cdef Py_ssize_t i
    for i in range(size):
        hash = (hash ^ <uint8_t>at[i]) * <uint64_t>0x100000001B3
    hash = (hash ^ (hash >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    hash = (hash ^ (hash >> 27)) * <uint64_t>0x94D049BB133111EB
    return hash ^ (hash >> 31)

cdef inline int64_t part_word(int64_t places, int64_t of) noexcept nogil:     # of an Allotment; numbers are below 2**31
    return places << 31 | of


cdef inline int64_t places_of(int64_t word) noexcept nogil:
    return word >> 31


cdef inline int64_t number_of(int64_t word) noexcept nogil:
    return word & 0x7FFFFFFF

# Of a source's part of the directory: where what begins, in bytes from its Catalogue on.
cdef inline size_t slots_at(int which, int64_t table) noexcept nogil:
    """Of an index's table: one of 2**bits slots lies behind those of all lesser sizes."""
    return 4096 + (<size_t>(which * 2 + (table & 1)) << (SLOTS_BITS + 1) | <size_t>1 << (table >> 1)) * sizeof(int32_t)


cdef inline size_t rows_at() noexcept nogil:
    return slots_at(N_INDICES, 0) & ~<size_t>4095


cdef inline size_t policies_at() noexcept nogil:
    return rows_at() + MAX_KEYS * sizeof(Row)


cdef inline size_t parts_at() noexcept nogil:
    return policies_at() + MAX_POLICIES * sizeof(Policy)


cdef inline size_t freed_at() noexcept nogil:
    return parts_at() + MAX_PARTS * sizeof(Part)


cdef inline size_t holders_at() noexcept nogil:
    return freed_at() + MAX_BUCKETS * sizeof(Freed)


cdef inline size_t directory_size() noexcept nogil:
    return (holders_at() + MAX_BUCKETS * sizeof(int32_t) + 4095) & ~<size_t>4095


# Of the balances: where what begins, in bytes from their part's beginning, a page of single words.
cdef inline size_t balance_slots_at() noexcept nogil:
    return 4096


cdef inline size_t balances_at() noexcept nogil:
    return balance_slots_at() + (sizeof(int32_t) << BALANCE_BITS)


cdef inline size_t spent_at(int stripe) noexcept nogil:
    return balances_at() + MAX_BALANCES * sizeof(Balance) + <size_t>stripe * MAX_BALANCES * sizeof(Spent)


cdef class Slab:
    cdef object mapping
    cdef char* base
    cdef readonly int workers
    cdef readonly int descriptor        # of the mapping
    cdef Bucket* bucket(self, int index) noexcept nogil
    cdef Series* series(self, int stripe, int index) noexcept nogil
    cdef Series* peek(self, int stripe, int index) noexcept nogil
    cdef Worker* worker(self, int stripe) noexcept nogil
    cdef int32_t* held(self, int stripe, int index) noexcept nogil
    cdef int used(self, int stripe) noexcept nogil
    cdef int check_stripe(self, int stripe) except -1
    cdef Health* health(self, int index) noexcept nogil
    cdef Budget* budget(self) noexcept nogil
    cdef Fleet* fleet(self) noexcept nogil
    cdef Strain* strain(self) noexcept nogil
    cdef Purse* purse(self, int index) noexcept nogil
    cdef Allotment* allotment(self, int index) noexcept nogil
    cdef uint64_t* asking(self) noexcept nogil
    cdef Ring* ring(self, int stripe) noexcept nogil
    cdef Catalogue* catalogue(self, int source) noexcept nogil
    cdef char* balances(self) noexcept nogil
    cdef Board* board(self) noexcept nogil
    cdef int stripe(self, int number) noexcept nogil
    cdef void note_maker(self, uint64_t hash, int pool, int64_t now) noexcept nogil
    cdef int maker(self, uint64_t hash) noexcept nogil

cdef int64_t bucket_take(Bucket* bucket, int64_t now, int64_t cost) noexcept nogil
cdef int64_t bucket_reserve(Bucket* bucket, int64_t now, int64_t cost) noexcept nogil
cdef int64_t bucket_hold(Bucket* bucket, int64_t now, int64_t cost) noexcept nogil
cdef void bucket_settle(Bucket* bucket, int64_t now, int64_t taken_at, int64_t cost, int64_t used) noexcept nogil
cdef int64_t bucket_wait(const Bucket* bucket, int64_t now, int64_t cost) noexcept nogil
cdef void bucket_charge(Bucket* bucket, int64_t now, int64_t cost) noexcept nogil
cdef void bucket_give(Bucket* bucket, int64_t cost) noexcept nogil
cdef int64_t bucket_missing(const Bucket* bucket, int64_t now) noexcept nogil
cdef int64_t bucket_left(const Bucket* bucket, int64_t now) noexcept nogil
cdef int64_t bucket_limit(const Bucket* bucket) noexcept nogil
cdef int64_t bucket_full_in(const Bucket* bucket, int64_t now) noexcept nogil
cdef int64_t concurrency_held(Slab slab, int index) noexcept nogil
cdef bint concurrency_take(Slab slab, int stripe, int index, int64_t most, const int64_t* part) noexcept nogil
cdef int64_t concurrency_part(const int64_t* part, int64_t most) noexcept nogil
cdef void concurrency_give(Slab slab, int stripe, int index) noexcept nogil
cdef int relayed_slot(int status) noexcept nogil
cdef void observe_long(Histogram* histogram, int64_t ns) noexcept nogil
cdef void observe_short(Histogram* histogram, int64_t ns) noexcept nogil
cdef int64_t monotonic_ns() noexcept nogil
