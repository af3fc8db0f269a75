# cython: language_level=3
"""The lines of an event for a store and for COPY in C, put together from the text that the event carries."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItemWithError
from cpython.float cimport PyFloat_CheckExact
from libc.string cimport memchr, memcpy

from holded_pipeline.compiled.iso_times import iso_text
from holded_pipeline.model.business_context import business_context_of
from holded_pipeline.model.json_codec import encode
from holded_pipeline.model.values import Event

cdef enum:
    _MOST_KNOWN = 16_384

_event_type = Event


cdef class _Known(dict):
    """What was made of texts; a run has few types and companies, each many times."""

    cdef object _make

    def __init__(self, make):
        self._make = make

    cdef bytes of(self, object text):
        cdef void* found
        found = <void*>PyDict_GetItemWithError(self, text)
        if found != NULL:
            return <bytes>found
        made = self._make(text)
        if len(self) >= _MOST_KNOWN:
            self.clear()
        self[text] = made
        return made


cdef object _escape_text = None


cdef bytes _escape(text):
    global _escape_text
    if _escape_text is None:  # whoever loads nothing does not import it
        from holded_pipeline.postgres.copy_format import escape_text

        _escape_text = escape_text
    return _escape_text(text)


cdef inline bint _is_plain(bytes text) noexcept:
    """Whether `repr` puts the text between quotes as it is, and COPY takes it as it is."""
    cdef const unsigned char* at = <const unsigned char*>PyBytes_AS_STRING(text)
    cdef Py_ssize_t number
    for number in range(PyBytes_GET_SIZE(text)):
        if not c' ' <= at[number] <= c'~' or at[number] == c"'" or at[number] == c'\\':
            return False
    return True


cdef bytes _escape_id(str name):
    """Most are UUIDs."""
    cdef bytes text = name.encode("utf-8", "surrogatepass")
    return text if _is_plain(text) else _escape(name)


cdef _Known _escaped = _Known(lambda text: _escape(text))
cdef _Known _quoted = _Known(encode)
cdef _Known _scores = _Known(lambda score: repr(score).encode())


cdef inline char* _put(char* at, bytes text) noexcept:
    cdef Py_ssize_t length = PyBytes_GET_SIZE(text)
    memcpy(at, PyBytes_AS_STRING(text), length)
    return at + length


cdef inline char* _put_escaped(char* at, bytes text) noexcept:
    """With each backslash doubled."""
    cdef const char* start = PyBytes_AS_STRING(text)
    cdef const char* end = start + PyBytes_GET_SIZE(text)
    cdef const char* found
    while True:
        found = <const char*>memchr(start, c'\\', end - start)
        if found == NULL:
            memcpy(at, start, end - start)
            return at + (end - start)
        memcpy(at, start, found - start + 1)
        at += found - start + 1
        at[0] = c'\\'
        at += 1
        start = found + 1


cdef inline Py_ssize_t _backslashes(bytes text) noexcept:
    cdef const char* start = PyBytes_AS_STRING(text)
    cdef Py_ssize_t number, count = 0
    for number in range(PyBytes_GET_SIZE(text)):
        count += start[number] == c'\\'
    return count


cdef bytes _source_text(dict fields):
    cdef tuple position
    cdef void* found = <void*>PyDict_GetItemWithError(fields, "_source_text")
    if found != NULL:
        return <bytes>found
    position = fields["_position"]
    read_object, line, item = position
    text = <bytes>read_object.text + (b'%d,"item":null}' % line if item is None else b'%d,"item":%d}' % (line, item))
    fields["_source_text"] = text
    return text


cdef bytes _occurred_text(dict fields):
    cdef void* found = <void*>PyDict_GetItemWithError(fields, "_occurred_text")
    if found != NULL:
        return (<str>found).encode()
    text = iso_text(fields["occurred_at"])
    fields["_occurred_text"] = text
    return (<str>text).encode()


cdef dict _carried(event):
    """What an event carries; None if it does not carry text, or somebody looked at it and may have changed it."""
    if type(event) is not _event_type:
        return None
    cdef dict fields = event.__dict__
    if "_data_text" not in fields or "data" in fields or "_entries" not in fields or "metadata" in fields:
        return None
    return None if "_position" not in fields or type(fields["id"]) is not str else fields


cdef object _not_sure = object()  # of no type that a context or a score has


cdef object _result(dict entries, str enricher, str name):
    cdef void* found = <void*>PyDict_GetItemWithError(entries, enricher)
    if found == NULL:
        return None
    value = (<tuple><object>found)[0]
    return (<dict>value).get(name) if type(value) is dict else _not_sure


def event_line(event):
    """The event's line for COPY; None if it has to be made by `postgres.event_row`."""
    cdef dict fields = _carried(event), entries
    cdef Py_ssize_t size
    cdef bytes text, data
    cdef char* at
    cdef list heads
    if fields is None:
        return None
    entries = fields["_entries"]
    context = _result(entries, "business_context", "context") or business_context_of(fields["type"])
    score = _result(entries, "quality", "score")
    if type(context) is not str or not (score is None or (PyFloat_CheckExact(score) and 0 <= score <= 1)):
        return None
    user = fields["user_id"]
    data = fields["_data_text"]
    heads = [
        _escape_id(fields["id"]),
        _escaped.of(fields["type"]),
        _escaped.of(fields["company_id"]),
        b"\\N" if user is None else _escaped.of(user),
        _occurred_text(fields),
        _escaped.of(context),
        b"\\N" if score is None else _scores.of(score) if score else repr(score).encode(),  # -0.0 == 0.0
    ]
    source = _source_text(fields)
    size = 4  # behind the heads: tab, brace, tab, line end; each entry ends with a comma or a brace
    for text in heads:
        size += PyBytes_GET_SIZE(text) + 1
    size += PyBytes_GET_SIZE(data) + _backslashes(data) + PyBytes_GET_SIZE(source) + _backslashes(source)
    for entry in entries.values():
        text = (<tuple>entry)[1]
        size += PyBytes_GET_SIZE(text) + _backslashes(text) + 1
    if not entries:
        size += 1
    line = PyBytes_FromStringAndSize(NULL, size)
    at = PyBytes_AS_STRING(line)
    for text in heads:
        at = _put(at, text)
        at[0] = c'\t'
        at += 1
    at = _put_escaped(at, data)
    at[0] = c'\t'
    at[1] = c'{'
    at += 2
    for entry in entries.values():
        at = _put_escaped(at, (<tuple>entry)[1])
        at[0] = c','
        at += 1
    if entries:
        at -= 1
    at[0] = c'}'
    at[1] = c'\t'
    at = _put_escaped(at + 2, source)
    at[0] = c'\n'
    assert at + 1 - PyBytes_AS_STRING(line) == len(line), (at + 1 - PyBytes_AS_STRING(line), len(line))
    return line


def encode_event_line(event):
    """The event's line for a store; None if it has to be made by `transforms.write_minio`."""
    cdef dict fields = _carried(event)
    if fields is None:
        return None
    user = fields["user_id"]
    cdef list parts = [
        b'{"id":', <bytes>encode(fields["id"]),
        b',"type":', _quoted.of(fields["type"]),
        b',"company_id":', _quoted.of(fields["company_id"]),
        b',"user_id":', b"null" if user is None else _quoted.of(user),
        b',"occurred_at":"', _occurred_text(fields),
        b'","data":', fields["_data_text"],
        b',"metadata":{', b",".join([(<tuple>entry)[1] for entry in (<dict>fields["_entries"]).values()]),
        b'},"source":', _source_text(fields),
        b'}',
    ]
    return b"".join(parts)


def origin_of(event):
    """Where an event was read and its id, as `store.object_names` has it; None if that has to make it."""
    cdef dict fields
    cdef bytes source, identity
    cdef char* to
    if type(event) is not _event_type:
        return None
    fields = event.__dict__
    name = fields["id"]
    if "_position" not in fields or type(name) is not str:
        return None
    identity = (<str>name).encode("utf-8", "surrogatepass")
    if not _is_plain(identity):
        return None
    source = _source_text(fields)
    line = PyBytes_FromStringAndSize(NULL, PyBytes_GET_SIZE(source) + PyBytes_GET_SIZE(identity) + 3)
    to = _put(PyBytes_AS_STRING(line), source)
    to[0] = c"'"
    to = _put(to + 1, identity)
    to[0] = c"'"
    to[1] = c'\n'
    return line
