# points: what a request costs, and who pays. What it may cost is reserved when it is admitted, of its account and of
# what its key may spend; at its end what it has cost is settled, with an entry in the journal, where the store gets it
# from. All of it is integers, in micro-points.

cdef struct Tokens:
    int64_t input
    int64_t cached              # of these
    int64_t output


cdef class Prices:

    def __init__(self, prices):
        """`prices`: an edge.values.snapshot.Prices."""
        self.input, self.cached, self.output = prices.input, prices.cached_input, prices.output
        self.request, self.most_output = prices.request, prices.most_output
        self.hit = prices.cache_hit


cdef inline int64_t cost_of(Prices prices, int64_t input, int64_t cached, int64_t output) noexcept nogil:
    """Of so many tokens, `cached` being some of the input. (Bounds of prices and of tokens keep it within 63 bits.)"""
    if prices is None:
        return 0
    return prices.request + (input - cached) * prices.input + cached * prices.cached + output * prices.output


cdef int read_told(Exchange x, int64_t* input, int64_t* output) noexcept:
    """Tokens that the provider has told, within bounds. -1: none, or none of a request, which always has some."""
    input[0], output[0] = min(x.tap.usage.input, <int64_t>MOST_TOKENS), min(x.tap.usage.output, <int64_t>MOST_TOKENS)
    if input[0] == 0 and has_tokens(x):
        input[0] = -1
    if input[0] < 0 and output[0] == 0:
        output[0] = -1
    return 0


cdef int reserve_points(Exchange x) except -1:
    """Takes what the request may cost, of account and key, or of neither. The condition, or 0."""
    cdef Gateway g = x.gateway
    cdef Tenant tenant = x.tenant
    cdef int64_t cost
    cdef int lack
    if g.unbooked and not open_books(g) or journal_is_full(g.journal, g.counts.reservations):
        g.counts.unbilled += 1
        return disk_full
    cost = cost_of(x.prices, x.reserved_input, 0, x.likely_output)
    if tenant.account > 0 and tenant.balance == 0:
        tenant.balance = balance_find(g.slab, tenant.payer)
    if tenant.bounded and tenant.purse == 0:
        tenant.purse = balance_find(g.slab, tenant.spender)
    lack = balance_take(g.slab, g.index, tenant.balance, cost) if cost and tenant.account > 0 else 0
    if lack:
        return untold_points(x) if lack == UNGRANTED else balance_insufficient
    lack = balance_take(g.slab, g.index, tenant.purse, cost) if cost and tenant.bounded else 0
    if lack:
        if tenant.balance:
            balance_settle(g.slab, g.index, tenant.balance, cost, 0)
        if lack <= 1:
            return untold_points(x) if lack == UNGRANTED else key_balance_insufficient
        x.retry_after_ms = max(<int64_t>1, period_end(g.slab, lack - 1) - time(NULL)) * 1000
        return key_period_limited
    x.points, x.billed, x.journal = cost, True, g.journal
    g.counts.reservations += 1
    return 0


cdef bint open_books(Gateway g) except -1:
    """The journal is opened when the first request needs it, or a configuration names another store."""
    journal = g.books()
    if journal is not None:
        g.journal, g.unbooked = journal, False
    return journal is not None


cdef int untold_points(Exchange x) except -1:
    """Control has yet to say what there is: it has just begun, or so has the account."""
    x.retry_after_ms = UNTOLD_MS
    x.say(S_REASON, "balances are not loaded yet")
    return gateway_overloaded


cdef int return_points(Exchange x) noexcept:
    """Nothing was used."""
    cdef Gateway g = x.gateway
    x.billed = False
    settle_balances(x, 0)
    g.counts.reservations -= 1
    return 0


cdef int settle_balances(Exchange x, int64_t cost) noexcept:
    cdef Gateway g = x.gateway
    if x.tenant.balance:
        balance_settle(g.slab, g.index, x.tenant.balance, x.points, cost)
    if x.tenant.purse:
        balance_settle(g.slab, g.index, x.tenant.purse, x.points, cost)
    return 0


cdef int settle_points(Exchange x, int64_t input, int64_t output, bint estimated) except -1:
    """So many tokens were used: what they cost takes the place of what was reserved."""
    cdef int64_t cached = max(<int64_t>0, min(x.tap.usage.cached, input)) if x.first_byte else 0
    return bill(x, cost_of(x.prices, input, cached, output), Tokens(input, cached, output), estimated)


cdef int spend_points(Exchange x) except -1:
    """What was reserved stays spent: the provider may have done it all."""
    return bill(x, x.points, Tokens(x.reserved_input, 0, x.likely_output), True)


cdef int bill(Exchange x, int64_t cost, Tokens tokens, bint estimated) except -1:
    """The entry first, and then the balances: whoever is killed in between, its successor finds the entry."""
    cdef Gateway g = x.gateway
    cdef Tenant tenant = x.tenant
    cdef Entry* entry = journal_next(x.journal)
    cdef Py_ssize_t size
    cdef const char* name = PyUnicode_AsUTF8AndSize(tenant.name, &size)
    x.billed = False
    entry.time, entry.points, entry.account, entry.estimated = time(NULL), cost, max(0, tenant.account), estimated
    entry.input, entry.cached, entry.output = <int>tokens.input, <int>tokens.cached, <int>tokens.output
    entry.key_size = copy_into(entry.key, name, size, KEY_ROOM)
    entry.model_size = 0
    if x.asked is not None:
        entry.model_size = copy_into(entry.model, PyBytes_AS_STRING(x.asked), PyBytes_GET_SIZE(x.asked), MODEL_ROOM)
    entry.request_size = copy_into(entry.request, x.request_id, x.request_id_size, REQUEST_ROOM)
    entry.balances[0], entry.balances[1] = tenant.balance, tenant.purse
    entry.settled[0] = balance_settled(g.slab, g.index, tenant.balance) + cost
    entry.settled[1] = balance_settled(g.slab, g.index, tenant.purse) + cost
    journal_add(x.journal)
    settle_balances(x, cost)
    g.counts.reservations -= 1
    g.counts.points += <uint64_t>cost
    return 0


cdef inline uint8_t copy_into(char* into, const char* at, Py_ssize_t size, int room) noexcept nogil:
    size = min(size, <Py_ssize_t>room)
    memcpy(into, at, size)
    return <uint8_t>size


cdef int put_cost(Writer* out, Exchange x) except -1:
    """What a whole answer has cost, where its provider has told its tokens: points, and what they are worth."""
    cdef Gateway g = x.gateway
    cdef int64_t input, output, points
    read_told(x, &input, &output)
    if has_tokens(x) and (input < 0 or output < 0 and makes_text(x)):
        return 0                        # it will be estimated
    input, output = max(input, <int64_t>0), max(output, <int64_t>0)
    points = cost_of(x.prices, input, max(<int64_t>0, min(x.tap.usage.cached, input)), output)
    return put_points(out, g, points)


cdef int put_points(Writer* out, Gateway g, int64_t points) except -1:
    """The field that tells of so many, and of what they are worth."""
    put(out, b"x-edge-cost: ", 13)
    put_millionths(out, points)
    put(out, b" points", 7)
    if g.worth:
        put(out, b", ", 2)
        put_millionths(out, points // 1000000 * g.worth + points % 1000000 * g.worth // 1000000)
        put_byte(out, c" ")
        put_bytes(out, g.currency)
    put(out, b"\r\n", 2)
    return 0


cdef void put_millionths(Writer* out, int64_t number) noexcept:
    cdef char places[7]
    cdef int i
    cdef int64_t rest = number % 1000000
    places[0] = c"."
    for i in range(6, 0, -1):
        places[i] = <char>(c"0" + rest % 10)
        rest //= 10
    put_number(out, number // 1000000)
    put(out, places, 7)
