# cython: language_level=3
"""`reading.common_message` in C: the same events, of the same records or of fewer."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject_GenericSetAttr
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.string cimport memcmp

from holded_pipeline.compiled.iso_times cimport datetime_of, read_iso
from holded_pipeline.compiled.json_scan cimport Piece, Scan, scan_text

from holded_pipeline.model.carried_text import NOT_DECODED, load_field
from holded_pipeline.model.identity import event_id_of
from holded_pipeline.model.json_codec import decode_common, encode
from holded_pipeline.model.timestamp_rules import DEFAULT_TIMESTAMPS
from holded_pipeline.model.values import Event
from holded_pipeline.reading.common_message import (
    CORRELATION_MEMBER,
    HEADERS_MEMBER,
    UNUSUAL,
    CommonMessage,
    add_wrapper_entries,
    decode_plain,
    valid_key,
)
from holded_pipeline.reading.holded_envelope import CONTEXT, MESSAGE_ID, TIMESTAMP

# The members that are looked for. Objects whose own members are looked for come from FIRST_OBJECT on.
cdef enum:
    _DATA = 1
    _EVENT_ID = 2
    _CORRELATION_ID = 3
    _RECEIVED_AT = 4
    _SENDER = 5
    _TYPE = 6
    _ACCOUNT_ID = 7
    _USER_ID = 8
    _DISPATCHED_AT = 9
    _ID = 10
    _HEADERS = 16
    _EVENT = 17
    _CONTEXT = 18
    _TIMESTAMP = 19
    _MESSAGE_ID = 20
    _RECORD = 23

cdef bytes _context_name = encode(CONTEXT)[1:-1]
cdef bytes _timestamp_name = encode(TIMESTAMP)[1:-1]
cdef bytes _message_id_name = encode(MESSAGE_ID)[1:-1]
cdef const unsigned char* _context_text = _context_name
cdef const unsigned char* _timestamp_text = _timestamp_name
cdef const unsigned char* _message_id_text = _message_id_name
cdef Py_ssize_t _context_length = len(_context_name)
cdef Py_ssize_t _timestamp_length = len(_timestamp_name)
cdef Py_ssize_t _message_id_length = len(_message_id_name)


cdef inline bint _is(const unsigned char* name, Py_ssize_t length, const char* wanted, Py_ssize_t size) noexcept nogil:
    return length == size and memcmp(name, wanted, size) == 0


cdef int _slot_of(int where, const unsigned char* name, Py_ssize_t length) noexcept nogil:
    if where == _HEADERS:
        if _is(name, length, b"type", 4):
            return _TYPE
        if length == _context_length and memcmp(name, _context_text, length) == 0:
            return _CONTEXT
        if length == _timestamp_length and memcmp(name, _timestamp_text, length) == 0:
            return _TIMESTAMP
        if length == _message_id_length and memcmp(name, _message_id_text, length) == 0:
            return _MESSAGE_ID
        return 0
    if where == _CONTEXT:
        return _ACCOUNT_ID if _is(name, length, b"accountId", 9) else _USER_ID if _is(name, length, b"userId", 6) else 0
    if where == _TIMESTAMP:
        return _DISPATCHED_AT if _is(name, length, b"dispatchedAt", 12) else 0
    if where == _MESSAGE_ID:
        return _ID if _is(name, length, b"id", 2) else 0
    if _is(name, length, b"data", 4):
        return _DATA
    if _is(name, length, b"headers", 7) or _is(name, length, b"attributes", 10):
        return _HEADERS
    if where == _EVENT:
        return -1
    if _is(name, length, b"event", 5):
        return _EVENT
    if _is(name, length, b"event_id", 8):
        return _EVENT_ID
    if _is(name, length, b"correlation_id", 14):
        return _CORRELATION_ID
    if _is(name, length, b"received_at", 11):
        return _RECEIVED_AT
    if _is(name, length, b"sender", 6):
        return _SENDER
    return -1


def read_common_message(raw, tuple position, package_ids, int max_depth, timestamps=DEFAULT_TIMESTAMPS):
    """The event of a common message, or None; see `reading.common_message.read_common_message`."""
    cdef Scan scan
    cdef Piece* piece = scan.piece
    if type(raw) is not bytes:
        return None
    if not scan_text(
        &scan, <const unsigned char*>PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw), max_depth, _RECORD, _slot_of
    ):
        return None
    if not _has_usual_form(piece):
        return None
    try:
        return _make_event(raw, &scan, position, package_ids, timestamps)
    except UNUSUAL:
        return None


cdef bint _has_usual_form(Piece* piece) noexcept nogil:
    cdef int number
    if not (_begins(piece[_DATA], c'{') and _begins(piece[_HEADERS], c'{') and _begins(piece[_CONTEXT], c'{')):
        return False
    if piece[_TYPE].start == NULL or piece[_ACCOUNT_ID].start == NULL:
        return False
    if piece[_TIMESTAMP].start == NULL or piece[_MESSAGE_ID].start == NULL:
        return False
    for number in range(_EVENT_ID, _SENDER + 1):
        if piece[number].start != NULL and piece[number].start[0] != c'"':
            return False
    if piece[_EVENT].start == NULL:
        return piece[_SENDER].start == NULL  # beside the members of a message it is what the producer sent
    return _is_within(piece[_DATA], piece[_EVENT]) and _is_within(piece[_HEADERS], piece[_EVENT])


cdef inline bint _begins(Piece piece, unsigned char byte) noexcept nogil:
    return piece.start != NULL and piece.start[0] == byte


cdef inline bint _is_within(Piece inner, Piece outer) noexcept nogil:
    return outer.start < inner.start and inner.end < outer.end


cdef inline bytes _bytes_of(Piece piece):
    return PyBytes_FromStringAndSize(<const char*>piece.start, piece.end - piece.start)


cdef object _make_event(bytes raw, Scan* scan, tuple position, package_ids, timestamps):
    cdef Piece* piece = scan.piece
    cdef bytes data_text = _bytes_of(piece[_DATA]), headers_text = _bytes_of(piece[_HEADERS])
    cdef bytes package
    cdef object headers = NOT_DECODED, event_id, event
    cdef dict entries
    if scan.has_long_number:
        data = decode_common(data_text)
        headers = decode_common(headers_text)
    else:
        data = decode_plain(data_text)
        if scan.beyond_ascii:  # decoding has looked at the data
            PyUnicode_DecodeUTF8(<const char*>piece[_HEADERS].start, piece[_HEADERS].end - piece[_HEADERS].start, NULL)
    event_id = _id_of(_inner(piece[_MESSAGE_ID], piece[_ID]))
    if piece[_CORRELATION_ID].start == NULL:
        package = _package_id(package_ids.digest_of(position[1]))
        correlation_id, correlation_text = package.decode(), b'"%b"' % package
    else:
        correlation_id = valid_key(decode_common(_bytes_of(piece[_CORRELATION_ID])))
        correlation_text = encode(correlation_id)
    entries = {
        "correlation_id": (correlation_id, <bytes>CORRELATION_MEMBER + <bytes>correlation_text),
        "headers": (headers, <bytes>HEADERS_MEMBER + headers_text),
    }
    if piece[_RECEIVED_AT].start != NULL or piece[_EVENT_ID].start != NULL or piece[_SENDER].start != NULL:
        add_wrapper_entries(entries, _wrapper_of(piece), event_id, timestamps)
    event = Event.__new__(Event)
    PyObject_GenericSetAttr(
        event,
        "__dict__",
        {
            "id": event_id,
            "type": _known_key(piece[_TYPE]),
            "company_id": _known_key(piece[_ACCOUNT_ID]),
            "occurred_at": _time_of(_inner(piece[_TIMESTAMP], piece[_DISPATCHED_AT]), timestamps),
            "user_id": None if _is_null(piece[_USER_ID]) else _known_key(piece[_USER_ID]),
            "raw": raw,
            "attempts": 1,
            "replay_of": None,
            "_load": load_field,
            "_data": data,
            "_data_text": data_text,
            "_entries": entries,
            "_position": position,
            "_carried_bytes": PyBytes_GET_SIZE(raw),
        },
    )
    return event


cdef inline Piece _inner(Piece stamp, Piece member):
    """The value of a stamp, which may be an object or the value itself."""
    return member if stamp.start[0] == c'{' else stamp


cdef object _wrapper_of(Piece* piece):
    names = {}
    for number, name in ((_EVENT_ID, "event_id"), (_RECEIVED_AT, "received_at"), (_SENDER, "sender")):
        if piece[number].start != NULL:
            names[name] = decode_common(_bytes_of(piece[number]))
    return CommonMessage(**names)


cdef inline bint _is_null(Piece piece) noexcept nogil:
    return piece.start == NULL or piece.start[0] == c'n'


cdef dict _known_keys = {}


cdef object _known_key(Piece piece):
    """Types, companies and users: a run has few of them, each many times."""
    cdef bytes text = _bytes_of(piece)
    key = _known_keys.get(text)
    if key is None:
        key = valid_key(decode_common(text))
        if len(_known_keys) >= 10_000:
            _known_keys.clear()
        _known_keys[text] = key
    return key


cdef object _id_of(Piece piece):
    if piece.start == NULL:
        raise ValueError("no id")
    if _is_canonical_uuid(piece):
        return PyUnicode_DecodeUTF8(<const char*>piece.start + 1, 36, NULL)
    return event_id_of(valid_key(decode_common(_bytes_of(piece))))


cdef bint _is_canonical_uuid(Piece piece) noexcept nogil:
    cdef int number
    cdef unsigned char byte
    if piece.end - piece.start != 38 or piece.start[0] != c'"':
        return False
    for number in range(36):
        byte = piece.start[number + 1]
        if number == 8 or number == 13 or number == 18 or number == 23:
            if byte != c'-':
                return False
        elif not (c'0' <= byte <= c'9' or c'a' <= byte <= c'f'):
            return False
    return True


cdef object _time_of(Piece piece, timestamps):
    cdef long long microseconds
    if piece.start == NULL:
        raise ValueError("no time")
    if _is_quick_time(piece, timestamps, &microseconds):
        return datetime_of(microseconds)
    return timestamps.read(decode_common(_bytes_of(piece)))


cdef bint _is_quick_time(Piece piece, timestamps, long long* microseconds) except -1:
    """Whether it is a time of which nothing needs to be looked at; see `Timestamps.read`."""
    cdef long long quick_from = timestamps._quick_from, quick_end = timestamps._quick_end, number = 0
    cdef const unsigned char* at = piece.start
    if at[0] == c'"':
        if not read_iso(at + 1, piece.end - at - 2, microseconds):
            return False
        quick_end -= 1  # it is a whole millisecond, perhaps behind the latest time that is accepted
    else:
        if piece.end - at > 13 or at[0] == c'-':
            return False
        while at < piece.end:
            if not c'0' <= at[0] <= c'9':
                return False
            number = number * 10 + at[0] - c'0'
            at += 1
        microseconds[0] = number * 1000
    return 0 <= microseconds[0] and quick_from * 1000 <= microseconds[0] < quick_end * 1000


cdef bytes _hexadecimal = b"0123456789abcdef"


cdef bytes _package_id(bytes digest):
    """The UUID of version 5 that begins with a digest, as `PackageIds.id_of` gives it."""
    cdef char[36] text
    cdef const unsigned char* byte = <const unsigned char*>PyBytes_AS_STRING(digest)
    cdef const char* digits = PyBytes_AS_STRING(_hexadecimal)
    cdef int number, at = 0
    cdef unsigned char value
    for number in range(16):
        if number == 4 or number == 6 or number == 8 or number == 10:
            text[at] = c'-'
            at += 1
        value = byte[number]
        if number == 6:
            value = (value & 0x0F) | 0x50
        elif number == 8:
            value = (value & 0x3F) | 0x80
        text[at] = digits[value >> 4]
        text[at + 1] = digits[value & 15]
        at += 2
    return text[:36]
