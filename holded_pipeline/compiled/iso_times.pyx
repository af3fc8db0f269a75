# cython: language_level=3, cdivision=True
"""Times of the forms that most producers write; other forms are read by `model.iso_8601`."""

from cpython.datetime cimport (
    datetime_day,
    datetime_hour,
    datetime_microsecond,
    datetime_minute,
    datetime_month,
    datetime_new,
    datetime_second,
    datetime_tzinfo,
    datetime_year,
    import_datetime,
)
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.string cimport memcpy

from datetime import UTC, datetime

import_datetime()

_datetime = datetime
_utc = UTC


cdef object datetime_of(long long microseconds):
    """The time in UTC that is so long after 1970; for times from 1970 on."""
    cdef long long days = microseconds // 86_400_000_000
    cdef long long rest = microseconds - days * 86_400_000_000
    cdef int seconds = <int>(rest // 1_000_000)
    # The proleptic Gregorian calendar in eras of 400 years, each of 146,097 days; a year is taken to begin in March.
    cdef long long since = days + 719_468
    cdef long long era = since // 146_097
    cdef int of_era = <int>(since - era * 146_097)
    cdef int year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    cdef int of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    cdef int march_month = (5 * of_year + 2) // 153
    cdef int day = of_year - (153 * march_month + 2) // 5 + 1
    cdef int month = march_month + 3 if march_month < 10 else march_month - 9
    cdef int year = <int>(year_of_era + era * 400) + (1 if month <= 2 else 0)
    return datetime_new(
        year,
        month,
        day,
        seconds // 3600,
        seconds // 60 % 60,
        seconds % 60,
        <int>(rest - seconds * <long long>1_000_000),
        UTC,
    )


cdef inline int _two(const unsigned char* at) noexcept nogil:
    """The number that two digits make; -1 if they are none."""
    if c'0' <= at[0] <= c'9' and c'0' <= at[1] <= c'9':
        return (at[0] - c'0') * 10 + at[1] - c'0'
    return -1


cdef bint read_iso(const unsigned char* at, Py_ssize_t length, long long* microseconds) noexcept nogil:
    """Reads `2026-03-01`, `2026-03-01T12:00:00`, with a fraction of up to six digits, and with `Z` or `+01:00`."""
    cdef const unsigned char* end = at + length
    cdef int year, month, day, hour = 0, minute = 0, second = 0, offset = 0, digits = 0, sign = 1
    cdef long long fraction = 0
    if length < 10 or at[4] != c'-' or at[7] != c'-':
        return False
    year = _two(at)
    month = _two(at + 2)
    if year < 0 or month < 0:
        return False
    year = year * 100 + month
    month = _two(at + 5)
    day = _two(at + 8)
    if not 2 <= year <= 9998 or not 1 <= month <= 12 or not 1 <= day <= _days_of(year, month):
        return False
    at += 10
    if at < end:
        if end - at < 9 or at[0] != c'T' or at[3] != c':' or at[6] != c':':
            return False
        hour, minute, second = _two(at + 1), _two(at + 4), _two(at + 7)
        if not 0 <= hour <= 23 or not 0 <= minute <= 59 or not 0 <= second <= 59:
            return False
        at += 9
        if at < end and at[0] == c'.':
            at += 1
            while at < end and c'0' <= at[0] <= c'9':
                fraction = fraction * 10 + at[0] - c'0'
                digits += 1
                if digits > 6:
                    return False
                at += 1
            if digits == 0:
                return False
            while digits < 6:
                fraction *= 10
                digits += 1
        if at < end and at[0] == c'Z':
            at += 1
        elif end - at == 6 and (at[0] == c'+' or at[0] == c'-') and at[3] == c':':
            sign = 1 if at[0] == c'+' else -1
            offset = _two(at + 1)
            digits = _two(at + 4)
            if not 0 <= offset <= 23 or not 0 <= digits <= 59:
                return False
            offset = sign * (offset * 60 + digits)
            at += 6
        if at != end:
            return False
    microseconds[0] = (
        ((_day_number(year, month, day) * 24 + hour) * 60 + minute - offset) * 60 + second
    ) * 1_000_000 + fraction
    return True


cdef inline int _days_of(int year, int month) noexcept nogil:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31


cdef inline long long _day_number(int year, int month, int day) noexcept nogil:
    """Days since 1970-01-01, of the proleptic Gregorian calendar; the year is taken to begin in March."""
    cdef long long years = year - 1 if month <= 2 else year
    cdef int months = month + 9 if month <= 2 else month - 3
    return years * 365 + years // 4 - years // 100 + years // 400 + (153 * months + 2) // 5 + day - 1 - 719_468


cdef inline char* _put_two(char* at, int number) noexcept nogil:
    at[0] = <char>(c'0' + number // 10)
    at[1] = <char>(c'0' + number % 10)
    return at + 2


def iso_text(moment):
    """`moment.isoformat()`."""
    cdef char text[32]
    cdef char* at = text
    cdef int year, fraction, digit
    if type(moment) is not _datetime or datetime_tzinfo(moment) is not _utc:
        return moment.isoformat()
    year = datetime_year(moment)
    at = _put_two(_put_two(at, year // 100), year % 100)
    at[0] = c'-'
    at = _put_two(at + 1, datetime_month(moment))
    at[0] = c'-'
    at = _put_two(at + 1, datetime_day(moment))
    at[0] = c'T'
    at = _put_two(at + 1, datetime_hour(moment))
    at[0] = c':'
    at = _put_two(at + 1, datetime_minute(moment))
    at[0] = c':'
    at = _put_two(at + 1, datetime_second(moment))
    fraction = datetime_microsecond(moment)
    if fraction:
        at[0] = c'.'
        for digit in range(6, 0, -1):
            at[digit] = <char>(c'0' + fraction % 10)
            fraction //= 10
        at += 7
    memcpy(at, b"+00:00", 6)
    return PyUnicode_DecodeASCII(text, at + 6 - text, NULL)
