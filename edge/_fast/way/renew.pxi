# renew: what has changed since a request was judged: its key, who stands behind that, what operators say of its model.
#
# It is asked before the body is read, before limits are taken, and before a provider gets the request; and of who waits
# when something has changed. So what admins say holds for all that no provider has yet.

cdef int renew(Exchange x) except -1:
    """Returns the condition that ends the request, or 0.

    Where it has taken of its limits already it keeps to them; whether it may go on is told by what its key is now.
    """
    cdef Tenant tenant
    cdef int condition
    if not is_current(x.tenant):
        tenant = find_tenant(x.gateway, x.downstream.key)
        if tenant is None:
            return key_unknown
        condition = judge_key(x, tenant)
        if condition == 0 and x.plan is not None:
            condition = judge_wanted(x, tenant)
        if condition:
            return condition
        if not x.limited:
            x.tenant = tenant
    if x.model is not None and (x.model.off or is_anything_said(x.gateway.board)):
        return judge_switches(x)
    return 0


cdef int judge_wanted(Exchange x, Tenant tenant) except -1:
    """Whether a key, as it is now, may use what the request has been found to ask for."""
    cdef Tenant group = tenant.of_group
    cdef int condition
    if tenant.allows is not None:
        condition = judge_names(x, tenant)
        if condition:
            return condition
    if group is not None and group.providers is not None and x.target.pool.name not in group.providers:
        return deny_provider(x, group)
    return 0


cdef int recheck(Exchange x) except -1:
    """The verdict on a request that waits."""
    cdef int condition = renew(x)
    if condition:
        return x.refuse(condition)
    return shut_off(x) if x.state == QUEUED and x.target.health.forced == FORCED_OPEN else AWAIT


cdef int shut_off(Exchange x) except -1:
    """An operator has taken its target out: another one may have it."""
    x.retry_after_ms = 30000
    return x.fail(circuit_open, "its targets are taken out for now")
