# codings: a request's body that came compressed. It is decoded when all of it is here, a piece at a time with others'
# turns between, within the bounds of a body that came as it is; what goes on to the provider is the body itself.

cdef enum:
    RATIO = 200                 # bytes that one of a body may become; text of prompts gives 3 to 20
    RATIO_FROM = 1048576        # bytes below which that does not matter

cdef tuple CODINGS = ("gzip", "x-gzip", "deflate", "zstd")


cdef int judge_coding(Exchange x, const char* buf, Head* head) except -1:
    """Notes what the body is coded in: one known coding, or nothing, which is identity. Else the condition."""
    cdef int i
    codings = []
    for i in range(head.n_fields):
        if head.fields[i].known == K_CONTENT_ENCODING:
            codings += value_of(buf, &head.fields[i]).decode("latin-1").lower().split(",")
            head.fields[i].relay = 0
    codings = [coding.strip(" \t") for coding in codings if coding.strip(" \t") not in ("", "identity")]
    if not codings:
        return 0
    if len(codings) > 1 or codings[0] not in CODINGS:
        x.say(S_REASON, ", ".join(codings))
        return content_coding
    x.coding = codings[0].removeprefix("x-")
    x.scan_at = PY_SSIZE_T_MAX
    return 0


cdef int begin_decoding(Exchange x) except -1:
    """The coded body is whole."""
    cdef Gateway g = x.gateway
    x.coded = x.body
    x.decoding = g.decoded(x.coding, memoryview(x.body))
    x.coding = None
    x.body = Store.__new__(Store)
    x.length = 0
    x.scan_at = PIECE
    return decode_piece(x)


cdef int decode_piece(Exchange x) except -1:
    """One more piece of the body; the next one after the others' turns."""
    cdef Gateway g = x.gateway
    cdef bytes piece
    cdef bint readable = True
    cdef Py_ssize_t most = g.max_body
    try:
        piece = next(x.decoding, None)
    except ValueError:
        readable = False
    if not readable:
        x.decoding = x.coded = None
        return x.refuse(body_unreadable)
    if piece is None:
        x.decoding = x.coded = None
        x.length = x.body.size
        return ARRIVED
    most = min(most, max(<Py_ssize_t>RATIO_FROM, RATIO * x.coded.size))
    if x.body.size + PyBytes_GET_SIZE(piece) > most:
        x.decoding = x.coded = None
        x.say(S_LIMIT, most)
        return x.refuse(body_too_large)
    x.body.append(PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece))
    scan_ahead(x)
    if not g.decoding:
        get_running_loop().call_soon(g.decode)
    g.decoding.append(x)
    return AWAIT
