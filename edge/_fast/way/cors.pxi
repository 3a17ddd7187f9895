# cors: which pages' scripts may read our answers (Fetch Standard, 3.2). Off unless the configuration names origins.
#
# A key is sent in a field and never by a browser on its own, so that no credentials are allowed, whatever the origin.

cdef bytes EXPOSED = (
    b"access-control-expose-headers: x-request-id, request-id, retry-after, retry-after-ms, x-should-retry, "
    b"x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset, x-edge-target, x-edge-attempts, x-edge-degraded, "
    b"x-edge-condition, x-edge-blame, openai-processing-ms, openai-version")
cdef enum:
    ASKED_MAX = 4096            # bytes of a preflight's list of fields


cdef int note_origin(Exchange x, const char* buf, const Head* head) except -1:
    """Remembers the origin of a page that may read the answer; any page may where the configuration says *."""
    cdef bytes origin = value_of(buf, field_of(head, K_ORIGIN))
    if b"*" in x.gateway.cors:
        x.origin = b"*"
    elif origin in x.gateway.cors:
        x.origin = origin
    return 0


cdef bint is_preflight(Exchange x, const char* buf, const Head* head) except -1:
    """Whether a browser asks before a page's request, which it does without a key."""
    return (head.method == M_OPTIONS and x.origin is not None
            and field_named(buf, head, b"access-control-request-method") is not None)


cdef int answer_preflight(Exchange x, const char* buf, const Head* head) except -1:
    """Any field may be sent: what of them goes on is decided as for everybody."""
    cdef Writer out
    cdef bytes asked = field_named(buf, head, b"access-control-request-headers")
    if asked is None or len(asked) > ASKED_MAX:
        asked = b"authorization, content-type, x-api-key"
    x.status = 204
    write_into(&out, x.gateway.scratch, BUFFER)
    put_bytes(&out, <bytes>x.gateway.status_lines[204])
    put_date(&out, x.gateway)
    put_ids(&out, x)
    put_cors(&out, x)
    put_bytes(&out, b"access-control-allow-methods: GET, HEAD, POST, PUT, PATCH, DELETE\r\n"
                    b"access-control-max-age: 7200\r\naccess-control-allow-headers: ")
    put_bytes(&out, asked)
    put_bytes(&out, b"\r\n\r\n" if x.keep_alive else b"\r\nconnection: close\r\n\r\n")
    x.downstream.write_bytes(PyBytes_FromStringAndSize(x.gateway.scratch, written(&out)))
    x.condition = ok
    return DONE
