# cache: answers that are kept for who asks the same again. Requests take part whose key says so, or whose own field. An
# answer is found once the request is admitted, and left when its end goes out, and it was good.

cdef enum Use:                  # of the cache, by a request
    UNUSED, USED
    RENEWED                     # what is there does not count, what comes takes its place


cdef int take_cache(Gateway g, tables) except -1:
    cdef bint new = g.cache is None
    g.cache, g.cache_ttl = tables.cache, tables.cache_ttl
    g.cache_owner, g.cache_name = tables.cache_owner, tables.cache_name
    g.cache_area = g.index % GENERATION
    if new and g.cache is not None and not g.draining and not g.retiring:
        g.cache.claim(g.cache_area, os.getpid())
    return 0


cdef int judge_use(Exchange x, const char* buf, const Head* head) except -1:
    """What the head says of the cache. Returns the condition that ends the request, or 0."""
    cdef bytes control = b"", word = b"", value
    cdef Surface surface = x.route.surface
    cdef int use = USED if x.tenant.caches else UNUSED, i
    for i in range(head.n_fields):
        if head.fields[i].known == K_CACHE_CONTROL:     # RFC 9111 section 5.2.1
            control += value_of(buf, &head.fields[i]).lower() + b","
        elif is_named(buf, &head.fields[i], b"x-edge-cache"):
            word += (b", " if word else b"") + value_of(buf, &head.fields[i]).lower()
    if b"no-store" in control:
        use = UNUSED
    elif use and b"no-cache" in control:
        use = RENEWED
    if word:
        if word not in (b"use", b"refresh", b"off"):
            x.say(S_FIELD, "x-edge-cache")
            x.say(S_EXPECTED, "use, refresh or off")
            x.say(S_GOT, word[:64])
            return field_value
        use = USED if word == b"use" else RENEWED if word == b"refresh" else UNUSED
    x.caching = use
    if use:
        x.marks = x.line.partition(b"?")[2]
        for i in range(head.n_fields):
            value = value_of(buf, &head.fields[i])
            if head.fields[i].known == K_BETA or (
                    surface.version >= 0 and head.fields[i].known == surface.version
                    and surface.version_line != b"%b: %b\r\n" % (surface.version_name, value)):
                x.marks += b"\n%b:%b" % (PyBytes_FromStringAndSize(
                    buf + head.fields[i].name, head.fields[i].name_len).lower(), value)
    return 0


cdef int consult(Exchange x) except -1:
    """The verdict DONE, where there is an answer, which has gone out then; FOLLOW, where another request is about to
    get it; else AWAIT: this one is, and others may follow it.
    """
    cdef Gateway g = x.gateway
    cdef Exchange leader
    if g.cache is None:
        x.caching = UNUSED
        return AWAIT
    x.digest = g.cache_name(x.tenant.shares, x.route.name, x.asked, x.marks, memoryview(x.body))
    if x.caching == USED and is_answered(x):
        return DONE
    leader = g.leaders.get(x.digest)
    if leader is None:
        g.leaders[x.digest] = x
        x.followers = {}
    elif x.caching == USED:
        leader.followers[x] = None
        x.leader = leader
        return FOLLOW
    g.cache.area(g.cache_area).misses += 1
    return AWAIT


cdef int disband(Exchange x) except -1:
    """Nobody follows it any more, and it follows nobody: it has ended, or its answer will not be kept."""
    cdef Exchange follower
    if x.leader is not None and x.leader.followers is not None:
        x.leader.followers.pop(x)
    x.leader = None
    if x.followers is None:
        return 0
    x.gateway.leaders.pop(x.digest, None)
    for follower in x.followers:
        wake(x.gateway, follower.downstream)
    x.followers = None
    return 0


cdef bint is_answered(Exchange x) except -1:
    """Whether there is an answer, which has gone out then."""
    cdef Gateway g = x.gateway
    cdef Sighting found
    cdef Store data
    if g.cache is not None and cache_find(g.cache, <uint64_t*>PyBytes_AS_STRING(x.digest), time(NULL), &found):
        data = Store.__new__(Store)
        data.reserve(found.kept.size)
        if cache_copy(g.cache, &found, data.at):
            data.filled(found.kept.size)
            count_hit(x)
            write_kept(x, data, &found.kept)
            return True
    return False


cdef int count_hit(Exchange x) except -1:
    cdef Gateway g = x.gateway
    g.cache.area(g.cache_area).hits += 1
    x.hit = True
    x.status = 200
    x.condition = ok
    if x.billed and x.prices is not None and x.prices.hit:
        bill(x, x.prices.hit, Tokens(0, 0, 0), False)
    return 0


cdef void put_cache(Writer* out, Exchange x, const char* result) noexcept:
    """What the cache had, and the name by which operators take the answer out."""
    cdef int i
    cdef unsigned char byte
    put(out, b"x-edge-cache: ", 14)
    put(out, result, strlen(result))
    put(out, b"\r\nx-edge-cache-name: ", 21)
    for i in range(16):
        byte = (<unsigned char*>PyBytes_AS_STRING(x.digest))[i]
        put_byte(out, b"0123456789abcdef"[byte >> 4])
        put_byte(out, b"0123456789abcdef"[byte & 15])
    put(out, b"\r\n", 2)


cdef int write_kept(Exchange x, Store data, const Kept* kept) except -1:
    """A stream goes out as one piece."""
    cdef Gateway g = x.gateway
    cdef Writer out
    cdef iovec parts[2]
    cdef const char* kind = b"text/event-stream" if kept.stream else b"application/json"
    x.passed_on = data.size
    write_into(&out, g.scratch, BUFFER)
    put_own(&out, x, kind, data.size)
    put_cache(&out, x, b"hit")
    put(&out, b"age: ", 5)
    put_number(&out, max(<int64_t>0, time(NULL) - kept.made))
    put(&out, b"\r\n", 2)
    if x.limited:
        put_limits(&out, x)
    if x.tenant.pays:
        put_points(&out, g, x.prices.hit if x.prices is not None else 0)
    if g.draining or g.retiring:
        x.keep_alive = False
    put_end(&out, x)
    part_of(&parts[0], g.scratch, written(&out))
    part_of(&parts[1], data.at, data.size)
    give_places(x)
    return x.downstream.write_owned(parts, 2, data)


cdef int gather(Exchange x, const char* data, Py_ssize_t size) except -1:
    """A piece of a stream, which is kept when all of it was good."""
    if x.gathered is None:
        x.gathered = Store.__new__(Store)
    if x.gateway.cache is None or x.gathered.size + size > x.gateway.cache.longest:
        x.caching, x.gathered = UNUSED, None    # a reload has taken it away, or it is too long
        return disband(x)
    return x.gathered.append(data, size)


cdef int keep_answer(Exchange x, const char* data, Py_ssize_t size, bint stream) except -1:
    """It is good, and has come to its end: who has that finds the answer."""
    cdef Gateway g = x.gateway
    cdef Kept kept
    if g.cache is None or x.status != 200 or size > g.cache.longest:
        return 0
    memcpy(kept.digest, PyBytes_AS_STRING(x.digest), sizeof(kept.digest))
    kept.made = time(NULL)
    kept.until = kept.made + g.cache_ttl
    kept.size, kept.stream = <uint32_t>size, stream
    cache_put(g.cache, g.cache_area, &kept, data)
    return 0
