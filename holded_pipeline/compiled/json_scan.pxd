"""One pass over a JSON text; see `json_scan.pyx`."""

from libc.stdint cimport uint64_t

cdef enum:
    MOST_NAMES = 512  # of all objects that are open at once
    MOST_NAMES_HERE = 64  # of one object: each name is compared with those before it
    PIECES = 24
    FIRST_OBJECT = 16  # pieces from here on are asked for their own members

cdef struct Piece:  # a part of the text; `start` is NULL where there is none
    const unsigned char* start
    const unsigned char* end

cdef struct Name:
    uint64_t beginning
    const unsigned char* start
    Py_ssize_t length

ctypedef int (*MemberSlot)(int where, const unsigned char* name, Py_ssize_t length) noexcept nogil

cdef struct Scan:
    const unsigned char* at
    const unsigned char* end
    int deepest  # levels that are left to go down
    bint has_long_number
    bint has_escape  # in the string that was scanned last
    bint has_other_spelling  # the same: an escape that has another form, too
    bint beyond_ascii
    int names
    Name name[MOST_NAMES]
    MemberSlot slot_of
    Piece piece[PIECES]

cdef bint scan_text(
    Scan* scan, const unsigned char* text, Py_ssize_t length, int max_depth, int where, MemberSlot slot_of
) noexcept nogil
