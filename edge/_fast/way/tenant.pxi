# tenant: a key -> whose it is. The directory says so, and a worker remembers that while it says nothing else.

cdef inline bint is_current(Tenant tenant) noexcept:
    """Whether the directory still says of the key what it said when it was looked up."""
    return is_as_found(tenant.row, tenant.version)


cdef enum:
    KNOWN_MAX = 16384           # keys that a worker remembers, some hundred bytes each
    UNKNOWN_MAX = 1024
    POLICIES_MAX = 4096


cdef int64_t directory_generations(Gateway g) noexcept:
    """Grows with each change of the directory."""
    cdef int64_t sum = 0
    cdef int source
    for source in range(<int>N_SOURCES):
        sum += EDGE_SEE(&g.slab.catalogue(source).generation)
    return sum


cdef Policy policy_of(Gateway g, int source, const Row* at, const Row* found):
    """Compiled once. None: the row is there no more, and its key is to be looked up again."""
    cdef int64_t version = directory_policy(g.slab, source, at, found)
    cdef int64_t number = <int64_t>found.policy * N_SOURCES + source
    cdef bytes text
    before = g.policies.get(number)
    if version and before is not None and before[0] == version:
        return before[1]
    text = directory_text(g.slab, source, found, version) if version else None
    if text is None:
        return None
    if len(g.policies) >= POLICIES_MAX:
        g.policies.clear()
    policy = g.policy(text)
    g.policies[number] = version, policy
    return policy


cdef Tenant tenant_of(Gateway g, const Row* at, const Row* found, Policy policy):
    """Of a row that was found."""
    cdef Tenant tenant = Tenant.__new__(Tenant)
    tenant.name = found.name[:found.name_size].decode()
    tenant.row, tenant.version = at, found.version
    tenant.limits = Limits(g.slab, [(found.buckets[number], kind, most) for number, kind, most in policy.takes],
                           policy.shadow, policy.outage)
    tenant.priority = policy.priority
    tenant.state_name = KEY_STATES[found.state]
    tenant.state = STATES_OF_KEYS[tenant.state_name]
    tenant.expires = found.expires
    tenant.allowed_from, tenant.denied_from = policy.allowed_from, policy.denied_from
    tenant.hours, tenant.minute = policy.hours, -1
    tenant.scopes, tenant.named = policy.scopes, policy.named
    tenant.models, tenant.denied_models = policy.models, policy.denied_models
    tenant.allows, tenant.allowed = policy.allows, policy.allowed
    return tenant


cdef Tenant look_up_key(Gateway g, bytes digest):
    """What the directory says of a key; the file's word goes before the store's. None: nobody has such a key."""
    cdef Row found
    cdef const Row* at
    cdef Policy policy
    cdef int source
    for source in range(<int>N_SOURCES):
        while directory_find(g.slab, source, PyBytes_AS_STRING(digest), &found, &at):
            policy = policy_of(g, source, at, &found)
            if policy is not None:
                return tenant_of(g, at, &found, policy)
    return None


cdef Tenant find_tenant(Gateway g, bytes key):
    """By digest, as keys are at rest; a key that was found once is remembered while its row stays as it is.

    So are some that were not, for a client that will not stop, until the directory changes. The memos' own hash is
    keyed (SipHash), and the digest's look-up is over a one-way function: neither says how near a guess was.
    """
    cdef Tenant tenant = g.known.get(key)
    cdef int64_t generations
    if tenant is not None and is_current(tenant):
        return tenant
    generations = directory_generations(g)
    if generations != g.generations:
        g.unknown.clear()
        g.generations = generations
    if key in g.unknown:
        return None
    tenant = look_up_key(g, g.digest(key))
    if tenant is not None:
        if len(g.known) >= KNOWN_MAX:
            g.known.clear()
        g.known[key] = tenant
    else:
        if len(g.unknown) >= UNKNOWN_MAX:
            g.unknown.clear()
        g.unknown.add(key)
    return tenant
