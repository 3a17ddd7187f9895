# catalogue: what it says of the model that is asked for: whether it is on, and what it is made for.
#
# A model of which it says nothing is asked for everything. Of the others a request shows what it needs by its path, and
# by members that are read anyway; of messages it is looked whether one holds an image, in so many steps at most.

cdef enum Sign:                 # how a member shows that it needs its capability
    IS_FILLED                   # it has elements
    SAYS_JSON                   # a form of answers that is some kind of JSON
    SHOWS_IMAGE                 # a part of a message is an image

cdef dict SIGNS = {"tools": IS_FILLED, "json": SAYS_JSON, "vision": SHOWS_IMAGE}

cdef enum:
    STEPS_MAX = 1048576         # of a look at messages; what is behind them the provider will say
    DEPTH_MAX = 64


cdef int judge_model(Exchange x, Model model) except -1:
    """Whether the model is on, and made for the request. Returns the condition that ends it, or 0."""
    cdef uint32_t missing
    cdef int condition
    x.model = model
    if model.off or x.others is not None or is_anything_said(x.gateway.board):
        condition = judge_switches(x)
        if condition:
            return condition
    if model.lacks == 0:
        return 0
    missing = model.lacks & x.route.asks
    if missing == 0 and x.route.json and model.lacks & x.route.may_need:
        missing = missed_by(x, model.lacks)
    if missing == 0:
        return 0
    x.say(S_MODEL, x.asked)
    x.say(S_EXPECTED, ", ".join([name for bit, name in enumerate(x.gateway.capabilities) if missing >> bit & 1]))
    return model_capability


cdef int judge_switches(Exchange x) except -1:
    """Whether the model, and those that a provider may take in its place, are on."""
    if is_off(x.gateway, x.asked, x.model):
        x.say(S_MODEL, x.asked)
        return model_disabled
    return judge_others_on(x) if x.others is not None else 0


cdef int judge_others_on(Exchange x) except -1:
    cdef bytes name
    cdef Model model
    for name in x.others:
        model = look_up(x.gateway, name)
        if model is not None and is_off(x.gateway, name, model):
            x.say(S_MODEL, name)
            return model_disabled
    return 0


cdef Model look_up(Gateway g, bytes name):
    """By name, else by pattern; what a pattern gave is remembered, within bounds: names come from outside."""
    cdef Model model = g.models.get(name)
    if model is None:
        model = g.resolve(name)
        if model is not None and len(g.models) < 4096 and len(name) <= REMEMBERED_MAX:
            g.models[name] = model
    return model


cdef uint32_t missed_by(Exchange x, uint32_t lacks) noexcept:
    """Of the capabilities that the model lacks those that the body's members need."""
    cdef const Member* members = members_of(x)
    cdef Route route = x.route
    cdef uint32_t missing = 0
    cdef int i
    for i in range(route.names.table.count):
        if route.needs[i] & lacks and shows(x, &members[i], route.signs[i]):
            missing |= route.needs[i]
    return missing


cdef bint shows(Exchange x, const Member* member, int sign) noexcept:
    """Whether a member shows that it needs its capability."""
    cdef const char* at = x.body.at + member.start
    cdef const char* end = x.body.at + member.end
    if sign == SHOWS_IMAGE:
        return member.kind == ARRAY and has_image(at, end)
    if sign == SAYS_JSON:
        return member.kind == OBJECT and memmem(at, end - at, b"\"json_", 6) != NULL
    if member.kind != ARRAY:
        return False
    at += 1
    while at[0] in b" \t\r\n":
        at += 1
    return at[0] != c"]"


cdef const char* string_end(const char* at, const char* end) noexcept nogil:
    """The quote that ends a string of right JSON, whose first byte is `at`."""
    cdef const char* quote
    cdef const char* slash
    while True:
        quote = <const char*>memchr(at, c'"', end - at)
        if quote == NULL:
            return end - 1
        slash = quote
        while slash > at and (slash - 1)[0] == c"\\":
            slash -= 1
        if not (quote - slash) & 1:
            return quote
        at = quote + 1


cdef inline bint is_text(const char* at, Py_ssize_t size, const char* text, Py_ssize_t length) noexcept nogil:
    return size == length and memcmp(at, text, length) == 0


cdef bint has_image(const char* at, const char* end) noexcept nogil:
    """Whether an array of messages, right JSON, has an image: a part in a message's content, or in that of a tool's
    result, of which `type` says so. What a tool is called with may say anything, and lies elsewhere."""
    cdef uint64_t arrays = 0        # bits by depth: what is open there is an array
    cdef const char* quote
    cdef int depth = 0, _step
    cdef bint is_name = False, is_type = False
    for _step in range(<int>STEPS_MAX):
        if at >= end:
            break
        if at[0] == c'"':
            at += 1
            quote = string_end(at, end)
            if is_type and (is_text(at, quote - at, b"image", 5) or is_text(at, quote - at, b"image_url", 9)
                            or is_text(at, quote - at, b"input_image", 11)):
                return True
            is_type = (is_name and is_text(at, quote - at, b"type", 4)
                       and (depth == 4 or depth == 6 and arrays >> 5 & 1) and arrays >> 3 & 1)
            is_name = False
            at = quote
        elif at[0] == c"{" or at[0] == c"[":
            depth += 1
            if depth >= DEPTH_MAX:
                break
            is_name = at[0] == c"{"
            arrays = arrays & ~(<uint64_t>1 << depth) | <uint64_t>(not is_name) << depth
            is_type = False
        elif at[0] == c"}" or at[0] == c"]":
            depth -= 1
        elif at[0] == c",":
            is_name = not arrays >> depth & 1
            is_type = False
        at += 1
    return False
