# authenticate: a head's key -> Tenant. admit: the only taker of limits.

cdef int authenticate(Exchange x, const char* buf, const Head* head) except -1:
    """Sets the tenant. Returns the condition that ends the request, or 0."""
    cdef Gateway g = x.gateway
    cdef Downstream d = x.downstream
    cdef bytes key
    cdef const Field* field = field_of(head, K_AUTHORIZATION)
    cdef const char* at
    cdef Py_ssize_t size
    cdef Tenant tenant
    cdef int condition
    if field != NULL:
        at = buf + field.value
        size = field.value_len
        if size < 8 or strncasecmp(at, b"bearer ", 7) != 0:
            return key_malformed
        at += 7
        size -= 7
        while size and at[0] == 32:
            at += 1
            size -= 1
    elif field_of(head, K_X_API_KEY) != NULL:
        if not x.surface.has_key_header or g.bearer_only:
            return key_malformed
        field = field_of(head, K_X_API_KEY)
        at = buf + field.value
        size = field.value_len
    elif field_of(head, K_API_KEY) != NULL:
        if not x.azure:
            return key_malformed
        field = field_of(head, K_API_KEY)
        at = buf + field.value
        size = field.value_len
    else:
        return key_missing
    if size < 1 or size > 512:
        return key_malformed
    if same(d.key, at, size) and is_current(d.tenant):
        tenant = d.tenant
    else:
        key = PyBytes_FromStringAndSize(at, size)
        tenant = find_tenant(g, key)
        if tenant is None:
            return key_unknown
        d.key = key
        d.tenant = tenant
    x.tenant = tenant
    x.epochs = g.epochs
    return judge_key(x, tenant)


cdef int judge_parties(Exchange x, Tenant tenant) except -1:
    """Whether who stands behind a key lets it be used."""
    cdef Tenant account = tenant.of_account, user = tenant.of_user, group = tenant.of_group
    cdef Tenant workspace = tenant.of_workspace
    if user is not None and user.state:
        return user_banned
    if account is not None and account.state:
        return lacking(x, "of an account that is suspended")
    if group is not None and group.state:
        return lacking(x, "of a group that is disabled")
    if workspace is not None and workspace.state:
        return lacking(x, "of a workspace that is disabled")
    if workspace is not None and x.gateway.workspace is not None and workspace.name != x.gateway.workspace:
        return key_wrong_workspace
    if account is not None and account.denied_from is not None and account.denied_from.hold(&x.client):
        x.say(S_GOT, text_of_address(&x.client))
        return ip_denied
    if workspace is not None and not workspace.scopes & (<uint64_t>1 << x.route.index):
        x.say(S_FIELD, x.route.name)
        return feature_disabled
    return 0


cdef int lacking(Exchange x, str reason) except -1:
    x.say(S_REASON, reason)
    return key_unavailable


cdef int judge_key(Exchange x, Tenant tenant) except -1:
    """Whether the key may be used: at all, by who asks, now, and for this route."""
    cdef int condition = 0
    if tenant.state:
        x.say(S_REASON, tenant.state_name)
        return tenant.state
    if tenant.backed:
        condition = judge_parties(x, tenant)
    condition = condition or judge_address(x, tenant)
    if condition == 0 and (tenant.expires or tenant.hours is not None):
        condition = judge_time(x, tenant)
    if condition == 0 and not tenant.scopes & (<uint64_t>1 << x.route.index):
        x.say(S_FIELD, x.route.name)
        condition = scope_missing
    return condition


cdef int judge_address(Exchange x, Tenant tenant) except -1:
    if tenant.denied_from is not None and tenant.denied_from.hold(&x.client):
        x.say(S_GOT, text_of_address(&x.client))
        return ip_denied
    if tenant.allowed_from is not None and not tenant.allowed_from.hold(&x.client):
        x.say(S_GOT, text_of_address(&x.client))
        return ip_not_allowed
    return 0


cdef int judge_time(Exchange x, Tenant tenant) except -1:
    cdef int64_t now = time(NULL)
    if tenant.expires and now >= tenant.expires:
        return key_expired
    if tenant.hours is None:
        return 0
    if now // 60 != tenant.minute:
        tenant.closed = tenant.hours(now)
        tenant.minute = now // 60
    if tenant.closed is None:
        return 0
    x.say(S_EXPECTED, tenant.closed)
    return time_window_denied


cdef bint is_allowed(Tenant tenant, bytes model) except -1:
    allowed = tenant.allowed.get(model)
    if allowed is None:
        allowed = bool(tenant.allows(model.decode("utf-8", "replace")))
        if len(tenant.allowed) < 1024 and len(model) <= REMEMBERED_MAX:
            tenant.allowed[model] = allowed
    return allowed


cdef int limit_reached(Exchange x, int owner, int64_t wait) except -1:
    """The condition of a request that a limit of `owner` has refused for `wait` ns, or another one for longer."""
    cdef Gateway g = x.gateway
    if wait == UNTOLD:
        x.retry_after_ms = UNTOLD_MS
        x.say(S_REASON, "a limit that hosts share cannot be checked")
        return gateway_overloaded
    owner = await_limits(x, owner, &wait)
    x.retry_after_ms = (wait - 1) // 1000000 + 1
    if owner == OF_KEY:
        g.counts.refused_key += 1
        return concurrency_limited if x.crowded else rate_limited
    if owner == OF_GROUP:
        g.counts.refused_key += 1
        return group_concurrency_limited if x.crowded else group_rate_limited
    if owner == OF_ACCOUNT:
        g.counts.refused_key += 1
        return account_concurrency_limited if x.crowded else account_rate_limited
    if owner == OF_WORKSPACE:
        g.counts.refused_key += 1
        return quota_exceeded
    if owner == OF_MODEL:
        g.counts.refused_model += 1
        return model_concurrency_limited if x.crowded else model_rate_limited
    g.counts.refused_gateway += 1
    note_limit(g, "rate_limit.concurrent_requests" if x.crowded else "rate_limit")
    return global_concurrency_limited if x.crowded else global_rate_limited


cdef int admit(Exchange x) except -3:
    """Takes from the limits of key, who stands behind it, model and gateway: all or none.

    Returns the condition, or 0; SHORT: ask again.
    """
    cdef Gateway g = x.gateway
    cdef int64_t wait
    cdef int owner, condition
    x.series = g.slab.series(g.index, x.target.series[x.route.index])
    x.limited = True
    x.gateway_limits = g.limits
    if not x.drawn_by and (x.tenant.pays or counts_tokens(x)):
        reserve_tokens(x)               # once: who has waited finds the members of another request's body
    x.untaken = x.alone = x.passed = 0
    x.admitted = g.now
    for owner in range(<int>N_OWNERS):
        wait = take_limits(x, owner)
        if wait == SHORT:
            if not x.drawn_by:
                ask_places(x)
            return SHORT
        if wait:
            return limit_reached(x, owner, wait)
    if x.tenant.pays:
        condition = reserve_points(x)
        if condition:
            for owner in range(<int>N_OWNERS):
                give_limits(x, owner, MOST_LIMITS)
            return condition
    spend_requests(x)
    g.counts.admitted += 1
    g.counts.degraded += x.alone != 0
    g.counts.in_flight += 1
    x.series.in_flight += 1
    x.counted = x.placed = True
    x.allowed = x.target.pool.total_ns
    x.deadline = g.now + x.allowed if x.allowed else FOREVER
    return 0


cdef int64_t SOME_LATENESS = 250000000
cdef int64_t ALL_LATENESS = 1000000000


cdef int note_lateness(Gateway g) noexcept:
    """How late the loop's ticks are; one late tick alone says nothing."""
    cdef int64_t late = max(<int64_t>0, g.now - g.ticked - TICK_NS) if g.ticked else 0
    observe_short(&g.counts.lag, late)
    g.late = min(late, g.was_late)
    g.was_late = late
    g.ticked = g.now
    return 0


# By Strain.kind. The limits are the control group's, or the machine's; the disk is where the gateway writes.
cdef tuple STRAINS = ("nothing", "memory ({} % of its limit is in use)",
                      "memory (work stalls for it {} % of the time)", "disk ({} % of it is in use)")


cdef int note_strain(Gateway g) noexcept:
    """What the host is short of, as control has found. Where control is away nothing is."""
    cdef const Strain* strain = g.slab.strain()
    g.strain = strain.kind if 0 < strain.kind < 4 and strain.until > g.now else 0
    return 0


cdef int refuse_strained(Exchange x) except -1:
    """Who is not of high priority comes back later."""
    x.gateway.counts.shed += 1
    x.retry_after_ms = 5000
    x.say(S_REASON, STRAINS[x.gateway.strain].format(x.gateway.slab.strain().share))
    return gateway_overloaded


cdef bint is_shed(Exchange x) noexcept:
    """Where the event loop itself is late, some requests are refused on their heads: low priority first, high never."""
    cdef Gateway g = x.gateway
    cdef double share
    if g.late < SOME_LATENESS or x.tenant.priority == 0:
        return False
    share = (g.late - SOME_LATENESS + TICK_NS) / <double>ALL_LATENESS
    if chance(g) > (2.0 * share if x.tenant.priority == 2 else min(share, 0.9)):
        return False
    g.counts.shed += 1
    return True
