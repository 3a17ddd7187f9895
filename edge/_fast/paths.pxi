# paths: a request's path -> its route.

cdef int find_route(Exchange x, const char* buf, const Head* head) except -1:
    """Sets route and surface. Unknown paths are answered in the dialect that the path looks like."""
    cdef Gateway g = x.gateway
    cdef Downstream d = x.downstream
    cdef bytes path
    cdef Route route = d.route
    if d.version != g.version:
        d.route, d.tenant, d.model, d.key, d.model_name = None, None, None, None, None
        d.version = g.version
    elif route is not None and head.method == M_POST and same(route.path, buf + head.path, head.path_len):
        x.route = route
        x.surface = route.surface
        x.line = route.path
        if head.query_len:
            x.line += PyBytes_FromStringAndSize(buf + head.query, head.query_len)
        return 0
    path = PyBytes_FromStringAndSize(buf + head.path, head.path_len)
    route = g.routes.get(path)
    if route is None and path.startswith(b"/v1/v1/"):
        # SDKs that append /v1 to a base URL that already ends with it.
        path = path[3:]
        route = g.routes.get(path)
    if route is None:
        route = by_prefix(g, path)
    if route is None:
        x.surface = ANTHROPIC if path.startswith(b"/v1/messages") else OPENAI
        set_value(x, S_PATH, path)
        set_value(x, S_METHOD, METHODS[head.method])
        return endpoint_unknown
    if route.anthropic is not None and field_of(head, K_ANTHROPIC_VERSION) != NULL:
        route = route.anthropic
    x.route = route
    x.surface = route.surface
    if route.own is not None:
        if head.method != M_GET and head.method != M_HEAD:
            set_value(x, S_METHOD, METHODS[head.method])
            return method_not_allowed
    elif head.method == M_OTHER or head.method == M_OPTIONS or (route.json and head.method != M_POST):
        set_value(x, S_METHOD, METHODS[head.method])
        return method_not_allowed
    elif route.json:
        d.route = route
    x.line = path
    if head.query_len:
        x.line = path + PyBytes_FromStringAndSize(buf + head.query, head.query_len)
    return 0


cdef Route by_prefix(Gateway g, bytes path):
    """The relayed path that this one lies in. One that could mean another path at the provider lies in none."""
    if b"." in path or b"%" in path:
        plain = path.lower().replace(b"%2e", b".")
        if b"/./" in plain or b"/../" in plain or plain.endswith((b"/.", b"/..")) or b"%2f" in plain or b"%5c" in plain:
            return None
    for prefix, route in g.prefixes:
        # A slash at the end alone names the collection, which has a route of its own with rules of its own.
        if path.startswith(prefix) and not (prefix.endswith(b"/") and len(path) == len(prefix)):
            return route
    return None
