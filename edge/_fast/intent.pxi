# intent: what a request is for: the rules of its body, its model, and the targets that serve it.

cdef class Scanning:

    cdef int go_on(self, Store body, bint more) noexcept:
        """Reads what has come, unless it is known to be wrong already."""
        if self.result == SCAN_MORE:
            self.result = scan_on(&self.scan, body.at, body.size, more, &self.where)
        return self.result


cdef int scan_ahead(Exchange x) except -1:
    """Scans what is there of a long body: it is in the processor's cache now, and nobody has to wait for all of it.

    Each time at least as much must have come as may have to be read again: see scan_on().
    """
    if not x.route.json or x.body.size < x.scan_at:
        return 0
    if x.scanning is None:
        x.scanning = Scanning.__new__(Scanning)
        x.scanning.result = SCAN_MORE
        scan_begin(&x.scanning.scan, &x.route.names.table, x.scanning.members)
    x.scanning.go_on(x.body, True)
    x.scan_at = x.body.size + max(<Py_ssize_t>PIECE, x.body.size - x.scanning.scan.at)
    return 0


cdef int read_intent(Exchange x) except -1:
    """Body -> model, stream; every rule of the route is checked. Returns the condition that ends it, or 0."""
    cdef Gateway g = x.gateway
    cdef Route route = x.route
    cdef Member* members = g.members
    cdef Py_ssize_t where = 0
    cdef int i, condition, result
    if x.scanning is None:
        result = scan(x.body.at, x.body.size, &route.names.table, members, &where)
    else:
        result = x.scanning.go_on(x.body, False)
        members, where = x.scanning.members, x.scanning.where
    if result != SCAN_OK:
        set_value(x, S_REASON, f"at byte {where}")
        return json_invalid
    for i in range(route.names.table.count):
        condition = check_member(x, i, &members[i])
        if condition:
            return condition
    if route.stream_at >= 0:
        x.stream = members[route.stream_at].kind == TRUE_
    if x.stream and route.options_at >= 0:
        plan_usage(x, &members[route.options_at])
    if route.count_at >= 0 and members[route.count_at].kind == NUMBER:
        x.choices = <uint8_t>min(number(x.body.at, &members[route.count_at]), 255.0)
    return find_model(x, &members[route.model_at])


cdef int check_member(Exchange x, int i, const Member* member) except -1:
    cdef const Check* check = &x.route.checks[i]
    cdef double value
    if member.kind == ABSENT or member.kind == NULL_:
        if check.required:
            set_value(x, S_FIELD, x.route.names.names[i])
            return field_missing
        return 0
    if not check.kinds & (1 << member.kind):
        set_value(x, S_FIELD, x.route.names.names[i])
        set_value(x, S_EXPECTED, x.route.words[i])
        set_value(x, S_GOT, KINDS[member.kind])
        return field_type
    if member.kind == NUMBER:
        value = number(x.body.at, member)
        if value < check.low or value > check.high:
            set_value(x, S_FIELD, x.route.names.names[i])
            set_value(x, S_EXPECTED, f"between {check.low:g} and {check.high:g}" if check.high < INFINITY
                      else f"at least {check.low:g}")
            set_value(x, S_GOT, PyBytes_FromStringAndSize(x.body.at + member.start, member.end - member.start))
            return field_value
    elif member.kind == STRING and check.required and member.end - member.start == 2:
        set_value(x, S_FIELD, x.route.names.names[i])
        return field_missing
    return 0


cdef Model look_up(Gateway g, bytes name):
    """By name, else by pattern; what a pattern gave is remembered, up to a number: names come from outside."""
    cdef Model model = g.models.get(name)
    if model is None:
        model = g.resolve(name)
        if model is not None and len(g.models) < 4096:
            g.models[name] = model
    return model


cdef int find_model(Exchange x, const Member* member) except -1:
    """Model name -> targets. The name's span is kept, so that an alias can be spliced in."""
    cdef Downstream d = x.downstream
    cdef const char* at = x.body.at + member.start + 1
    cdef Py_ssize_t size = member.end - member.start - 2
    cdef bytes raw = d.model_name
    cdef Model model = d.model
    x.model_start = member.start
    x.model_end = member.end
    if not same(raw, at, size) or member.escaped:
        raw = PyBytes_FromStringAndSize(at, size)
        if member.escaped:
            raw = orjson.loads(b'"' + raw + b'"').encode()
        model = look_up(x.gateway, raw)
        if model is None:
            set_value(x, S_MODEL, raw)
            return model_unknown
        d.model_name = raw
        d.model = model
    if x.tenant.allows is not None and not is_allowed(x.tenant, raw):
        set_value(x, S_MODEL, raw)
        return model_denied
    targets = model.targets[x.surface]
    if not targets:
        set_value(x, S_REASON, b"the model " + raw + b" in this API's format")
        return not_implemented
    x.model_name = raw
    x.plan = targets
    x.target = <Target>x.plan[0]
    return 0
