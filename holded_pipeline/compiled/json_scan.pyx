# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""One pass over a JSON text: that it is JSON, has no name twice in one object, and where some of its members are.

It answers "yes" or "not sure". A text of which it is not sure is looked at by code that knows what is wrong with it, so
nothing here has to explain anything, and whatever is rare may be left to that code: names with escapes of two
spellings, U+0000, halves of surrogate pairs, control characters, blanks other than spaces, more than 64 names in one
object.
"""

from libc.string cimport memcmp, memcpy, strchr

# What a byte within a string needs: nothing, a look at the escape, the end, no such string, or a look at the UTF-8.
cdef enum:
    _PLAIN = 0
    _END = 1
    _ESCAPE = 2
    _CONTROL = 3
    _BEYOND_ASCII = 4

cdef unsigned char[256] _kind_of
cdef int _byte
for _byte in range(256):
    _kind_of[_byte] = _CONTROL if _byte < 0x20 else _BEYOND_ASCII if _byte >= 0x80 else _PLAIN
_kind_of[ord('"')] = _END
_kind_of[ord("\\")] = _ESCAPE


cdef bint scan_text(
    Scan* scan, const unsigned char* text, Py_ssize_t length, int max_depth, int where, MemberSlot slot_of
) noexcept nogil:
    """Whether it is one JSON object, without doubt. Fills the pieces.

    Args:
        scan: what is found out.
        text: the text; it has to live as long as the pieces are used.
        length: its bytes.
        max_depth: the levels that it may be deep.
        where: what `slot_of` is asked about the members of the text's object.
        slot_of: the number of the piece for a member's value, 0 for none, -1 to be not sure. It is asked for the
            members of the text's object, and of objects with a number from FIRST_OBJECT on, which it is given.
    """
    cdef int number
    scan.at = text
    scan.end = text + length
    scan.deepest = max_depth
    scan.has_long_number = scan.beyond_ascii = False
    scan.names = 0
    scan.slot_of = slot_of
    for number in range(PIECES):
        scan.piece[number].start = NULL
    _skip_spaces(scan)
    if scan.at == scan.end or scan.at[0] != c'{' or not _object(scan, where):
        return False
    _skip_spaces(scan)
    return scan.at == scan.end


cdef inline void _skip_spaces(Scan* scan) noexcept nogil:
    while scan.at < scan.end and scan.at[0] == c' ':
        scan.at += 1


cdef bint _value(Scan* scan, int where) noexcept nogil:
    cdef unsigned char first
    if scan.at == scan.end:
        return False
    first = scan.at[0]
    if first == c'"':
        return _string(scan)
    if first == c'{':
        return _object(scan, where)
    if first == c'[':
        return _array(scan)
    if first == c't':
        return _word(scan, b"true", 4)
    if first == c'f':
        return _word(scan, b"false", 5)
    if first == c'n':
        return _word(scan, b"null", 4)
    return _number(scan)


cdef inline bint _word(Scan* scan, const char* word, Py_ssize_t length) noexcept nogil:
    if scan.end - scan.at < length or memcmp(scan.at, word, length) != 0:
        return False
    scan.at += length
    return True


cdef inline bint _enter(Scan* scan) noexcept nogil:
    """Goes behind the bracket that opens an object or an array; not beyond the deepest level."""
    scan.deepest -= 1
    scan.at += 1
    _skip_spaces(scan)
    return scan.deepest >= 0


cdef inline bint _leave(Scan* scan, unsigned char bracket) noexcept nogil:
    """Goes behind the bracket that closes it, if that is next."""
    if scan.at == scan.end or scan.at[0] != bracket:
        return False
    scan.at += 1
    scan.deepest += 1
    return True


cdef inline bint _next(Scan* scan) noexcept nogil:
    """Goes behind the comma before another member; False if there is none."""
    if scan.at == scan.end or scan.at[0] != c',':
        return False
    scan.at += 1
    _skip_spaces(scan)
    return True


cdef bint _object(Scan* scan, int where) noexcept nogil:
    cdef int first_name = scan.names
    cdef int slot
    cdef const unsigned char* name
    cdef Py_ssize_t length
    if not _enter(scan):
        return False
    if _leave(scan, c'}'):
        return True
    while True:
        if scan.at == scan.end or scan.at[0] != c'"':
            return False
        name = scan.at + 1
        if not _string(scan) or scan.has_other_spelling:
            return False
        length = scan.at - 1 - name
        if not _is_new_name(scan, first_name, name, length):
            return False
        slot = 0 if where == 0 else scan.slot_of(where, name, length)
        if slot < 0:
            return False
        _skip_spaces(scan)
        if scan.at == scan.end or scan.at[0] != c':':
            return False
        scan.at += 1
        _skip_spaces(scan)
        if slot:
            if scan.piece[slot].start != NULL:
                return False
            scan.piece[slot].start = scan.at
        if not _value(scan, slot if slot >= FIRST_OBJECT else 0):
            return False
        if slot:
            scan.piece[slot].end = scan.at
        _skip_spaces(scan)
        if _leave(scan, c'}'):
            scan.names = first_name
            return True
        if not _next(scan):
            return False


cdef inline bint _is_new_name(Scan* scan, int first_name, const unsigned char* start, Py_ssize_t length) noexcept nogil:
    cdef uint64_t beginning = 0
    cdef int number
    cdef Name* name
    if scan.names == MOST_NAMES or scan.names - first_name == MOST_NAMES_HERE:
        return False
    memcpy(&beginning, start, 8 if length > 8 else length)
    for number in range(first_name, scan.names):
        name = &scan.name[number]
        if name.beginning == beginning and name.length == length and memcmp(name.start, start, length) == 0:
            return False
    name = &scan.name[scan.names]
    name.beginning = beginning
    name.start = start
    name.length = length
    scan.names += 1
    return True


cdef bint _array(Scan* scan) noexcept nogil:
    if not _enter(scan):
        return False
    if _leave(scan, c']'):
        return True
    while True:
        if not _value(scan, 0):
            return False
        _skip_spaces(scan)
        if _leave(scan, c']'):
            return True
        if not _next(scan):
            return False


cdef bint _string(Scan* scan) noexcept nogil:
    cdef const unsigned char* at = scan.at + 1
    cdef const unsigned char* end = scan.end
    cdef unsigned char kind
    scan.has_escape = scan.has_other_spelling = False
    while True:
        while end - at >= 8 and _are_plain(at):
            at += 8
        while at < end and _kind_of[at[0]] == _PLAIN:
            at += 1
        if at == end:
            return False
        kind = _kind_of[at[0]]
        if kind == _END:
            scan.at = at + 1
            return True
        elif kind == _ESCAPE:
            scan.has_escape = True
            at = _after_escape(scan, at, end)
            if at == NULL:
                return False
        elif kind == _BEYOND_ASCII:
            scan.beyond_ascii = True
            at += 1
        else:
            return False


cdef inline bint _are_plain(const unsigned char* at) noexcept nogil:
    """Whether none of 8 bytes needs anything; see `_kind_of`."""
    # The highest bit of a byte is set where the text's byte is less than 0x20, a quotation mark or a backslash: more is
    # subtracted than it has. Where it is not, nothing is borrowed from the next byte. A byte beyond ASCII has the bit
    # already, and loses it by at most one of the last two subtractions.
    cdef uint64_t some
    memcpy(&some, at, 8)
    return (
        (
            (some - <uint64_t>0x2020202020202020)
            | ((some ^ <uint64_t>0x2222222222222222) - <uint64_t>0x0101010101010101)
            | ((some ^ <uint64_t>0x5C5C5C5C5C5C5C5C) - <uint64_t>0x0101010101010101)
        )
        & <uint64_t>0x8080808080808080
    ) == 0


cdef inline const unsigned char* _after_escape(
    Scan* scan, const unsigned char* at, const unsigned char* end
) noexcept nogil:
    """Where the text goes on behind an escape; NULL for one that is not sure to be valid."""
    cdef unsigned int unit, other
    if end - at < 2:
        return NULL
    if strchr(b'\\"ntrbf', at[1]) != NULL and at[1] != 0:
        return at + 2
    scan.has_other_spelling = True
    if at[1] == c'/':
        return at + 2
    if at[1] != c'u' or end - at < 6:
        return NULL
    unit = _hex(at + 2)
    if unit == 0 or unit > 0xFFFF or 0xDC00 <= unit <= 0xDFFF:
        return NULL
    if 0xD800 <= unit <= 0xDBFF:
        if end - at < 12 or at[6] != c'\\' or at[7] != c'u':
            return NULL
        other = _hex(at + 8)
        return at + 12 if 0xDC00 <= other <= 0xDFFF else NULL
    return at + 6


cdef inline unsigned int _hex(const unsigned char* at) noexcept nogil:
    """The value of four hexadecimal digits; more than 0xFFFF if they are none."""
    cdef unsigned int value = 0
    cdef int number
    cdef unsigned char digit
    for number in range(4):
        digit = at[number]
        value <<= 4
        if c'0' <= digit <= c'9':
            value |= digit - c'0'
        elif c'a' <= digit <= c'f':
            value |= digit - c'a' + 10
        elif c'A' <= digit <= c'F':
            value |= digit - c'A' + 10
        else:
            return 0x10000
    return value


cdef enum:
    _MOST_DIGITS = 15  # any decimal number with so many survives a double, see `json_numbers`


cdef bint _number(Scan* scan) noexcept nogil:
    cdef const unsigned char* start = scan.at
    if scan.at[0] == c'-':
        scan.at += 1
    if scan.at < scan.end and scan.at[0] == c'0':
        scan.at += 1
    elif not _digits(scan):
        return False
    if scan.at < scan.end and scan.at[0] == c'.':
        scan.at += 1
        if not _digits(scan):
            return False
    if scan.at < scan.end and (scan.at[0] == c'e' or scan.at[0] == c'E'):
        scan.has_long_number = True
        scan.at += 1
        if scan.at < scan.end and (scan.at[0] == c'+' or scan.at[0] == c'-'):
            scan.at += 1
        if not _digits(scan):
            return False
    if scan.at - start > _MOST_DIGITS:
        scan.has_long_number = True
    return True


cdef inline bint _digits(Scan* scan) noexcept nogil:
    cdef const unsigned char* start = scan.at
    while scan.at < scan.end and c'0' <= scan.at[0] <= c'9':
        scan.at += 1
    return scan.at > start
