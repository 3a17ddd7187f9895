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


cdef enum:
    FORM_MAX = 512              # bytes of an event that are not text: more would be text that all events have much of


cdef int64_t answer_tokens(Exchange x) noexcept:
    """Tokens of an answer that tells none, at BYTES_A_TOKEN: what it has beyond its form, which a stream's shortest
    event shows, and one an event at least. What is too long to be looked at has used what was reserved: it may be
    pictures or sound."""
    cdef uint64_t form, formal = <uint64_t>x.tap.events - 1
    if x.mode == PASS:
        return x.reserved_output
    if x.mode == STREAM and x.tap.events:
        form = min(x.tap.bytes, (formal or 1) * min(x.tap.least, <uint64_t>FORM_MAX))
        return max(<int64_t>((x.tap.bytes - form) // <uint64_t>BYTES_A_TOKEN), <int64_t>x.tap.events)
    return x.answer_length // BYTES_A_TOKEN if x.mode == WHOLE and makes_text(x) else 0
