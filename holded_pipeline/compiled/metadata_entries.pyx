# cython: language_level=3
"""`model.carried_text.with_entries` in C, for an event whose metadata nobody looked at."""

from cpython.bytes cimport PyBytes_GET_SIZE
from cpython.object cimport PyObject_GenericSetAttr

from holded_pipeline.model.values import Event

_event_type = Event


def with_entries(event, dict added):
    """The event with more entries in its metadata; None if Python has to make it."""
    cdef dict fields, entries
    cdef Py_ssize_t size = 0
    if type(event) is not _event_type:
        return None
    fields = event.__dict__
    if "_entries" not in fields or "metadata" in fields:
        return None
    entries = (<dict>fields["_entries"]).copy()
    entries.update(added)
    fields = fields.copy()
    fields["_entries"] = entries
    if "_carried_bytes" in fields:
        for entry in added.values():
            size += PyBytes_GET_SIZE(<bytes>(<tuple>entry)[1])
        fields["_carried_bytes"] += size
    if "_metadata_text" in fields:
        del fields["_metadata_text"]
    changed = Event.__new__(Event)
    PyObject_GenericSetAttr(changed, "__dict__", fields)
    return changed
