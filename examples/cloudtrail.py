"""AWS CloudTrail: log files with many records in one document, of which those that changed something are kept.

    python examples/cloudtrail.py                       starts real servers and stops them at the end
    python examples/cloudtrail.py --keep data           the same, and keeps the data

A log file is one JSON document, `{"Records": [...]}`, compressed. `records=` says where its records are, so that a file
of any size is streamed. The pattern takes the log files of every account and region, and leaves out the digest files
that CloudTrail stores beside them.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

# First the library, then Beam, so that Beam says nothing about packages that it does not need.
import holded_pipeline as hp  # isort: skip
import apache_beam as beam
from small_example import print_rejected, print_rows, run_on_servers, store_sample

LOG_FILES = "cloudtrail/AWSLogs/*/CloudTrail/**/*.json.gz"
REJECTED = "cloudtrail/rejected/"

SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "api-call": {
        "type": "object",
        "required": ["eventVersion", "eventName", "eventSource", "awsRegion", "userIdentity"],
        "properties": {
            "userIdentity": {"type": "object", "required": ["type"]},
            "sourceIPAddress": {"type": "string"},
            "readOnly": {"type": "boolean"},
        },
    }
}


def api_call(document: Any, source: hp.Source) -> hp.Event:
    """An envelope: one record of a log file. CloudTrail may deliver a record twice, under the same eventID."""
    identity = document["userIdentity"]
    return hp.Event(
        id=document["eventID"],
        type=f"{document['eventSource']}/{document['eventName']}",
        company_id=document["recipientAccountId"],
        user_id=identity.get("arn"),  # a service that calls by itself has none
        occurred_at=datetime.fromisoformat(document["eventTime"]),
        data=document,
        source=source,
    )


def only_reads(event: hp.Event) -> bool:
    """Whether a call changed nothing."""
    return event.data.get("readOnly", False) is True


def sample() -> bytes:
    """A log file with four records: two that changed something, one that only read, one without an eventID."""
    ada = {"type": "IAMUser", "arn": "arn:aws:iam::123456789012:user/ada", "accountId": "123456789012"}
    calls = [
        ("e-1", "ec2", "RunInstances", False, ada),
        ("e-2", "s3", "ListBuckets", True, ada),
        ("e-3", "kms", "RotateKey", False, {"type": "AWSService", "invokedBy": "kms.amazonaws.com"}),
        (None, "iam", "DeleteUser", False, ada),
    ]
    records = [
        {
            "eventVersion": "1.09",
            "eventTime": "2026-01-12T10:00:00Z",
            "eventSource": f"{service}.amazonaws.com",
            "eventName": name,
            "awsRegion": "eu-south-2",
            "recipientAccountId": "123456789012",
            "userIdentity": identity,
            "readOnly": is_read,
            **({"eventID": event_id} if event_id else {}),
        }
        for event_id, service, name, is_read, identity in calls
    ]
    return gzip.compress(json.dumps({"Records": records}).encode(), mtime=0)  # the same bytes each time


def build(pipeline: beam.Pipeline, lake: hp.MinIO, db: hp.Postgres) -> None:
    """The pipeline. DropEvents counts what it leaves out; after `beam.Filter` the run would not balance."""
    ledger = hp.Ledger(db, "cloudtrail")
    raw = pipeline | hp.ReadMinIO(lake, LOG_FILES, records="/Records/*", envelope=api_call, new_only=ledger)
    changes = raw.passed | hp.DropEvents(only_reads, reason="read_only_call")
    checked = changes.passed | hp.ValidateSchema(SCHEMAS, subject="api-call")
    loaded = checked.passed | hp.WritePostgres(db)
    written = [step.rejected for step in (raw, changes, checked, loaded)] | hp.WriteRejected(lake, REJECTED)
    _ = (loaded, written) | hp.SettleObjects(ledger)


def show(lake: hp.MinIO, db: hp.Postgres) -> int:
    """Runs the pipeline once; returns 0 if every record is a row, dropped, or a dead letter."""
    day = "cloudtrail/AWSLogs/123456789012/CloudTrail/eu-south-2/2026/01/12"
    store_sample(lake, f"{day}/123456789012_CloudTrail_eu-south-2_20260112T1005Z_Mu0KsOhtH1ar15ZZ.json.gz", sample())
    digests = day.replace("CloudTrail/eu", "CloudTrail-Digest/eu")
    store_sample(lake, f"{digests}/123456789012_CloudTrail-Digest_eu-south-2.json.gz", gzip.compress(b"{}", mtime=0))
    pipeline = beam.Pipeline(runner="FnApiRunner")
    build(pipeline, lake, db)
    report = hp.run(pipeline)
    print(report)
    print("\ncalls that changed something:")
    print_rows(
        db,
        "SELECT event_type, company_id AS account, user_id FROM business_events "
        "WHERE source->>'key' LIKE 'cloudtrail/%' ORDER BY 1",
    )
    print("\nrejected:")
    print_rejected(lake, REJECTED)
    return 0 if report.is_balanced else 1


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if every record is accounted for."""
    return run_on_servers(__doc__, show, argv)


if __name__ == "__main__":
    sys.exit(main())
