"""What `ingest_to_postgres.py` prints beside the report of the run: summaries, dead letters, and where to look."""

from __future__ import annotations

import gzip
import json
import shlex
from pathlib import Path
from typing import Any

import sqlalchemy as sa

import holded_pipeline as hp

_LONGEST = 240


def print_report(report: hp.RunReport, lake: hp.MinIO, db: hp.Postgres, *, keep: str | None) -> int:
    """Prints the report and more; returns 0 if the counts add up and the summaries equal the events."""
    differences = hp.verify_analytics(db)
    print(f"\n{report}")
    print(f"summaries equal the events: {'yes' if not differences else f'NO, {differences[0]}'}")
    _print_summaries(db)
    _print_rejected(lake)
    _print_next(db, keep)
    if not report.records:
        print("Nothing was read: see --input, or store some with --samples N.")
    return 0 if report.is_balanced and not differences else 1


def _print_summaries(db: hp.Postgres) -> None:
    engine = db.engine()
    with engine.connect() as connection:
        _section("Companies with most events")
        query = (
            "SELECT company_id, total_events, round(avg_data_quality, 3) AS quality, last_event_at "
            "FROM company_analytics ORDER BY total_events DESC, company_id LIMIT 5"
        )
        for row in connection.execute(sa.text(query)):
            print(f"{row.company_id:<32}{row.total_events:>12,}   quality {row.quality}   last {row.last_event_at}")
        _section("Most frequent types")
        query = (
            "SELECT event_type, total_count, unique_companies, round(avg_quality_score, 3) AS quality "
            "FROM event_type_summaries ORDER BY total_count DESC, event_type LIMIT 5"
        )
        for row in connection.execute(sa.text(query)):
            name = row.event_type.rpartition("\\")[2]
            print(f"{name:<32}{row.total_count:>12,}   companies {row.unique_companies:>4}   quality {row.quality}")
    engine.dispose()


def _print_rejected(lake: hp.MinIO) -> None:
    _section("Three dead letters")
    for document in _sample_dead_letters(lake, 3):
        source = document["source"] or {}
        print(f"{document['stage']}: {document['reason']} at {source.get('key')}, line {source.get('line')}")
        print(f"    {document['message'][:_LONGEST]}")
        for violation in document["violations"][:3]:
            print(f"    {violation['pointer'] or '(root)'} {violation['keyword']}: {violation['message'][:_LONGEST]}")
        print(f"    record: {document['record']['content'][:_LONGEST]}…")


def _sample_dead_letters(lake: hp.MinIO, number: int) -> list[dict[str, Any]]:
    """Some dead letters, from each stage in turn."""
    filesystem = lake.filesystem()
    by_stage: dict[str, str] = {}
    for key in filesystem.find(f"{lake.bucket}/rejected/") if filesystem.exists(f"{lake.bucket}/rejected") else []:
        by_stage[key.split("stage=")[1].split("/")[0]] = key
    found: list[list[dict[str, Any]]] = []
    for key in by_stage.values():
        lines = gzip.decompress(filesystem.cat(key)).splitlines()[:number]
        found.append([json.loads(line) for line in lines])
    in_turn = [documents[turn] for turn in range(number) for documents in found if turn < len(documents)]
    return in_turn[:number]


def _print_next(db: hp.Postgres, keep: str | None) -> None:
    _section("To look further")
    if keep:
        print(f"The data are in {keep}. Run the same command again: it finds only duplicates.")
        print("To open them, with their servers, in Python:")
        print(f"    {opening_command(keep)}")
    elif "127.0.0.1" in db.url:
        print("These servers were temporary. Keep their data with --keep DIR, or name yours with")
        print("--minio and --postgres; see --help.")
    print("In the store: enriched/ has the events that passed, rejected/ the dead letters, with every reason.")
    print("In the database: business_events, company_analytics, event_type_summaries.")


def opening_command(keep: str) -> str:
    """A command for a shell that starts the servers over the data that were kept, until Python is left."""
    folder = json.dumps(str(Path(keep).resolve()), ensure_ascii=False)
    return (
        f"python -i -c {shlex.quote(f'import holded_pipeline as hp; stack = hp.local.start({folder}); print(stack)')}"
    )


def _section(title: str) -> None:
    print(f"\n{title}\n{'-' * len(title)}")
