# All dialects. Three have a codec, in a file of its own that ends with the row by which others know it; two need none.

cdef Dialect NONE               # relayed as it is: nothing is looked for
NONE.name = b"none"

cdef Dialect PLAIN              # a JSON object that is not made of tokens
PLAIN.name = b"object"
PLAIN.judged = True
PLAIN.judge, PLAIN.heed, PLAIN.fate = judge_typed, heed_message, chat_fate

cdef Dialect* DIALECTS[5]
DIALECTS[:] = [&CHAT, &RESPONSES, &MESSAGES, &PLAIN, &NONE]


cdef const Dialect* dialect_named(object name) except NULL:
    """ValueError: there is none of that name."""
    cdef Dialect* dialect
    for dialect in DIALECTS:
        if dialect.name == name.encode():
            return dialect
    raise ValueError(f"there is no dialect {name}")
