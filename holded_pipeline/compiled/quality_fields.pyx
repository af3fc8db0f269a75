# cython: language_level=3
"""`enriching.builtin_verdicts` and `enriching.document_fields` in C: one look at each field of a document."""

from cpython.dict cimport PyDict_GetItemWithError, PyDict_Next
from cpython.ref cimport PyObject
from cpython.unicode cimport PyUnicode_GET_LENGTH
from libc.math cimport isfinite

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from holded_pipeline.compiled.iso_times cimport read_iso

from holded_pipeline.enriching.document_fields import (
    COUNTRY,
    CREATED,
    CURRENCY,
    DATE,
    DUE,
    EMAIL,
    EXACT_AMOUNT,
    ISSUED,
    SURE,
    UPDATED,
    kinds_of_names,
    quick_time,
)
from holded_pipeline.enriching.quality import NOT_APPLICABLE
from holded_pipeline.enriching.quality_rules import AHEAD, EARLIEST, EMPTY_SHARE, LATE, LATEST, MAX_FIELDS, NO_USER

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object text) noexcept
    void* PyUnicode_DATA(object text) noexcept

cdef object _decimal = Decimal
cdef object _epoch = datetime(1970, 1, 1, tzinfo=UTC)
cdef object _microsecond = timedelta(microseconds=1)
cdef object _kinds = kinds_of_names
cdef int _date = DATE, _currency = CURRENCY, _country = COUNTRY, _email = EMAIL
cdef object _does_not_apply = NOT_APPLICABLE
cdef object _may_fail = object()
cdef str _no_user = NO_USER
cdef double _exact = EXACT_AMOUNT, _sure = SURE, _empty_share = EMPTY_SHARE
cdef object _earliest = EARLIEST, _latest = LATEST, _late = LATE, _ahead = -AHEAD
cdef tuple _created = CREATED, _updated = UPDATED, _issued = ISSUED, _due = DUE
cdef Py_ssize_t _most = MAX_FIELDS


def scan_fields(dict data):
    """What `document_fields.scan_fields` gives, with the times as microseconds since 1970."""
    cdef int seen = 0, failed = 0, empty = 0, bit
    cdef Py_ssize_t count = 0, number = 0, place
    cdef PyObject* name
    cdef PyObject* value
    cdef dict times = {}, fields
    cdef list pending = [data]
    cdef object current, each
    cdef tuple kind
    while number < len(pending):
        current = pending[number]
        number += 1
        if type(current) is dict:
            fields = <dict>current
            count += len(fields)
            if count > _most:
                return None
            place = 0
            while PyDict_Next(fields, &place, &name, &value):
                each = <object>value
                if not _is_scalar(each):
                    pending.append(each)
                if current is data and _is_empty(each):
                    empty += 1
                if each is None:
                    continue
                kind = _kind_of(<object>name)
                if kind is None:
                    continue
                if kind[0] and type(each) is not dict and type(each) is not list:
                    seen |= _date
                    moment = _time_of(each)
                    if moment is None:
                        failed |= _date
                    elif current is data:
                        times[<object>name] = moment
                for bit, matches in <tuple>kind[1]:
                    seen |= bit
                    if not _has_form(bit, each, matches):
                        failed |= bit
        elif type(current) is list:
            count += len(<list>current)
            if count > _most:
                return None
            for each in <list>current:
                if not _is_scalar(each):
                    pending.append(each)
        else:
            return None
    return seen, failed, times, empty


def passed_verdicts(event, dict data, collected):
    """The verdicts on an event that fails no rule but `user.known`; None if it may, or if Python has to look at it."""
    cdef dict fields = event.__dict__, times
    cdef int seen, failed, empty
    found = scan_fields(data)
    if found is None:
        return None
    seen, failed, times, empty = found
    identity = data.get("id")
    if failed or type(identity) is not str or not identity.strip():
        return None
    if empty > _empty_share * len(data) or data.get("companyId") != fields["company_id"]:
        return None
    occurred_at = fields["occurred_at"]
    if not _earliest <= occurred_at < _latest:
        return None
    amount = _amount_verdict(data)
    delay = _delay_verdict(occurred_at, collected)
    updated = _order_verdict(data, times, _created, _updated)
    due = _order_verdict(data, times, _issued, _due)
    totals = _totals_verdict(data)
    if amount is _may_fail or delay is _may_fail or updated is _may_fail or due is _may_fail or totals is _may_fail:
        return None
    return (
        None,
        None,
        None,
        None if fields["user_id"] else _no_user,
        amount,
        amount,
        None if seen & _currency else _does_not_apply,
        None if seen & _country else _does_not_apply,
        None if seen & _email else _does_not_apply,
        None if seen & _date else _does_not_apply,
        None,
        delay,
        delay,
        None,
        updated,
        due,
        totals,
    )


cdef inline bint _is_number(value):
    return type(value) is int or (type(value) is float and isfinite(<double>value))


cdef object _amount_verdict(dict data):
    if "amount" not in data:
        return _does_not_apply
    return None if _is_number(data["amount"]) and data.get("currency") else _may_fail


cdef object _delay_verdict(occurred_at, collected):
    if collected is None:
        return _does_not_apply
    moment = quick_time(collected)
    if moment is None:
        return _does_not_apply
    return None if _ahead <= moment - occurred_at <= _late else _may_fail


cdef object _order_verdict(dict data, dict times, tuple earlier, tuple later):
    if later[0] not in data and later[1] not in data:
        return _does_not_apply
    first, second = times.get(earlier[0]), times.get(later[0])
    if first is not None and second is not None and second >= first:
        return None
    if (first is None and _has_none(data, earlier)) or (second is None and _has_none(data, later)):
        return _does_not_apply
    return _may_fail


cdef bint _has_none(dict data, tuple names):
    for name in names:
        if data.get(name) is not None:
            return False
    return True


cdef object _totals_verdict(dict data):
    total = data.get("total")
    if total is None:
        return _does_not_apply
    subtotal, tax = data.get("subtotal"), data.get("tax")
    if not (_is_number(subtotal) and _is_number(tax) and _is_number(total)):
        return _may_fail
    if max(abs(subtotal), abs(tax), abs(total)) < _exact and abs(subtotal + tax - total) < _sure:
        return None
    return _may_fail


cdef inline bint _is_scalar(value):
    kind = type(value)
    return kind is str or kind is int or kind is float or kind is bool or value is None or kind is _decimal


cdef inline bint _is_empty(value):
    kind = type(value)
    return value is None or ((kind is str or kind is dict or kind is list) and not value)


cdef inline tuple _kind_of(name):
    cdef void* found = <void*>PyDict_GetItemWithError(_kinds, name)
    return <tuple>found if found != NULL else _kinds[name]


cdef inline bint _has_form(int bit, value, matches):
    if type(value) is not str:
        return False
    if bit == _currency:
        return _is_capitals(value, 3)
    if bit == _country:
        return _is_capitals(value, 2)
    return matches(value) is not None


cdef inline bint _is_capitals(str text, Py_ssize_t length):
    cdef const unsigned char* characters
    cdef Py_ssize_t number
    if PyUnicode_GET_LENGTH(text) != length or not PyUnicode_IS_COMPACT_ASCII(text):
        return False
    characters = <const unsigned char*>PyUnicode_DATA(text)
    for number in range(length):
        if not c'A' <= characters[number] <= c'Z':
            return False
    return True


cdef object _time_of(value):
    """Microseconds since 1970; None for what means no time."""
    cdef long long microseconds
    if type(value) is str and PyUnicode_IS_COMPACT_ASCII(value):
        if read_iso(<const unsigned char*>PyUnicode_DATA(value), PyUnicode_GET_LENGTH(value), &microseconds):
            return microseconds
    moment = quick_time(value)
    return None if moment is None else (moment - _epoch) // _microsecond
