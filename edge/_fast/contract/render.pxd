"""Error answers as compiled byte templates: slots are filled, nothing else is computed."""

cpdef enum Slot:                # the named values a message may use; index into the list given to render
    S_REQUEST_ID, S_TRACE_ID, S_RETRY_AFTER_MS, S_FIELD, S_EXPECTED, S_GOT, S_MODEL, S_REASON
    S_UPSTREAM_STATUS, S_UPSTREAM_REASON, S_TIMEOUT, S_MESSAGE, S_LINE, S_METHOD, S_PATH, S_LIMIT
    S_FINAL                     # of no message: whether no retry is wanted, whatever the condition's row says
    N_SLOTS

cdef enum:
    NEVER_MS = -1               # a wait: trying again cannot help

cdef struct Piece:
    const char* text            # a literal, or what stands in for a missing value
    Py_ssize_t size
    int slot                    # -1: a literal
    bint whole                  # all of a JSON value: quoted, null when missing

cdef class Template:
    cdef readonly str condition
    cdef readonly int status            # 0: the upstream's own status, from S_UPSTREAM_STATUS
    cdef bytes head                     # status line and fixed fields
    cdef tuple pieces                   # bytes, or (slot, stand-in); ~slot where the value is whole
    cdef tuple event_pieces             # the same as the dialect's stream error event
    cpdef bytes render(self, list values, bytes extra, bint close)
    cpdef bytes event(self, list values)
    cdef int wait_ms                    # NEVER, NOW, or how long to wait when S_RETRY_AFTER_MS is not given
    cdef Piece* body_parts              # borrows from pieces
    cdef Piece* event_parts             # borrows from event_pieces
    cdef int body_count
    cdef int event_count
