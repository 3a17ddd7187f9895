# own: what the gateway answers itself.

cdef int answer_own(Exchange x) except -1:
    """A route that the gateway answers itself: its callable gives status and JSON (None: no such model)."""
    cdef Gateway g = x.gateway
    cdef Writer out
    cdef iovec parts[2]
    cdef bytes content
    allows = x.tenant.allows if x.tenant is not None else None
    key = x.tenant.name if x.tenant is not None else ""
    x.status, content = x.route.own(x.surface.name, x.line, allows, key)
    if content is None:
        x.say(S_MODEL, x.line.partition(b"?")[0][len(x.route.path) + 1:])
        return x.refuse(model_unknown)
    write_into(&out, g.scratch, BUFFER)
    put_own(&out, x, b"application/json", PyBytes_GET_SIZE(content))
    put_end(&out, x)
    part_of(&parts[0], g.scratch, written(&out))
    part_of(&parts[1], PyBytes_AS_STRING(content), PyBytes_GET_SIZE(content))
    x.downstream.write(parts, 1 if x.method == M_HEAD else 2)
    x.condition = ok
    return DONE
