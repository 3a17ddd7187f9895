"""A strict reader of multipart/form-data (RFC 7578) that finds the field `model` without copying a part.

It accepts less than any server's reader, and reads what it accepts alike: each part has one Content-Disposition with
one name, delimiters stand on lines of their own, their text is nowhere else, and nothing stands before the first or
behind the last. The field is there once, as text, and no other name could be taken for its own. Parts are found where
they lie; a body is read as it comes, each piece while it is in the processor's cache.
"""

import re
import unicodedata
from urllib.parse import unquote_to_bytes

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcmp

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <string.h>
    extern void *memmem(const void *, size_t, const void *, size_t);
    """
    const char* memmem(const char* text, size_t size, const char* wanted, size_t length) noexcept nogil

cdef enum:
    MAX_PARTS = 256
    MAX_PART_HEAD = 4096        # bytes of a part's own fields
    MAX_VALUE = 512             # bytes of a model's name

cdef bytes FIELD = b"model"

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = rb'"(?:[^"\\\r\n\0]|\\[^\r\n\0])*"'
_PARAMETER = re.compile(rb"[ \t]*;[ \t]*(%b)=(%b|%b)" % (_TOKEN, _QUOTED, _TOKEN))
_PARAMETERS = rb"((?:[ \t]*;[ \t]*%b=(?:%b|%b))*)[ \t]*;?[ \t]*" % (_TOKEN, _QUOTED, _TOKEN)
_DISPOSITION = re.compile(rb"form-data" + _PARAMETERS, re.IGNORECASE)
_TYPE = re.compile(rb"multipart/form-data" + _PARAMETERS, re.IGNORECASE)
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_LINE = re.compile(rb"(%b):[ \t]*([^\r\n\0]*)" % _TOKEN)
_MODELS = frozenset(("model", "models"))
_TEXT = re.compile(rb'text/plain(?:[ \t]*;[ \t]*charset="?(?:utf-8|us-ascii)"?)?', re.IGNORECASE)


def boundary_of(bytes content_type not None):
    """The boundary of a form's Content-Type; None where it is not a form's, or not to be read in one way alone."""
    found = _parameters(_TYPE, content_type)
    boundary = None if found is None else found.get(b"boundary")
    return boundary if boundary is not None and _BOUNDARY.fullmatch(boundary) else None


def _parameters(form, value):
    """A field's parameters by name, in small letters; None where it is of another form, or one is there twice.

    So it is where one may be written in a second way, whole or in sections (RFC 2231), which goes before the first for
    some readers. Of a file's name alone nothing depends.
    """
    whole = form.fullmatch(value)
    if whole is None:
        return None
    pairs = [(name.lower(), text.strip(b'"') if text.startswith(b'"') else text)
             for name, text in _PARAMETER.findall(whole[1])]
    found = dict(pairs)
    alike = len(found) < len(pairs) or any(b"*" in name for name in found if name != b"filename*")
    return None if alike else found


def names_model(bytes query not None):
    """The first parameter of a query that some reader takes for the model, or for more of them; None: there is none."""
    for name in re.findall(rb"[^&;=?]+[^&;]*", query):
        name = name.partition(b"=")[0].replace(b"+", b" ")
        if not _MODELS.isdisjoint(map(_folded, _spellings(name))):
            return name
    return None


def _spellings(name):
    """What readers make of a field's name: as it is, its escapes resolved in either way."""
    return {name, re.sub(rb"\\(.)", rb"\1", name), unquote_to_bytes(name)}


def _folded(name):
    """A name as lenient readers have it: without case, blanks, controls and an index behind it."""
    text = unicodedata.normalize("NFKC", name.decode("utf-8", "replace")).casefold().replace("\u0131", "i")
    return re.sub(r"\[[^]]*\]?$", "", "".join(c for c in text if c.isprintable() and c != " "))


cdef class Form:
    """One body. `boundary` is its Content-Type's."""

    def __init__(self, bytes boundary not None):
        self.boundary = b"--" + boundary
        self.result = FORM_MORE

    cdef int read(self, const char* buf, Py_ssize_t size, bint more) except? -3:
        """Reads on in a body of which `size` bytes are there, the same ones first; `more`: it goes on behind them.

        The text may have moved. Returns a FormResult; anything but FORM_MORE is final.
        """
        cdef const char* wanted = PyBytes_AS_STRING(self.boundary)
        cdef Py_ssize_t length = PyBytes_GET_SIZE(self.boundary)
        cdef const char* found
        while self.result == FORM_MORE:
            found = memmem(buf + self.at, <size_t>(size - self.at), wanted, <size_t>length)
            # Behind a delimiter at least two bytes must be there, and behind the next part's fields an empty line.
            if found == NULL or found + length + 2 > buf + size:
                if found == NULL:
                    self.at = max(self.at, size - length)
                break
            self.result = self.delimited(buf, size, found - buf, more)
            if self.result == FORM_MORE and self.at == found - buf:
                break
        if self.result == FORM_MORE and not more:
            self.result = FORM_BAD
        return self.result

    cdef int delimited(self, const char* buf, Py_ssize_t size, Py_ssize_t found, bint more) except? -3:
        """A delimiter at `found`: ends the part before it, and begins the next one as soon as its fields are there."""
        cdef Py_ssize_t behind = found + PyBytes_GET_SIZE(self.boundary), end
        cdef const char* blank
        if found and (found < 2 or memcmp(buf + found - 2, b"\r\n", 2) != 0 or found - 2 < self.part):
            return FORM_BAD
        if found and not self.part and found != 2:
            return FORM_BAD                         # something stands before the first
        if self.wanted:
            self.start, self.end = self.part, found - 2
            if not self.is_name(buf):
                return FORM_BAD
            self.wanted = False
        if memcmp(buf + behind, b"--", 2) == 0:
            end = behind + 2
            self.at = found
            if more:
                return FORM_MORE                    # until it is known that nothing stands behind the last
            if size > end and (size > end + 2 or memcmp(buf + end, b"\r\n", <size_t>(size - end)) != 0):
                return FORM_BAD
            return FORM_OK if self.parts and size != end + 1 else FORM_BAD
        if memcmp(buf + behind, b"\r\n", 2) != 0:
            return FORM_BAD
        blank = <const char*>memmem(buf + behind, <size_t>(size - behind), b"\r\n\r\n", 4)
        if blank == NULL or blank - buf - behind > MAX_PART_HEAD:
            self.at = found
            return FORM_MORE if blank == NULL and size - behind <= MAX_PART_HEAD else FORM_BAD
        self.parts += 1
        self.part = self.at = blank - buf + 4
        return FORM_BAD if self.parts > MAX_PARTS else self.begin_part(buf, behind + 2, blank - buf)

    cdef int begin_part(self, const char* buf, Py_ssize_t at, Py_ssize_t end) except? -3:
        """Reads a part's fields."""
        cdef dict fields = {}
        if end <= at:
            return FORM_BAD
        for line in PyBytes_FromStringAndSize(buf + at, end - at).split(b"\r\n"):
            found = _LINE.fullmatch(line)
            if found is None or found[1].lower() in fields:
                return FORM_BAD
            fields[found[1].lower()] = found[2].rstrip(b" \t")
        parameters = _parameters(_DISPOSITION, fields.get(b"content-disposition", b""))
        if parameters is None or b"name" not in parameters:
            return FORM_BAD
        name = parameters[b"name"]
        if name != FIELD:
            folded = set(map(_folded, _spellings(name)))
            self.others |= "models" in folded
            if "model" not in folded:
                return FORM_MORE
        elif not self.start:
            self.wanted = True
            return FORM_MORE if is_text(fields, parameters) else FORM_BAD
        self.named = name
        return FORM_ALIKE

    cdef bint is_name(self, const char* buf) except -1:
        """Whether the field's content is the name of a model: text of some length."""
        cdef bint readable = False
        if 0 < self.end - self.start <= MAX_VALUE:
            try:
                readable = PyBytes_FromStringAndSize(buf + self.start, self.end - self.start).decode().isprintable()
            except UnicodeDecodeError:
                pass
        return readable


cdef bint is_text(dict fields, dict parameters) except -1:
    """Whether a part is plain text, no file, and in no coding."""
    return (b"filename" not in parameters and b"filename*" not in parameters
            and _TEXT.fullmatch(fields.get(b"content-type", b"text/plain")) is not None
            and fields.get(b"content-transfer-encoding", b"8bit").lower() in (b"7bit", b"8bit", b"binary"))


def model_span(data, bytes boundary not None, cuts=()):
    """The span of the field `model` in a form, None where it has none, for tests; `cuts` as in scan.scan_members.

    ValueError says what is wrong: `alike`, and the name, or `bad`.
    """
    cdef Form form = Form(boundary)
    cdef bytes text
    cdef int result = FORM_MORE
    for text in (*(bytes(data[:cut]) for cut in cuts), bytes(data)):
        if result == FORM_MORE:
            result = form.read(text, len(text), len(text) < len(data))
    if result == FORM_ALIKE:
        raise ValueError("alike", form.named)
    if result != FORM_OK:
        raise ValueError("bad")
    return (form.start, form.end) if form.start else None
