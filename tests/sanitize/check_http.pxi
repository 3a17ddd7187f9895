# What holds for every head and every chunked body. A check returns what is wrong, or NULL.

# ---- heads ----

cdef struct Limits:
    bint response
    bint to_head
    size_t size
    size_t target


cdef int read_head(Case* c, uint32_t size, const Limits* limits, Head* head) noexcept:
    """The result for a prefix. What is not written shows: the head begins with what stood there before."""
    memset(head, 0xa5 if size == c.size else 0x5a, sizeof(Head))
    if limits.response:
        return parse_response(put(c, 0, size), size, limits.size, limits.to_head, head)
    return parse_request(put(c, 0, size), size, limits.size, limits.target, head)


cdef bint same_head(const Head* a, const Head* b) noexcept:
    cdef bint same = (
        a.size == b.size and a.method == b.method and a.minor == b.minor and a.keep_alive == b.keep_alive
        and a.chunked == b.chunked and a.expect_continue == b.expect_continue and a.has_body == b.has_body
        and a.status == b.status and a.n_fields == b.n_fields and a.path == b.path and a.path_len == b.path_len
        and a.query == b.query and a.query_len == b.query_len and a.content_length == b.content_length
        and a.method_at == b.method_at and a.method_len == b.method_len
        and memcmp(a.known, b.known, sizeof(a.known)) == 0)
    cdef const Field* mine = &a.fields[0]
    cdef const Field* other = &b.fields[0]
    cdef int i
    for i in range(a.n_fields if same else 0):
        same &= (mine[i].name == other[i].name and mine[i].name_len == other[i].name_len
                 and mine[i].value == other[i].value and mine[i].value_len == other[i].value_len
                 and mine[i].known == other[i].known and mine[i].relay == other[i].relay)
    return same


cdef inline bint is_break(const char* text, uint32_t at, uint32_t size) noexcept:
    return at + 2 <= size and text[at] == 13 and text[at + 1] == 10


cdef const char* check_line(const char* text, const Field* field, uint32_t at, uint32_t* behind) noexcept:
    """A field's line begins at `at`, ends where the next may begin, and every byte of it is accounted for."""
    cdef uint32_t i = field.value + field.value_len
    cdef uint8_t byte
    if field.name != at or not 0 < field.name_len <= 256 or text[at + field.name_len] != c":" or field.value < at:
        return "a field's name is not where its line begins"
    for i in range(at, at + field.name_len):
        if not is_token(<uint8_t>text[i]):
            return "a field's name is no token"
    for i in range(field.value, field.value + field.value_len):
        byte = <uint8_t>text[i]
        if byte < 32 and byte != 9 or byte == 127:
            return "a field's value has a control character"
    i = at + field.name_len + 1
    while text[i] == c" " or text[i] == 9:
        i += 1
    if i != field.value:
        return "a field's value does not begin behind the white space"
    i = field.value + field.value_len
    while text[i] == c" " or text[i] == 9:
        i += 1
    behind[0] = i + 2
    if not is_break(text, i, i + 2):
        return "a field's line ends in something else than CRLF"
    return NULL


cdef const char* check_spans(const char* text, const Head* head, bint response) noexcept:
    """The fields cover all of the head behind its first line, and what is known of them is true."""
    cdef const char* wrong
    cdef uint32_t at = 0
    cdef int i
    if text[0] == 13 and not response:
        at = 2
    while not is_break(text, at, head.size):
        if text[at] == 10 or at == head.size:
            return "the first line does not end in CRLF"
        at += 1
    at += 2
    for i in range(head.n_fields):
        wrong = check_line(text, &head.fields[i], at, &at)
        if wrong != NULL:
            return wrong
    if at + 2 != head.size or not is_break(text, at, head.size):
        return "the head does not end behind its empty line"
    for i in range(N_KNOWN):
        if head.known[i] >= head.n_fields or head.known[i] >= 0 and head.fields[head.known[i]].known != i:
            return "a known field is another"
    if head.chunked and head.content_length >= 0 or head.method_len > 32:
        return "two framings, or a method longer than it may be"
    if not response and (text[head.path] != c"/" and head.method != M_OPTIONS or head.known[K_HOST] < 0 and head.minor):
        return "a request without an origin or a host"
    return NULL


cdef const char* check_relayed(const char* text, const Head* head, bint response) noexcept:
    """What goes on reads as the same fields on the other side, with none that belongs to this hop among them."""
    cdef const char* line = "HTTP/1.1 200 OK\r\n" if response else "POST / HTTP/1.1\r\nHost: a\r\n"
    cdef size_t before = strlen(line), size, largest = head.size + head.n_fields
    cdef char* out = <char*>malloc(largest)
    cdef char* whole
    cdef Writer to
    cdef Head again
    cdef const char* wrong = NULL
    cdef int i, j = 0 if response else 1
    write_into(&to, out, largest)
    write_relayed(text, head, &to)
    size = to.at - to.start
    whole = <char*>malloc(before + size + 2)
    memcpy(whole, line, before)
    memcpy(whole + before, out, size)
    memcpy(whole + before + size, "\r\n", 2)
    if to.full:
        wrong = "more was written than may be"
    elif head.n_fields < MAX_FIELDS and HEAD_DONE != (
            parse_response(whole, before + size + 2, MAX, False, &again) if response
            else parse_request(whole, before + size + 2, MAX, MAX, &again)):
        wrong = "what goes on is refused"
    elif head.n_fields < MAX_FIELDS:
        for i in range(head.n_fields):
            if head.fields[i].relay:
                wrong = wrong if wrong != NULL else same_field(text, &head.fields[i], whole, &again.fields[j])
                j += 1
        if j != again.n_fields or again.chunked or again.content_length >= 0:
            wrong = "what goes on has other fields"
    free(out)
    free(whole)
    return wrong


cdef const char* same_field(const char* text, const Field* field, const char* other, const Field* again) noexcept:
    if not again.relay:
        return "a field of this hop went on"
    if field.name_len != again.name_len or field.value_len != again.value_len \
            or memcmp(text + field.name, other + again.name, field.name_len) \
            or memcmp(text + field.value, other + again.value, field.value_len):
        return "a field went on as another"
    return NULL


cdef const char* check_cuts(Case* c, const Limits* limits, int result, const Head* whole) noexcept:
    """A prefix wants more, or has the whole's result; from some byte on they all have it.

    All prefixes of a short head are tried: of a long one, whose prefixes cost the square of its length, mostly some.
    """
    cdef Head part
    cdef uint32_t cut, undecided = 0, decided = c.size, i, tries = 14
    cdef bint all_cuts = c.size <= 80 or edge_below(&c.chance, 64) == 0
    cdef int got
    if all_cuts:
        tries = c.size
    for i in range(tries):
        cut = i if all_cuts else edge_below(&c.chance, c.size)
        if result == HEAD_DONE and i < 2 and not all_cuts:
            cut = whole.size - i                        # all that it needs, and one byte less
        got = read_head(c, cut, limits, &part)
        if got == HEAD_MORE:
            undecided = max(undecided, cut)
        elif got != result or got == HEAD_DONE and not same_head(&part, whole):
            return "a prefix has another result"
        else:
            decided = min(decided, cut)
    if undecided > decided or result == HEAD_DONE and undecided >= whole.size:
        return "a longer prefix is undecided again"
    return NULL


cdef const char* check_head(Case* c, bint response) noexcept:
    cdef Limits limits = Limits(response, edge_below(&c.chance, 4) == 0, 65536, 8192)
    cdef Head whole
    cdef const char* wrong
    cdef const char* text
    cdef int result
    if edge_below(&c.chance, 4) == 0:
        limits.size = c.size + 8 - edge_below(&c.chance, min(16, c.size + 8))
    if edge_below(&c.chance, 4) == 0:
        limits.target = edge_below(&c.chance, 40)
    global cover_on
    cover_on = True
    result = read_head(c, c.size, &limits, &whole)
    cover_on = False
    if result == HEAD_MORE and c.size >= limits.size:
        return "more is wanted than may be"
    wrong = check_cuts(c, &limits, result, &whole)
    if wrong != NULL or result != HEAD_DONE:
        return wrong
    c.accepted = True
    if whole.size > min(c.size, limits.size) or not response and whole.path_len + whole.query_len > limits.target \
            and whole.method != M_OPTIONS:
        return "a head or its target is larger than it may be"
    text = put(c, 0, c.size)
    wrong = check_spans(text, &whole, response)
    if wrong != NULL:
        return wrong
    cover_on = True
    wrong = check_relayed(text, &whole, response)
    cover_on = False
    return wrong


# ---- chunked bodies ----

cdef struct Decoded:
    int result
    size_t taken
    size_t paid


cdef const char* decode(Case* c, Cuts cuts, char* out, Decoded* d) noexcept:
    cdef Chunked state
    cdef const char* text
    cdef const char* data
    cdef uint32_t at = 0, end
    cdef size_t pos, before, length
    chunk_begin(&state)
    d.result = CHUNK_MORE
    d.paid = d.taken = 0
    while at < c.size and d.result == CHUNK_MORE:
        end = next_cut(c, at, cuts)
        text = put(c, at, end - at)
        pos = 0
        while True:
            before = pos
            d.result = chunk_next(&state, text, end - at, &pos, &data, &length)
            if pos > end - at or pos < before:
                return "a position outside of the piece"
            if d.result != CHUNK_DATA:
                break
            if length == 0 or data < text + before or data + length != text + pos:
                return "a payload outside of the piece"
            memcpy(out + d.paid, data, length)
            d.paid += length
        if d.result == CHUNK_MORE and pos != end - at:
            return "something was left"
        d.taken = at + pos
        if d.result != CHUNK_MORE and (
                chunk_next(&state, text, end - at, &pos, &data, &length) != d.result or at + pos != d.taken):
            return "another word after the last"
        at = end
    return NULL


cdef const char* walk(Case* c, const Decoded* whole) noexcept:
    """The lines of a body that was taken for whole, read with what is known already: how far it goes, what it pays, and
    what else it may carry."""
    cdef uint32_t at = 0, extensions = 0, start, size
    cdef size_t paid = 0
    while True:
        start = at
        size = 0
        while c.text[at] != c";" and c.text[at] != 13:
            size = size * 16 + (c.text[at] - 48 if c.text[at] <= 57 else (c.text[at] | 32) - 87)
            at += 1
        if at == start or at - start > 16:
            return "a chunk's size has too few digits or too many"
        start = at
        while not is_break(c.text, at, c.size):
            at += 1
        extensions += at - start
        at += 2
        if size == 0:
            break
        paid += size
        at += size + 2
    if paid != whole.paid or extensions > 1024 or whole.taken - at > 8192:
        return "a body carries more than it may"
    if whole.taken - at > 2 and not is_break(c.text, <uint32_t>whole.taken - 4, c.size) \
            or not is_break(c.text, <uint32_t>whole.taken - 2, c.size):
        return "a body does not end behind its empty line"
    return NULL


cdef const char* check_chunked(Case* c) noexcept:
    cdef Decoded whole, part
    cdef char* other = c.out + c.size
    cdef const char* wrong
    cdef int i
    global cover_on
    cover_on = True
    wrong = decode(c, WHOLE, c.out, &whole)
    cover_on = False
    c.accepted = whole.result == CHUNK_END
    if wrong == NULL and c.accepted:
        wrong = walk(c, &whole)
    for i in range(3):
        if wrong == NULL:
            wrong = decode(c, RANDOM if i else BYTES, other, &part)
        if wrong == NULL and (part.result != whole.result or part.taken != whole.taken or part.paid != whole.paid
                              or memcmp(c.out, other, whole.paid)):
            wrong = "other cuts give another body"
    return wrong
