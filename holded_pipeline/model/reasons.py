"""Every reason for which this library rejects a record, and every error it raises: what causes it, what fixes it.

`docs/reference/errors.md` says the same; a test compares the two with the code. PostgreSQL's own reasons (its names of
the conditions of SQLSTATE classes 22, 23 and 54) are many, and are listed on that page only.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class CodeReference:
    """What a reason or an error means.

    Attributes:
        name: the reason code, or the error's class.
        raised: the stage that a reason comes from; for an error, when it is raised.
        cause: what it means.
        fix: what to do.
    """

    name: str
    raised: str
    cause: str
    fix: str


REASONS: tuple[CodeReference, ...] = (
    CodeReference(
        "conflicting_headers", "read", "`headers` and `attributes` are both there and differ", "send one of them"
    ),
    CodeReference(
        "corrupt_compression", "read", "an object's compressed data are damaged or end early", "upload it again"
    ),
    CodeReference(
        "drop_error", "drop", "the function of `DropEvents` failed for this event", "fix the function, replay"
    ),
    CodeReference("duplicate_name", "read", "a name occurs twice in one JSON object", "keep one of them"),
    CodeReference(
        "enricher_error",
        "enrich",
        "an enricher raised an exception on this event",
        'fix the enricher, or give it `on_error="skip"`',
    ),
    CodeReference(
        "enricher_output",
        "enrich",
        "an enricher returned something other than a JSON object",
        "return a mapping of JSON values",
    ),
    CodeReference(
        "enricher_timeout", "enrich", "an enricher took longer than its `timeout`", "make it quicker, or give it more"
    ),
    CodeReference(
        "envelope_error",
        "read",
        "your envelope function raised an exception",
        "fix it, or raise `RejectRecord`",
    ),
    CodeReference(
        "foreign_company",
        "collect",
        "the API key may not send events of the company that the event names, or it names none",
        "correct the account id, or use a key of that company; see `ApiKey.companies`",
    ),
    CodeReference(
        "id_conflict",
        "collect, write",
        "its id is accepted or stored with another content; the message has the values that differ, and where it is",
        'give each event an id of its own, or replace the stored one: `on_conflict="update"`',
    ),
    CodeReference(
        "implausible_timestamp",
        "read",
        "a time before `Timestamps.earliest`, beyond `Timestamps.max_ahead`, or at an end of the years 1 to 9999",
        "see the unit in its message; replay with `timestamps=`",
    ),
    CodeReference("invalid_field", "read", "a field of the message has a wrong type or value", "see its violations"),
    CodeReference("invalid_json", "read", "the text is not JSON, or ends early", "see its position in the message"),
    CodeReference("invalid_utf8", "read", "the bytes are not UTF-8", "encode them as UTF-8"),
    CodeReference(
        "invalid_value",
        "write",
        "a value cannot be written as its column's type, could not be read again, or holds U+0000",
        "change the row function or the value",
    ),
    CodeReference("lone_surrogate", "read", "a string contains half of a UTF-16 pair", "send the whole character"),
    CodeReference(
        "lookup_missing",
        "enrich",
        'a lookup with `on_missing="reject"` has no row for the event\'s key',
        "complete the table or object, then replay",
    ),
    CodeReference(
        "low_quality",
        "enrich",
        "the quality score is below `min_quality` or `Quality.minimum`",
        "see the rules it failed",
    ),
    CodeReference(
        "missing_field", "read", "the message lacks a field that makes an event", "send it; see its violations"
    ),
    CodeReference("not_an_object", "read", "the record is JSON, but not an object", "send a JSON object"),
    CodeReference("not_finite", "read", "NaN or Infinity, which are not JSON", "send null, or leave the field out"),
    CodeReference("nul_character", "read", "a string holds U+0000, which PostgreSQL cannot store", "remove it"),
    CodeReference(
        "number_too_large",
        "collect, read",
        "a number that has over 4,300 digits before its point when it is written out, or numbers that grow by too much",
        "send it as text, or with a smaller exponent",
    ),
    CodeReference(
        "object_unreadable",
        "read",
        'the store does not give out an object: archived, encrypted, not granted (with `on_unreadable="reject"`)',
        "do what its message says, then run again",
    ),
    CodeReference(
        "object_vanished",
        "read",
        'an object was deleted or overwritten after it was listed (with `on_vanished="reject"`)',
        "run again",
    ),
    CodeReference(
        "record_too_large",
        "read",
        "the record is larger than `max_record_bytes`",
        "split it, or allow more; see `ReadMinIO`",
    ),
    CodeReference("row_error", "write", "your row function raised an exception", "fix it, or raise `RejectRecord`"),
    CodeReference("schema_violation", "collect, validate", "the document breaks its schema", "see its violations"),
    CodeReference(
        "subject_error", "validate", "no subject can be determined for the event", "fix the template or the function"
    ),
    CodeReference(
        "too_costly",
        "validate",
        "its check against the schema takes more than 5 s of CPU time, 0.5 s more for each MB, or too much memory",
        "send smaller events, or simplify the schema; then replay",
    ),
    CodeReference("too_deep", "read", "the document is nested deeper than `max_depth`", "flatten it, or allow more"),
    CodeReference(
        "unknown_subject", "validate", "the registry or directory has no such subject", "register the schema, replay"
    ),
    CodeReference(
        "unknown_version", "validate", "the subject has no such version", "register it, or ask for another version"
    ),
    CodeReference(
        "unsupported_format",
        "read",
        "an object is no JSON text: zip, Parquet, Avro, UTF-16, compressed twice, or in a way that is not read",
        "convert it as the message says",
    ),
)
"""The reason codes, in alphabetical order."""

ERRORS: tuple[CodeReference, ...] = (
    CodeReference(
        "AlreadySettledError",
        "at the end of a run",
        "another run settled the same objects in the meantime; nothing is lost or doubled",
        "run one at a time; run again for what is left",
    ),
    CodeReference(
        "ConfigurationError",
        "at once",
        "a setting, a grant, a table, a bucket or a schema is wrong; trying again cannot help",
        "do what its message says",
    ),
    CodeReference(
        "EnricherError",
        "running",
        'an enricher failed whose `on_error` is `"fail"`, or with an error of this library',
        "fix the enricher",
    ),
    CodeReference(
        "LeaseLostError",
        "in `Lease.renew`",
        "another process took the lease, as this one was stopped or cut off from the database for longer than it lasts",
        "`run_every` waits for the lease by itself; in a loop of your own, `acquire` it again before the next run",
    ),
    CodeReference(
        "ObjectUnreadableError",
        "running",
        "the store does not give out an object: it is archived, encrypted with a key out of reach, or not granted",
        'do what its message says, or pass `on_unreadable="reject"`',
    ),
    CodeReference(
        "ObjectVanishedError",
        "running",
        "an object was deleted or overwritten after it was listed",
        'run again, or pass `on_vanished="reject"`',
    ),
    CodeReference(
        "RejectRecord",
        "by your code",
        "raised outside an envelope, an enricher or a row function, where it cannot reject a record",
        "raise it inside one of them",
    ),
    CodeReference(
        "StartError",
        "in `local.stack()`",
        "a local server did not come up",
        "read the end of its log, which is in the message",
    ),
    CodeReference(
        "TooManyRejectedError",
        "after the rejected were written",
        "more was rejected than `WriteRejected(max_rejected=…)` allows",
        "fix what the most frequent reasons say, then run again or replay",
    ),
    CodeReference(
        "TransientError",
        "after the deadline",
        "a server did not answer within `Retry.deadline`, or a proxy answered in its place; nothing was rejected",
        "run again once it is back, or raise the deadline; check the endpoint if the message says so",
    ),
    CodeReference(
        "UnbalancedError",
        "at the end of a run",
        "records of an object are neither stored, nor duplicates, nor rejected, nor dropped",
        "find the step that loses or adds events; leave events out by `DropEvents`; write all rejections",
    ),
)
"""The exceptions of this library that users can meet; all are `HoldedPipelineError`."""
