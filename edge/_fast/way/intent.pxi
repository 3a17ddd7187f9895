# intent: what a request is for: the rules of its body, its model, and the targets that serve it.
#
# One model decides about routing, aliases, what the key may use and what is counted, on every path: a deployment in the
# path, else the member or the field `model`. What cannot be read is for keys that may use all models, or that name its
# scope themselves.

cdef enum Reading:              # how a body is read
    UNREAD, AS_JSON, AS_FORM
    FOR_IDS                     # JSON: it says to whom it belongs, and no model

cdef enum:
    REMEMBERED_MAX = 256        # bytes of a model's name that a memo takes: clients may send as many as a body has
    SHOWN_MAX = 200             # characters of a key's models that a message names


cdef int reading_of(Exchange x, const char* buf, const Head* head) except -1:
    """How a request's body is to be read."""
    cdef const Field* field = field_of(head, K_CONTENT_TYPE)
    if x.route.json:
        return AS_JSON
    if x.method != M_POST or field == NULL or is_upload(x):
        return UNREAD
    if not x.gateway.says_model(x.line.partition(b"?")[0].decode()):
        return FOR_IDS if x.route.refers and is_json(buf, head) else UNREAD
    if is_json(buf, head):
        return AS_JSON
    boundary = boundary_of(value_of(buf, field))
    if boundary is None:
        return UNREAD
    x.form = Form(boundary)
    return AS_FORM


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
    if x.reads == UNREAD or x.body.size < x.scan_at:
        return 0
    if x.reads == AS_FORM:
        x.form.read(x.body.at, x.body.size, True)
        x.scan_at = x.body.size + PIECE
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
    condition = judge_query(x)
    if condition:
        return condition
    if x.scanning is None:
        result = scan(x.body.at, x.body.size, &route.names.table, members, &where)
    else:
        result = x.scanning.go_on(x.body, False)
        members, where = x.scanning.members, x.scanning.where
    if result != SCAN_OK:
        return unreadable(x, result, where)
    for i in range(route.names.table.count):
        condition = 0 if i == route.model_at and x.deployment is not None else check_member(x, i, &members[i])
        if condition:
            return condition
    if route.stream_at >= 0:
        x.stream = members[route.stream_at].kind == TRUE_
    if x.stream and route.options_at >= 0:
        plan_usage(x, &members[route.options_at])
    x.keeps = is_kept(route, members)
    if x.caching and (x.keeps or is_referring(route, members)):
        x.caching = UNUSED              # it is about what a provider keeps, for one request alone
    x.keeps &= route.makers is not None
    if route.count_at >= 0 and members[route.count_at].kind == NUMBER:
        x.choices = <uint8_t>min(number(x.body.at, &members[route.count_at]), 255.0)
    x.lasting = route.lasts_at >= 0 and members[route.lasts_at].kind == TRUE_
    if route.fill_at >= 0 and members[route.fill_at].kind <= NULL_:
        fill_in(x, &members[route.fill_at])
    if route.models_at >= 0 and members[route.models_at].kind > NULL_:
        condition = read_others(x, &members[route.models_at])
        if condition:
            return condition
    if x.deployment is not None:
        place_in_json(x, &members[route.model_at])
        return find_named(x, x.deployment)
    return find_model(x, &members[route.model_at])


cdef bint is_kept(Route route, const Member* members) noexcept:
    """Whether the provider keeps the answer, under an id."""
    cdef int kind = ABSENT if route.keep_at < 0 else members[route.keep_at].kind
    return kind == TRUE_ or route.keeps and kind != FALSE_


cdef bint is_referring(Route route, const Member* members) noexcept:
    """Whether it has an id of something that a provider keeps."""
    cdef int i
    for i in range(route.names.table.count):
        if route.refers >> i & 1 and members[i].kind > NULL_:
            return True
    return False


cdef int judge_query(Exchange x) except -1:
    """A parameter that some servers put before the body's model. (Behind an operator's own path it may be the one.)"""
    if b"?" not in x.line or x.route.pinned and x.tenant.allows is None and not x.tenant.pays:
        return 0
    name = names_model(x.line.partition(b"?")[2])
    if name is None:
        return 0
    x.say(S_FIELD, "model")
    x.say(S_EXPECTED, "in the body alone")
    x.say(S_GOT, b"%b in the query" % name[:256])
    return field_value


cdef int read_others(Exchange x, const Member* models) except -1:
    """The models that a provider may take in place of the one asked for: a key that may not use one may not name it,
    and who pays may name none, as what is asked for has one price."""
    try:
        names = orjson.loads(PyBytes_FromStringAndSize(x.body.at + models.start, models.end - models.start))
    except ValueError:
        names = None                # right JSON, but with a number that nothing here can hold
    if x.tenant.pays and names != []:
        return other_models(x)
    names = names if isinstance(names, list) else [names]
    if x.tenant.allows is not None:
        for name in names:
            if not isinstance(name, str):
                return deny(x, x.tenant, orjson.dumps(name), b"")
    x.others = tuple([(<str>name).encode() for name in names if isinstance(name, str)])
    return 0 if x.tenant.allows is None else judge_others(x, x.tenant)


cdef int other_models(Exchange x) except -1:
    """Refuses them."""
    x.say(S_FIELD, "models")
    x.say(S_EXPECTED, "left out, as who pays with points asks for one model, which has one price")
    x.say(S_GOT, "several")
    return field_value


cdef int judge_others(Exchange x, Tenant tenant) except -1:
    cdef bytes name
    for name in x.others:
        if not is_allowed(tenant, name):
            return deny(x, tenant, orjson.dumps(name.decode()), name)
    return 0


cdef int judge_names(Exchange x, Tenant tenant) except -1:
    """Whether a key may use all models that a request names, or one that names none that was read."""
    if x.asked is not None and not is_allowed(tenant, x.asked):
        return deny(x, tenant, x.asked, x.asked)
    if not x.route.json and is_unread(x, x.asked) and not tenant.named >> x.route.index & 1:
        x.say(S_FIELD, x.route.name)
        return scope_missing
    return 0 if x.others is None else judge_others(x, tenant)


cdef int deny(Exchange x, Tenant tenant, bytes said, bytes name) except -1:
    """The key may not use the model, and hears which it may: its own, as the operator wrote them; or its group's."""
    cdef Tenant group = tenant.of_group
    if group is not None and group.allows is not None and not is_allowed(group, name):
        tenant = group
    most = listed(tenant.models) if tenant.models else "all"
    x.say(S_MODEL, said)
    x.say(S_EXPECTED, f"{most} but {listed(tenant.denied_models)}" if tenant.denied_models else most)
    return group_denied if tenant is group else model_denied


cdef int keep_to_group(Exchange x) except -1:
    """Of its targets those of the providers that the key's group may use."""
    cdef Tenant group = x.tenant.of_group
    plan = group.plans.get(x.plan)
    if plan is None:
        plan = tuple([target for target in x.plan if (<Target>target).pool.name in group.providers])
        if len(group.plans) < PLANS_MAX:
            group.plans[x.plan] = plan
    if not plan:
        return deny_provider(x, group)
    x.plan = plan
    x.target = <Target>x.plan[0]
    return 0


cdef int deny_provider(Exchange x, Tenant group) except -1:
    """None of the group's providers is to have the request."""
    x.say(S_MODEL, x.asked or b"of this path")
    x.say(S_EXPECTED, f"what these providers serve: {listed(tuple(sorted(group.providers)))}")
    return group_denied


cdef str listed(tuple models):
    """As many of the names as a message takes."""
    cdef int count = 1
    cdef Py_ssize_t size = len(models[0])
    while count < len(models) and size + len(models[count]) <= SHOWN_MAX:
        size += len(models[count])
        count += 1
    more = len(models) - count
    return f"{', '.join(models[:count])}{f' and {more} more' if more else ''}"


cdef int unreadable(Exchange x, int result, Py_ssize_t where) except -1:
    """The condition of a body that is no JSON, or that two decoders could read in two ways."""
    cdef Py_ssize_t end = where + 1
    if result != SCAN_ALIKE:
        x.say(S_REASON, f"at byte {where}")
        return json_invalid
    while x.body.at[end] != c'"' or x.body.at[end - 1] == c"\\":
        end += 1
    return misnamed(x, PyBytes_FromStringAndSize(x.body.at + where + 1, min(end - where - 1, <Py_ssize_t>256)))


cdef int misnamed(Exchange x, bytes name) except -1:
    """A member or field that the gateway acts on is there twice, or under a name that only some would take for it."""
    try:
        plain = orjson.loads(b'"' + name + b'"')
    except ValueError:
        plain = name.decode("utf-8", "replace")
    small = plain.partition("\0")[0].casefold().replace("\u0131", "i").replace("i\u0307", "i")
    x.say(S_FIELD, small if small in x.route.names.names else "model")
    x.say(S_EXPECTED, "there once, under exactly this name")
    x.say(S_GOT, name)
    return field_value


cdef int fill_in(Exchange x, const Member* member) except -1:
    """A member that is absent, or null, goes on with its default."""
    if member.kind == NULL_:
        x.fill, x.fill_start, x.fill_end = x.route.fill_value, member.start, member.end
        return 0
    x.fill = x.route.fill
    x.fill_start = x.fill_end = behind_brace(x)
    return 0


cdef Py_ssize_t behind_brace(Exchange x) noexcept:
    """Where the first member of a JSON object may stand."""
    cdef Py_ssize_t at = 0
    while x.body.at[at] != c"{":
        at += 1
    return at + 1


cdef int place_in_json(Exchange x, const Member* member) except -1:
    """Where the model's name is in the body, or goes."""
    cdef Py_ssize_t at
    if member.kind != ABSENT:
        x.place, x.model_start, x.model_end = IN_JSON, member.start, member.end
        return 0
    at = behind_brace(x)
    x.place, x.model_start, x.model_end = NOT_IN_JSON, at, at
    while x.body.at[at] in b" \t\r\n":
        at += 1
    x.empty = x.body.at[at] == c"}"
    return 0


cdef int check_member(Exchange x, int i, const Member* member) except -1:
    cdef const Check* check = &x.route.checks[i]
    cdef double value
    if member.kind == ABSENT or member.kind == NULL_:
        if check.required:
            x.say(S_FIELD, x.route.names.names[i])
            return field_missing
        return 0
    if not check.kinds & (1 << member.kind):
        x.say(S_FIELD, x.route.names.names[i])
        x.say(S_EXPECTED, x.route.words[i])
        x.say(S_GOT, KINDS[member.kind])
        return field_type
    if member.kind == NUMBER:
        value = number(x.body.at, member)
        if value < check.low or value > check.high:
            x.say(S_FIELD, x.route.names.names[i])
            x.say(S_EXPECTED, f"between {check.low:g} and {check.high:g}" if check.high < INFINITY
                  else f"at least {check.low:g}")
            x.say(S_GOT, PyBytes_FromStringAndSize(x.body.at + member.start, member.end - member.start))
            return field_value
    elif member.kind == STRING and check.required and member.end - member.start == 2:
        x.say(S_FIELD, x.route.names.names[i])
        return field_missing
    return 0


cdef int find_model(Exchange x, const Member* member) except -1:
    """Model name -> targets. The name's span is kept, so that an alias can be spliced in."""
    cdef Downstream d = x.downstream
    cdef const char* at = x.body.at + member.start + 1
    cdef Py_ssize_t size = member.end - member.start - 2
    cdef bytes raw = d.model_name
    x.model_start = member.start
    x.model_end = member.end
    if same(raw, at, size) and not member.escaped:
        x.asked = raw
        return find_targets(x, d.model)
    return find_named(x, text_of(x, member))


cdef bytes text_of(Exchange x, const Member* member):
    """A string's text."""
    cdef bytes raw = PyBytes_FromStringAndSize(x.body.at + member.start + 1, member.end - member.start - 2)
    return orjson.loads(b'"' + raw + b'"').encode() if member.escaped else raw


cdef int find_named(Exchange x, bytes name) except -1:
    """A model that is not the one that this client asked for last."""
    cdef Downstream d = x.downstream
    cdef Model model = look_up(x.gateway, name)
    x.asked = name
    if model is None:
        x.say(S_MODEL, name)
        return model_unknown
    if len(name) <= REMEMBERED_MAX:
        d.model_name = name
        d.model = model
    return find_targets(x, model)


cdef int find_targets(Exchange x, Model model) except -1:
    """The targets of the model that was asked for, if the key may use it, it is made for the request, and the route's
    dialect serves it."""
    cdef int condition
    if x.tenant.allows is not None and not is_allowed(x.tenant, x.asked):
        return deny(x, x.tenant, x.asked, x.asked)
    condition = judge_model(x, model)
    if condition:
        return condition
    targets = model.targets[x.surface.name]
    x.model_limits, x.prices = model.limits, model.prices
    if not targets:
        x.say(S_REASON, b"%b for the model %b, whose provider speaks another API. Ask for it at %b" % (
            x.line.partition(b"?")[0], x.asked[:256], path_of(x, model)))
        return not_implemented
    x.plan = targets
    x.target = <Target>x.plan[0]
    return 0


cdef bytes path_of(Exchange x, Model model):
    """Where a model that is there is asked in its own dialect."""
    cdef Surface surface
    for surface in x.gateway.surfaces:
        if model.targets[surface.name]:
            return surface.generates
    return b""


cdef int read_relayed(Exchange x) except -1:
    """The same for a relayed path. Without a model, or with one that nobody knows, it goes to the path's provider."""
    cdef bytes name
    cdef Model model
    cdef int condition
    x.plan = x.route.plan
    x.target = <Target>x.plan[0]
    condition = read_name(x)
    if condition:
        return condition
    name = x.asked
    if x.tenant.allows is not None:
        condition = judge_names(x, x.tenant)
        if condition:
            return condition
    model = None if name is None else look_up(x.gateway, name)
    if model is None and needs_price(x):
        x.say(S_FIELD, x.route.name)
        return scope_missing
    return lead(x, model)


cdef bint needs_price(Exchange x) noexcept:
    """Whether it may be work that costs something, and somebody is to pay for it whose key does not name the scope."""
    return (x.tenant.pays and x.gateway.priced and x.method not in (M_GET, M_HEAD, M_DELETE)
            and not x.tenant.named >> x.route.index & 1)


cdef bint is_unread(Exchange x, bytes name) noexcept:
    """Whether it may be about a model that nobody has read: one in a body, whatever a path says of a deployment."""
    if x.route.name == "models":
        return False
    return name is None or (x.place == NOWHERE and (x.body.size > 0 or x.unread > 0))


cdef int lead(Exchange x, Model model) except -1:
    """To the targets of a model that is known; behind an operator's own path to those of the path's provider alone."""
    cdef int condition
    if model is None:
        return 0
    if not x.route.pinned:
        return find_targets(x, model)
    condition = judge_model(x, model)
    if condition:
        return condition
    x.model_limits, x.prices = model.limits, model.prices
    targets = tuple([target for target in model.targets[x.surface.name] if (<Target>target).pool is x.target.pool])
    if targets:
        x.plan = targets
        x.target = <Target>x.plan[0]
    return 0


cdef int read_name(Exchange x) except -1:
    """The model of a relayed request, as far as it has one that can be read: in x.asked."""
    cdef Member* members = x.gateway.members
    cdef Py_ssize_t where = 0
    cdef int result
    x.asked = x.deployment
    x.place = NOWHERE
    if x.route.name == "models":
        return read_listed(x)
    if x.reads == AS_JSON or x.reads == AS_FORM:
        result = judge_query(x)
        if result:
            return result
    if x.reads == UNREAD or x.body.size == 0:
        return 0
    if x.reads == AS_FORM:
        return read_form(x)
    if x.scanning is None:
        result = scan(x.body.at, x.body.size, &x.route.names.table, members, &where)
    else:
        result = x.scanning.go_on(x.body, False)
        members, where = x.scanning.members, x.scanning.where
    x.legible = result == SCAN_OK
    if x.reads == FOR_IDS:
        return 0
    if result == SCAN_ALIKE or result != SCAN_OK and x.tenant.allows is not None:
        return unreadable(x, result, where)
    if result != SCAN_OK:
        return 0                    # whatever it is: the provider will say
    if x.deployment is None and members[0].kind > NULL_:
        result = check_member(x, 0, &members[0])
        if result:
            return result
    if members[x.route.models_at].kind > NULL_:
        result = read_others(x, &members[x.route.models_at])
        if result:
            return result
    place_in_json(x, &members[0])
    if x.asked is None and members[0].kind == STRING and members[0].end - members[0].start > 2:
        x.asked = text_of(x, &members[0])
    return 0


cdef int read_form(Exchange x) except -1:
    """The same of a form."""
    cdef int result = x.form.read(x.body.at, x.body.size, False)
    if result == FORM_ALIKE:
        return misnamed(x, x.form.named)
    if result != FORM_OK:
        return 0 if x.tenant.allows is None else body_unreadable
    if x.form.others and x.tenant.pays:
        return other_models(x)
    if x.form.others and x.tenant.allows is not None:
        return deny(x, x.tenant, b"of the field models", b"")
    if x.form.start:
        x.place, x.model_start, x.model_end = IN_FORM, x.form.start, x.form.end
        if x.asked is None:
            x.asked = PyBytes_FromStringAndSize(x.body.at + x.form.start, x.form.end - x.form.start)
    else:
        x.place = NOT_IN_FORM
    return 0


cdef int read_listed(Exchange x) except -1:
    """A relayed list of models is for all keys; one model of it, if it is on, for those that may use it."""
    cdef bytes name = x.gateway.named(x.line.partition(b"?")[0][len("/v1/models/"):])
    cdef Model model = look_up(x.gateway, name) if name else None
    if (name and x.tenant.allows is not None and not is_allowed(x.tenant, name)
            or model is not None and is_off(x.gateway, name, model)):
        x.say(S_MODEL, name)
        return model_unknown
    return 0
