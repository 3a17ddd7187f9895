# tenant: a key -> whose it is. The directory says so, and a worker remembers that while it says nothing else.
#
# Who stands behind a key (account, user, group, workspace) is a row of the directory, too, which many keys share. A key
# is current while its own row and theirs are as they were found: so a change of a party is one store, in force on all
# workers at once, however many keys there are.

cdef inline bint is_current(Tenant tenant) noexcept:
    """Whether the directory still says of the key, and of who stands behind it, what it said when it was looked up."""
    return is_as_found(tenant.row, tenant.version) and (not tenant.backed or is_backed(tenant))


cdef bint is_backed(Tenant tenant) noexcept:
    return (is_unchanged(tenant.of_account) and is_unchanged(tenant.of_user) and is_unchanged(tenant.of_group)
            and is_unchanged(tenant.of_workspace))


cdef inline bint is_unchanged(Tenant party) noexcept:
    return party is None or is_as_found(party.row, party.version)


cdef enum:
    KNOWN_MAX = 16384           # keys that a worker remembers, some hundred bytes each
    UNKNOWN_MAX = 1024
    POLICIES_MAX = 4096
    PLANS_MAX = 4096


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
    cdef bytes name
    tenant.name = found.name[:found.name_size].decode()
    tenant.row, tenant.version = at, found.version
    tenant.limits = Limits(g.slab, [(found.buckets[number], kind, most) for number, kind, most in policy.takes],
                           policy.shadow, policy.outage)
    tenant.priority, tenant.caches = policy.priority, policy.caches
    tenant.state_name = KEY_STATES[found.state]
    tenant.state = STATES_OF_KEYS[tenant.state_name]
    tenant.expires = found.expires
    tenant.allowed_from, tenant.denied_from = policy.allowed_from, policy.denied_from
    tenant.hours, tenant.minute = policy.hours, -1
    tenant.scopes, tenant.named = policy.scopes, policy.named
    tenant.models, tenant.denied_models = policy.models, policy.denied_models
    tenant.allows, tenant.allowed = policy.allows, policy.allowed
    tenant.providers = policy.providers
    tenant.account, tenant.bounded = found.parties[<int>ACCOUNT] or -1, policy.bounded
    tenant.pays = tenant.account > 0 or tenant.bounded
    if tenant.pays:
        name = b"%b\n#%d" % (g.store, tenant.account)
        tenant.payer = hash_of(name, len(name))
        name = b"%b\n%b" % (g.store, found.name[:found.name_size])
        tenant.spender = hash_of(name, len(name))
    tenant.of_account = party_of(g, tenant, found, ACCOUNT)
    tenant.of_user = party_of(g, tenant, found, USER)
    tenant.of_group = party_of(g, tenant, found, GROUP)
    tenant.of_workspace = party_of(g, tenant, found, WORKSPACE)
    account = None if tenant.of_account is None else (tenant.account, tenant.of_account.name)
    tenant.shares = g.cache_owner(PyBytes_FromStringAndSize(<const char*>found.digest, DIGEST), account)
    if tenant.of_group is not None:
        join_group(tenant, tenant.of_group)
    return tenant


cdef int join_group(Tenant tenant, Tenant group) except -1:
    """A key may use what both it and its group may."""
    if group.providers is not None and group.plans is None:
        group.plans = {}
    if group.allows is None:
        return 0
    if tenant.allows is None:
        tenant.allows, tenant.allowed = group.allows, group.allowed
        return 0
    own, groups = tenant.allows, group.allows
    tenant.allows, tenant.allowed = lambda name: own(name) and groups(name), {}
    return 0


cdef Tenant party_of(Gateway g, Tenant tenant, const Row* found, int kind):
    """Who stands behind a key. None: nobody is to; or nobody is there, and then nobody can use the key, either."""
    cdef int number = found.parties[kind]
    cdef int64_t name = <int64_t>number * N_PARTIES + kind
    cdef Tenant party
    if number == 0:
        return None
    tenant.backed = True
    party = g.parties.get(name)
    if party is not None and is_unchanged(party):
        return party
    party = look_up_row(g, PARTIES, party_digest(kind, number))
    if party is None:
        tenant.state, tenant.state_name = key_unavailable, "without its owner"
        tenant.version = 0              # of no row: asked for anew with each request
        return None
    if len(g.parties) >= KNOWN_MAX:
        g.parties.clear()
    g.parties[name] = party
    return party


cdef Tenant look_up_row(Gateway g, int source, bytes digest):
    """The row of a digest; None: there is none."""
    cdef Row found
    cdef const Row* at
    cdef Policy policy
    while directory_find(g.slab, source, PyBytes_AS_STRING(digest), &found, &at):
        policy = policy_of(g, source, at, &found)
        if policy is not None:
            return tenant_of(g, at, &found, policy)
    return None


cdef Tenant look_up_key(Gateway g, bytes digest):
    """What the directory says of a key; the file's word goes before the store's. None: nobody has such a key."""
    cdef Tenant tenant = look_up_row(g, FILE, digest)
    return look_up_row(g, STORE, digest) if tenant is None else tenant


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
