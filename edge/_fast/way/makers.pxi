# makers: which of several providers of a kind has what a request refers to.
#
# What an answer gives out is remembered for the host, and a request that refers to it, in its path or its body, goes to
# who gave it out and to nobody else: another would not know it. Where nobody remembers, the first is asked, and what it
# does not have is looked for at the others, as far as asking changes nothing. An id is a hint, no right: what the key
# may use was decided before, and the worst that a wrong hint brings is that a provider does not know the id.

cdef enum:
    MAKERS_MAX = 64              # providers that are asked for one id
    LISTED_MAX = 16             # ids of one list that are looked up

cdef Names MADE = Names(("id", "output_file_id", "error_file_id", "file"))


cdef int lead_home(Exchange x) except -1:
    """To the provider that has what the request refers to, where that is known and it may serve the request."""
    cdef Target target
    cdef int maker
    if x.route.pinned or not x.route.refers:
        return 0
    maker = -1 if x.route.json else maker_in_path(x)
    if maker < 0 and (x.route.json or x.legible):
        maker = maker_in_body(x)
    if maker < 0:
        return 0
    for target in x.route.makers if x.plan is x.route.plan else x.plan:
        if target.pool.index == maker:
            x.plan = (target,)
            x.target = target
            break
    return 0


cdef int maker_of(Exchange x, bytes name) noexcept:
    return x.gateway.slab.maker(hash_of(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name)))


cdef int maker_in_path(Exchange x) except -2:
    """Of the first segment that somebody has given out as an id."""
    cdef int maker = -1
    for segment in x.line.partition(b"?")[0].split(b"/"):
        name = x.gateway.named(segment) if b"%" in segment else segment
        maker = -1 if name is None else maker_of(x, name)
        if maker >= 0:
            break
    return maker


cdef int maker_in_body(Exchange x) except -2:
    """Of the first member that refers to something."""
    cdef const Member* members = members_of(x)
    cdef int i, maker = -1
    for i in range(x.route.names.table.count):
        if not x.route.refers >> i & 1 or members[i].kind < STRING:
            continue
        for name in ids_in(x, &members[i]):
            maker = maker_of(x, name)
            if maker >= 0:
                return maker
    return -1


cdef list ids_in(Exchange x, const Member* member):
    """The ids of a member: a string, several of them, or an object's."""
    if member.kind == STRING:
        return [text_of(x, member)]
    value = []
    try:
        value = orjson.loads(PyBytes_FromStringAndSize(x.body.at + member.start, member.end - member.start))
    except ValueError:
        pass                        # right JSON, but with a number that nothing here can hold
    found = [value.get("id")] if type(value) is dict else value[:LISTED_MAX]
    return [name.encode() for name in found if type(name) is str]


cdef bint look_elsewhere(Exchange x) except -1:
    """Whether another provider may have what this one does not, and asking it changes nothing: it is the plan then."""
    cdef tuple makers = x.route.makers
    cdef Target target
    cdef int i, count = min(<int>len(makers), <int>MAKERS_MAX)
    cdef frozenset providers = x.tenant.of_group.providers if x.tenant.of_group is not None else None
    if x.method not in (M_GET, M_HEAD, M_DELETE) or x.route.pinned or x.spent or x.gateway.now >= x.deadline:
        return False
    for i in range(count):
        target = <Target>makers[i]
        if target.pool is x.target.pool or (providers is not None and target.pool.name not in providers):
            x.missed |= <uint64_t>1 << i
    for i in range(count):
        if not x.missed >> i & 1:
            x.plan = (<Target>makers[i],)
            x.tried = 0
            return True
    return False


cdef bint brings_id(Exchange x, const char* buf, const Head* head) except -1:
    """Whether a relayed answer may give out an id, or show again what a GET has named."""
    return (head.status < 300 and (x.method == M_POST or x.method == M_GET)
            and is_json(buf, head) and coding_of(buf, head) is None)


cdef int look_for_ids(Exchange x, const char* data, Py_ssize_t size, bint ended) except -1:
    """Reads a relayed JSON answer once it is whole; a longer one by its beginning, where ids stand."""
    cdef Store copy = x.copy
    cdef bint more = not ended and copy.size + size > HOLD_MAX
    if not ended and not more:
        return copy.append(data, size)
    x.copy = None
    if copy.size:
        copy.append(data, min(size, HOLD_MAX - copy.size))
        data, size = copy.at, copy.size
    return note_ids(x, data, min(size, <Py_ssize_t>HOLD_MAX), more)


cdef int note_ids(Exchange x, const char* data, Py_ssize_t size, bint more) except -1:
    """Remembers who has given out what an answer names.

    What a GET brings may be a client's own text, a file's content say: it counts where it is the object at that path.
    """
    cdef Scan s
    cdef Member members[MAX_NAMES]
    cdef Py_ssize_t where
    cdef bytes path
    cdef int i
    scan_begin(&s, &MADE.table, members)
    if scan_on(&s, data, size, more, &where) != (SCAN_MORE if more else SCAN_OK):
        return 0
    if x.method == M_GET:
        path = x.line.partition(b"?")[0]
        if members[0].kind != STRING or members[0].end == 0 or not path.endswith(
                b"/" + PyBytes_FromStringAndSize(data + members[0].start + 1, members[0].end - members[0].start - 2)):
            return 0
    for i in range(MADE.table.count):
        if members[i].end == 0:
            continue                                    # it is not there, or not to its end
        if members[i].kind == OBJECT:                   # a file, of an upload that is complete
            note_inner(x, data + members[i].start, members[i].end - members[i].start)
        else:
            note_id(x, data, &members[i])
    return 0


cdef int note_inner(Exchange x, const char* data, Py_ssize_t size) except -1:
    cdef Member members[MAX_NAMES]
    cdef Py_ssize_t where
    if scan(data, size, &MADE.table, members, &where) == SCAN_OK:
        note_id(x, data, &members[0])
    return 0


cdef int note_id(Exchange x, const char* data, const Member* member) noexcept:
    if member.kind == STRING and not member.escaped and member.end - member.start > 2:
        x.gateway.slab.note_maker(hash_of(data + member.start + 1, member.end - member.start - 2),
                                  x.target.pool.index, x.gateway.now)
    return 0
