# usage: tokens of chat streams, which OpenAI's API tells only those who ask (stream_options.include_usage). Where the
# provider is known to understand, the gateway asks for its clients, and the tap takes out again what they have not
# asked for. Of an answer that has no usage all the same tokens are estimated, and counted apart.

cdef Names OPTIONS = Names(("include_usage",))


cdef int plan_usage(Exchange x, const Member* options) except -1:
    """Where a stream's request would ask for usage, and how; `usage` stays None where it does, or cannot be made to."""
    cdef Member member
    cdef Py_ssize_t where = 0
    cdef const char* text = x.body.at + options.start
    if options.kind == ABSENT:
        while x.body.at[where] != c"{":
            where += 1
        x.usage_start = x.usage_end = where + 1
        x.usage = b'"stream_options":{"include_usage":true},'
    elif options.kind == NULL_ or options.kind == FALSE_:
        x.usage_start, x.usage_end = options.start, options.end
        x.usage = b'{"include_usage":true}'
    elif options.kind == OBJECT and scan(text, options.end - options.start, &OPTIONS.table, &member, &where) == SCAN_OK:
        if member.kind == ABSENT:
            x.usage_start = x.usage_end = options.start + 1
            where = 1
            while text[where] == c" " or 9 <= text[where] <= 13:
                where += 1
            x.usage = b'"include_usage":true' if text[where] == c"}" else b'"include_usage":true,'
        elif member.kind == NULL_ or member.kind == FALSE_:
            x.usage_start, x.usage_end = options.start + member.start, options.start + member.end
            x.usage = b"true"
    return 0


cdef int estimate(Exchange x, int64_t* input, int64_t* output) noexcept:
    """Tokens of an answer that tells none, at BYTES_A_TOKEN: the request's body, and what the answer has beyond its
    form, which a stream's shortest event shows. (What is relayed, or has no text, is not estimated.)"""
    cdef uint64_t form
    input[0] = output[0] = 0
    if x.route.dialect == D_NONE or x.route.dialect == D_OBJECT:
        return 0
    input[0] = max(x.length, <int64_t>0) // BYTES_A_TOKEN
    if x.mode == STREAM and x.tap.events > 1:
        form = min(x.tap.bytes, (x.tap.events - 1) * x.tap.least)
        output[0] = (x.tap.bytes - form) // <uint64_t>BYTES_A_TOKEN
    elif x.mode == WHOLE and x.route.stream_at >= 0:
        output[0] = x.answer_length // BYTES_A_TOKEN
    return 1
