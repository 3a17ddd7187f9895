"""Lines of text from workers to control: a ring for each worker."""
from edge._fast.shared.slab cimport Ring

cdef enum:
    LINE_LOGGED = 1                  # it is for the access log
    LINE_KEPT = 2                    # it is kept for who asks about the request
    LINE_TRACED = 4                  # it is for the tracing backend

cdef bint lines_put(Ring* ring, const char* line, Py_ssize_t size, int flags) noexcept nogil
