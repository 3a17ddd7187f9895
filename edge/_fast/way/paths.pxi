# paths: a request's path -> its route.
#
# A path is read as it is, then without what clients put before ours (a base URL's second /v1, Azure's /openai), then
# with the /v1 that a base URL lacks. What is relayed goes on as it came, and must mean the same to every server.

cdef int find_route(Exchange x, const char* buf, const Head* head) except -1:
    """Sets route and surface. Unknown paths are answered in the dialect that the path looks like."""
    cdef Gateway g = x.gateway
    cdef Downstream d = x.downstream
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
    x.line = PyBytes_FromStringAndSize(buf + head.path, head.path_len)
    route = locate(x)
    if route is None:
        return miss(x, buf, head)
    if route.other is not None and field_of(head, route.other.surface.version) != NULL:
        route = route.other
    x.route = route
    x.surface = route.surface
    if not route.methods >> head.method & 1:
        x.say(S_METHOD, method_of(buf, head))
        return method_not_allowed
    if route.json:
        d.route = route
    if head.query_len:
        x.line += without_version(x, PyBytes_FromStringAndSize(buf + head.query, head.query_len))
    return 0


cdef bytes method_of(const char* buf, const Head* head):
    """The method's own name, of one that we do not know as far as it is of some length."""
    if head.method != M_OTHER:
        return METHODS[head.method]
    return PyBytes_FromStringAndSize(buf, min(<Py_ssize_t>head.size, <Py_ssize_t>32)).partition(b" ")[0]


cdef int miss(Exchange x, const char* buf, const Head* head) except -1:
    """No route has this path: the answer names the one that was probably meant, if there is one."""
    cdef bytes path = x.line
    cdef bytes meant = nearest(x.gateway, path)
    interface = x.gateway.interface(path) or x.gateway.interface(usual(path))
    if interface is not None:
        x.say(S_REASON, interface)
        return not_implemented
    x.surface = surface_like(x.gateway, usual(path), head)
    x.say(S_PATH, path[:256] if meant is None else b"%b. Did you mean %b?" % (path[:256], meant))
    x.say(S_METHOD, method_of(buf, head))
    return endpoint_unknown


cdef Surface surface_like(Gateway g, bytes path, const Head* head):
    """The dialect of a request that has no route: its path or one of its fields may show it."""
    cdef Surface surface
    for surface in g.surfaces:
        if surface.prefix is not None and path.startswith(surface.prefix):
            return surface
        if surface.version >= 0 and head != NULL and field_of(head, surface.version) != NULL:
            return surface
    return g.surfaces[0]


cdef Route locate(Exchange x):
    """The route of x.line, which becomes the path as the route has it. None: there is none."""
    cdef bytes path = x.line
    cdef Route route = route_at(x.gateway, path)
    if route is None and path.startswith(DEPLOYMENTS):
        return at_deployment(x, path)
    if route is None:
        path = usual(path)
        route = route_at(x.gateway, path)
        x.azure = x.line.startswith(b"/openai/")
    if route is not None:
        x.line = path
    return route


cdef bytes DEPLOYMENTS = b"/openai/deployments/"


cdef bytes usual(bytes path):
    """The path with one /v1 before it, as our routes have it."""
    if path.startswith(b"/v1/v1/"):
        return path[3:]
    if path.startswith(b"/openai/v1/"):
        return path[7:]
    if path.startswith(b"/openai/"):
        return b"/v1" + path[7:]
    return path if path.startswith(b"/v1/") else b"/v1" + path


cdef Route at_deployment(Exchange x, bytes path):
    """Azure's path of a deployment: its name is the model. (It may hold slashes, a few, written as such or escaped.)"""
    cdef Route route
    cdef Py_ssize_t at = len(DEPLOYMENTS)
    cdef int i
    for i in range(4):
        at = path.find(b"/", at + 1)
        if at < 0:
            return None
        route = route_at(x.gateway, b"/v1" + path[at:])
        if route is not None and (route.json or x.gateway.says_model((b"/v1" + path[at:]).decode())):
            x.deployment = x.gateway.named(path[len(DEPLOYMENTS):at])
            if x.deployment is None:
                return None
            x.azure = True
            x.line = b"/v1" + path[at:]
            return route
    return None


cdef bytes without_version(Exchange x, bytes query):
    """The query; of Azure's clients without api-version, which is said to us: a provider of Azure's has its own."""
    if not x.azure:
        return query
    kept = [pair for pair in query[1:].split(b"&") if pair.partition(b"=")[0].lower() != b"api-version"]
    return b"?" + b"&".join(kept) if kept else b""


cdef Route route_at(Gateway g, bytes path):
    """Exactly this path's, or that of the relayed path that it lies in."""
    cdef Route route = g.routes.get(path)
    if route is not None:
        return route
    for prefix, route in g.prefixes:
        if lies_in(path, prefix, route):
            return route if route.own is not None or is_plain(g, path, route) else None
    return None


cdef bint lies_in(bytes path, bytes prefix, Route route) except -1:
    """Whether a path is one of a prefix: of an operator's own all that begin so, of ours itself and what is below it.

    A slash at the end alone names the collection, which has a route of its own with rules of its own.
    """
    if not path.startswith(prefix):
        return False
    cdef bytes rest = path[len(prefix):]
    return len(rest) > 0 if prefix.endswith(b"/") else route.pinned or not rest or rest.startswith(b"/")


cdef bint is_plain(Gateway g, bytes path, Route route) except -1:
    """Whether every server reads a relayed path alike; g.is_plain knows, and is asked where there is any doubt."""
    cdef const char* at = PyBytes_AS_STRING(path)
    cdef Py_ssize_t i, size = PyBytes_GET_SIZE(path)
    for i in range(size):
        if (at[i] in b";%" or at[i] == c"/" and i and at[i - 1] in b"/."
                or at[i] == c"." and i + 1 == size):
            return g.is_plain(path, route.name == "models")
    return True


cdef bytes bare(bytes path):
    """The path without the /v1 of a base URL."""
    return path[3:] if path.startswith(b"/v1/") else path


cdef bytes nearest(Gateway g, bytes path):
    """The known path that has most of this one's words, and of those the one with the fewest other letters.

    None: no word is in any of them, and in none of them are fewer than a third of the letters others.
    """
    cdef bytes text = bare(path[max(0, len(path) - 64):].lower()), best = None
    cdef int score, most = -1 - <int>len(text) // 3
    words = frozenset(text.split(b"/")) - {b""}
    for known, known_words in g.paths:
        score = 64 * len(words & known_words) - distance(text, bare(known))
        if score > most:
            best, most = known, score
    return best


cdef int distance(bytes a, bytes b) noexcept:
    """How many letters must be changed, put in or taken out to make the first 64 of b out of a (Levenshtein)."""
    cdef const char* left = PyBytes_AS_STRING(a)
    cdef const char* right = PyBytes_AS_STRING(b)
    cdef int row[65]
    cdef int i, j, above, kept, width = min(<int>PyBytes_GET_SIZE(b), 64)
    for j in range(width + 1):
        row[j] = j
    for i in range(<int>PyBytes_GET_SIZE(a)):
        above = row[0]
        row[0] = i + 1
        for j in range(width):
            kept = above + (left[i] != right[j])
            above = row[j + 1]
            row[j + 1] = min(kept, min(above, row[j]) + 1)
    return row[width]
