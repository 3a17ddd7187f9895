# whole: plain answers. JSON is held until it is complete and known to be good; what is too long for that is judged by
# its beginning, and by how it ends.

cdef int hold(Exchange x, char* data, Py_ssize_t size, bint ended) except -1:
    if x.held is None:
        if ended:
            return judge_whole(x, data, size)
        x.held = Store.__new__(Store)
        x.held.reserve(min(x.answer_length, HOLD_MAX) + 1 if x.answer_length > 0 else size)
    x.held.append(data, size)
    if ended:
        return judge_whole(x, x.held.at, x.held.size)
    return AWAIT if x.held.size <= HOLD_MAX else judge_beginning(x, x.held.at, x.held.size)


cdef str PLAIN = "a plain answer in place of an event stream"


cdef int judge_whole(Exchange x, char* data, Py_ssize_t size) except -1:
    """A complete JSON answer: good, an error in disguise, or no JSON at all."""
    cdef iovec parts[2]
    cdef int condition
    if tap_body(&x.tap, data, size, False) != 0:
        return not_an_object(x, look_at(data, size))
    if x.tap.error:
        return x.fail(condition_of(x, data + x.tap.data, x.tap.data_end - x.tap.data), None)
    if x.stream:
        return x.fail(provider_response_invalid, PLAIN)
    x.answer_length = x.passed_on = size
    x.framing = F_LENGTH
    part_of(&parts[1], data, size)
    give_places(x)
    if x.tap.failed:
        condition = condition_of(x, data + x.tap.data, x.tap.data_end - x.tap.data)
        send_head(x, parts, 2)
        return end_failed(x, condition)
    if x.caching:
        keep_answer(x, data, size, False)
    send_head(x, parts, 2)
    return succeed(x)


cdef int judge_beginning(Exchange x, char* data, Py_ssize_t size) except -1:
    """The same of an answer that is too long to be held, by what is there of it: the rest goes on as it comes."""
    cdef int look = look_at(data, size), verdict
    if look != L_OBJECT or tap_body(&x.tap, data, size, True) != 0:
        return not_an_object(x, look)
    if x.stream:
        return x.fail(provider_response_invalid, PLAIN)
    if x.tap.error or x.tap.failed:
        x.condition = condition_of(x, data + x.tap.data, x.tap.data_end - x.tap.data)
    if x.tap.error:
        return x.fail(x.condition, None)
    x.mode = PASS
    verdict = pass_long(x, data, size, False)
    x.held = None
    return verdict


cdef enum:
    TAIL = 16384                # bytes of the end of long JSON, in which its usage is looked for


cdef int keep_tail(Exchange x, const char* data, Py_ssize_t size) except -1:
    """The last bytes of what has come, TAIL of them at least."""
    cdef Store tail = x.tail
    if tail is None or size >= TAIL:
        x.tail = stored(data + max(size - TAIL, <Py_ssize_t>0), min(size, <Py_ssize_t>TAIL))
        return 0
    if tail.size + size > 2 * TAIL:
        tail.drop_head(tail.size - TAIL)
    return tail.append(data, size)


cdef int pass_long(Exchange x, char* data, Py_ssize_t size, bint ended) except -1:
    """JSON that is too long to be held: its last byte that is not blank must be an object's."""
    cdef Py_ssize_t at = size
    while at and (data[at - 1] == c" " or 9 <= data[at - 1] <= 13):
        at -= 1
    if at:
        x.closed = data[at - 1] == c"}"
    if ended and not x.closed:
        return x.fail(provider_cut, "JSON without its end")
    if size:
        keep_tail(x, data, size)
    if ended:
        tap_tail(&x.tap, x.tail.at, x.tail.size)
    return pass_on(x, data, size, ended)
