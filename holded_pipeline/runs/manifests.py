"""Manifests: which objects a settled run wrote, so that readers leave out what attempts that died have left.

A manifest is an object of JSON lines, `{"key", "etag", "records", "bytes"}`, below `_manifests/` in the prefix of
`WriteMinIO`. It is written after its run was settled; if the run dies in between, the next run writes it.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable
from functools import partial
from itertools import groupby

import attrs
import msgspec
import sqlalchemy as sa

from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.runs.run_database import in_transaction
from holded_pipeline.store.client import ObjectStore
from holded_pipeline.store.manifest_objects import ManifestLine
from holded_pipeline.store.minio import MinIO
from holded_pipeline.store.object_names import MANIFESTS, escape_key_level, join_key

_PENDING = """
SELECT settled.run_id, written.bucket, written.prefix, written.key, written.etag, written.records, written.bytes
FROM pipeline_settlements AS settled LEFT JOIN pipeline_run_outputs AS written USING (ledger, run_id)
WHERE settled.ledger = :ledger AND NOT settled.has_manifests
ORDER BY settled.run_id, written.bucket, written.prefix, written.key"""
_MARK = "UPDATE pipeline_settlements SET has_manifests = true WHERE ledger = :ledger AND run_id = :run_id"


@attrs.frozen
class ManifestPlace:
    """Where a sink writes: the manifests of its runs are below its prefix."""

    lake: MinIO
    prefix: str


def write_manifests(db: Postgres, ledger: str, places: Iterable[ManifestPlace]) -> list[str]:
    """Writes the manifests of all runs that are settled in a ledger and have none yet; returns their keys.

    A run that wrote to another place than `places` waits for a pipeline that has that place.

    Raises:
        TransientError, ConfigurationError: the store or the database cannot be used.
    """
    by_place = {(each.lake.bucket, each.prefix): each for each in places}
    pending = in_transaction(db, lambda connection: connection.execute(sa.text(_PENDING), {"ledger": ledger}).all())
    written: list[str] = []
    for run_id, rows in groupby(pending, lambda row: row.run_id):
        outputs = {place: list(group) for place, group in groupby(rows, lambda row: (row.bucket, row.prefix))}
        outputs.pop((None, None), None)  # a run that stored no event
        if not set(outputs) <= set(by_place):
            continue
        for place, lines in outputs.items():
            encoded = [ManifestLine(row.key, row.etag, row.records, row.bytes) for row in lines]
            written.append(write_manifest(by_place[place], ledger, run_id, encoded))
        in_transaction(db, partial(_mark_written, {"ledger": ledger, "run_id": run_id}))
    return written


def _mark_written(names: dict[str, str], connection: sa.Connection) -> None:
    connection.execute(sa.text(_MARK), names)


def write_manifest(place: ManifestPlace, owner: str, run_id: str, lines: Iterable[ManifestLine]) -> str:
    """Writes the manifest of one run and returns its key; again, it replaces the same object.

    Args:
        place: where the run wrote.
        owner: what a run has one manifest of: its ledger, or what it replays.
        run_id: the run.
        lines: what it wrote.
    """
    digest = hashlib.sha256(f"{owner}\0{run_id}".encode()).hexdigest()[:16]
    key = join_key(place.prefix, MANIFESTS, f"{escape_key_level(run_id)[:200]}-{digest}.jsonl.gz")
    body = gzip.compress(b"".join(msgspec.json.encode(line) + b"\n" for line in lines), mtime=0)
    store = ObjectStore(place.lake)
    try:
        store.write(key, body)
    finally:
        store.close()
    return key
