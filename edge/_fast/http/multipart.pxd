"""A strict reader of multipart/form-data (RFC 7578) that finds the field `model` without copying a part."""

cdef enum FormResult:
    FORM_MORE = 1               # right as far as it is there
    FORM_OK = 0
    FORM_BAD = -1               # not a form, or one that two readers could read in two ways
    FORM_ALIKE = -2             # the field twice, or one whose name some decoders would take for it

cdef class Form:
    cdef bytes boundary
    cdef Py_ssize_t at          # where to read on
    cdef Py_ssize_t part        # where the part's content begins, 0: there has been none
    cdef bint wanted            # this part is the field
    cdef int parts
    cdef int result
    cdef Py_ssize_t start       # of the field's content, 0: it has not come
    cdef Py_ssize_t end
    cdef bint others            # a field for more models than one is there
    cdef bytes named            # the field's name as it was sent, where that is wrong
    cdef int read(self, const char* buf, Py_ssize_t size, bint more) except? -3
    cdef int delimited(self, const char* buf, Py_ssize_t size, Py_ssize_t found, bint more) except? -3
    cdef int begin_part(self, const char* buf, Py_ssize_t at, Py_ssize_t end) except? -3
    cdef bint is_name(self, const char* buf) except -1
