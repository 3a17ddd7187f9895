# tables: what one version of the configuration says of surfaces, routes, keys, targets and models.

cdef struct Check:              # of one member of a request's body
    uint16_t kinds              # bit 1 << Kind
    uint8_t required
    double low
    double high

cdef class Surface:             # a client's dialect, in one version of the configuration
    cdef str name               # of its targets in a Model
    cdef list templates         # by condition
    cdef bint native            # the contract is the dialect's own
    cdef bytes generates        # the path at which models are asked
    cdef bytes prefix           # of paths that are this dialect's, whether there is a route or not; None: of none
    cdef bint has_key_header    # x-api-key carries a key
    cdef int version            # the Known field that its API wants; -1: none does
    cdef bytes version_name
    cdef bytes version_line     # for those who send none
    cdef tuple told             # by kind of limit: the fields that tell of it, or None. None: providers tell of theirs
    cdef bytes limit_prefix     # of fields in which its API tells of limits
    cdef bint dated             # a limit's reset is told as a time, not as the time until then
    cdef bytes exposed          # the end of the line that names the fields a page may read

cdef class Route:
    cdef readonly str name
    cdef bytes path
    cdef int index
    cdef Surface surface
    cdef const Dialect* dialect
    cdef uint16_t methods               # bit 1 << Method: those that it takes,
    cdef bytes allow                    # and as a line of an answer
    cdef bint json
    cdef bint open_to_all
    cdef object own                     # callable of a route that the gateway answers itself
    cdef Route other                    # the same path in another dialect, for who shows that it speaks it; or None
    cdef tuple plan                     # of a relayed path: its one target
    cdef tuple makers                   # targets of all providers that may have given out ids; None: of one
    cdef bint pinned                    # which is an operator's word: models do not lead elsewhere
    cdef int unrouted                   # series of requests that end before they have a target
    cdef Names names
    cdef tuple words
    cdef int model_at
    cdef int models_at
    cdef int stream_at
    cdef int options_at                 # of stream_options
    cdef int count_at                   # of choices
    cdef int drafts_at                  # of how many answers the best are sent back,
    cdef int prompts_at                 # for each of these
    cdef int lasts_at                   # of what makes a request go on without its client
    cdef int keep_at                    # the member by which a provider keeps the answer; -1: it never does
    cdef bint keeps                     # it does unless that says no
    cdef uint32_t most_output           # bits of those that say how long an answer may be
    cdef uint32_t refers                # bits: members that hold ids
    cdef int fill_at                    # the member that has a default; -1: there is none
    cdef bytes fill                     # as it is put in, and its value alone
    cdef bytes fill_value
    cdef Check checks[MAX_NAMES]
    cdef uint32_t asks                  # bits of the capabilities that a model needs here,
    cdef uint32_t may_need              # and of those that a member of the body may need:
    cdef uint32_t needs[MAX_NAMES]      # which that is,
    cdef uint8_t signs[MAX_NAMES]       # and how it shows: see Sign

cdef class Limits:              # of requests and tokens, whose they are is their holder's business
    cdef Bucket* buckets[MOST_LIMITS]
    cdef int indices[MOST_LIMITS]           # of buckets, and of purses
    cdef uint8_t kinds[MOST_LIMITS]         # what each counts: see Kind in permit.pxi
    cdef int64_t most[MOST_LIMITS]          # units of a full one
    cdef int count
    cdef bint tokens            # one of them counts tokens,
    cdef bint concurrent        # one concurrent requests
    cdef bint shadow            # they refuse nothing, and count what they would
    cdef bint shared            # by hosts
    cdef uint8_t outage         # what they do while Redis does not answer: see Outage

cdef class Policy:              # what keys have in common: see Tenant
    cdef tuple takes            # (number of the row's bucket, what it counts, units of a full one)
    cdef bint bounded
    cdef bint caches
    cdef bint shadow
    cdef str outage
    cdef int priority
    cdef Networks allowed_from
    cdef Networks denied_from
    cdef object hours
    cdef uint64_t scopes
    cdef uint64_t named
    cdef tuple models
    cdef tuple denied_models
    cdef object allows
    cdef dict allowed
    cdef frozenset providers

cdef class Tenant:              # a key, as its row in the directory has it; or a party, which has rows of the same kind
    cdef readonly str name
    cdef const Row* row
    cdef int64_t version                # of the row
    cdef Limits limits
    cdef bint pays                      # what its requests cost is counted: by its account, or by the key's own balance
    cdef uint64_t payer                 # hash of what the balance of that account is called,
    cdef int balance                    # and its index; 0: it was not there yet
    cdef bint bounded                   # the key may not spend all that its account has,
    cdef uint64_t spender               # but what a balance of its own has: likewise
    cdef int purse
    cdef bint caches                    # its requests get, and leave, answers in the cache,
    cdef str shares                     # and who shares them
    cdef int priority                   # 0 to 2, the first is served first
    cdef int state                      # the condition of who comes with it; 0: it may be used
    cdef str state_name
    cdef double expires
    cdef Networks allowed_from          # None: from everywhere
    cdef Networks denied_from           # None: nowhere
    cdef object hours                   # callable(Unix time) -> None, or when it may be used again; None: always
    cdef int64_t minute                 # for which it was asked last,
    cdef object closed                  # and what it said
    cdef uint64_t scopes
    cdef uint64_t named                 # those of them that the key names itself
    cdef tuple models                   # that it may use, patterns among them; none: all
    cdef tuple denied_models            # that it may not, of these
    cdef object allows                  # callable(model name) -> bool, or None: all
    cdef dict allowed                   # what it said, by name
    cdef frozenset providers            # names of those that it may use; None: all
    cdef dict plans                     # targets of a model -> those of them that it may use
    cdef int account                    # its account's number; -1: it has none
    cdef bint backed                    # one of these is there:
    cdef Tenant of_account              # who stands behind the key; None: nobody
    cdef Tenant of_user
    cdef Tenant of_group
    cdef Tenant of_workspace

cdef class Target:
    cdef Pool pool
    cdef bytes model                    # the model's name there, as JSON; None: as asked
    cdef bytes plain                    # and as text
    cdef readonly str name              # provider/model
    cdef bytes line                     # the answer's field that names it
    cdef Health* health
    cdef int index                      # of its health
    cdef readonly int priority
    cdef int weight
    cdef bint alone                     # the first of its plan, and no other has its priority
    cdef int series[MAX_ROUTES]

cdef class Prices:              # of a model, in micro-points
    cdef int64_t input
    cdef int64_t cached
    cdef int64_t output
    cdef int64_t request
    cdef int64_t hit                    # for an answer from the cache, in place of these
    cdef int64_t most_output            # tokens that are reserved where a request does not say how many

cdef class Model:
    cdef readonly str name
    cdef bytes entry                    # the same, as operators say it,
    cdef bytes listed                   # and as what the catalogue has it
    cdef dict targets                   # by the name of their surface: tuple of Target
    cdef Limits limits
    cdef Prices prices                  # None: it costs nothing
    cdef bint off                       # as the configuration has it
    cdef uint32_t lacks                 # bits of the capabilities that it does not have
