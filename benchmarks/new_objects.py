"""How long it takes to find the 10 new ones of 100,000 objects, with a ledger and with a bookmark.

    python benchmarks/new_objects.py            100,000 objects in the store
    python benchmarks/new_objects.py --smoke    tiny sizes, to see that it runs

Prints seconds, best of `--rounds`: the listing alone, the plan with a ledger, the plan that begins after a bookmark;
and the query plan of one statement.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable, Iterable

import sqlalchemy as sa

import holded_pipeline as hp
from holded_pipeline.runs.new_objects import NewObjects
from holded_pipeline.runs.settled_objects import NEW_OF, PAGE
from holded_pipeline.store.client import ObjectStore
from holded_pipeline.store.read_plan import StoredObject

_PREFIX = "raw/2026/"
_PUT_TOGETHER = 1_000
_SETTLE = sa.text(
    "INSERT INTO pipeline_settled_objects (ledger, bucket, key, etag, run_id) "
    "SELECT :ledger, :bucket, key, etag, 'benchmark' "
    "FROM unnest(CAST(:keys AS text[]), CAST(:etags AS text[])) AS listed (key, etag)"
)


def put_objects(lake: hp.MinIO, count: int) -> None:
    """Stores small objects with growing keys."""
    filesystem = lake.filesystem()
    for first in range(0, count, _PUT_TOGETHER):
        numbers = range(first, min(first + _PUT_TOGETHER, count))
        filesystem.pipe({f"{lake.bucket}/{_PREFIX}{number:08}.jsonl": b"%d" % number for number in numbers})


def parameters(ledger: str, bucket: str, objects: list[StoredObject]) -> dict[str, object]:
    """Of the statements that take objects."""
    keys, etags = [each.key for each in objects], [each.etag for each in objects]
    return {"ledger": ledger, "bucket": bucket, "keys": keys, "etags": etags}


def settle(db: hp.Postgres, ledger: str, bucket: str, objects: list[StoredObject]) -> None:
    """Settles objects, as if a run had done it."""
    with db.engine().begin() as connection:
        connection.execute(_SETTLE, parameters(ledger, bucket, objects))
        connection.execute(sa.text("ANALYZE pipeline_settled_objects"))


def print_query_plan(db: hp.Postgres, ledger: str, bucket: str, objects: list[StoredObject]) -> None:
    """Prints how the server answers for one chunk of the listing."""
    with db.engine().connect() as connection:
        explain = sa.text(f"EXPLAIN (ANALYZE) {NEW_OF}")
        for (line,) in connection.execute(explain, parameters(ledger, bucket, objects[:PAGE])):
            print(f"    {line}")


def find_new(ledger: hp.Ledger, lake: hp.MinIO, store: ObjectStore) -> NewObjects:
    """What `ReadMinIO(lake, ..., new_only=ledger)` does to plan a run."""
    found = NewObjects(ledger, lake.bucket, _PREFIX)
    for _ in found.find(lambda after: store.objects(_PREFIX, start_after=after)):
        pass
    return found


def best_seconds(work: Callable[[], object], rounds: int) -> float:
    """The least of several measurements."""

    def measure() -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    return min(measure() for _ in range(rounds))


def exhaust(items: Iterable[object]) -> None:
    """Takes all items."""
    for _ in items:
        pass


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--new", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, to see that it runs")
    arguments = parser.parse_args()
    count, rounds = (50, 1) if arguments.smoke else (arguments.objects, arguments.rounds)
    with hp.local.stack() as stack, contextlib.closing(ObjectStore(stack.minio)) as store:
        lake, db = stack.minio, stack.postgres
        put_objects(lake, count)
        listed = list(store.objects(_PREFIX))
        ledger = hp.Ledger(db, "benchmark")
        growing = hp.Ledger(db, "benchmark", keys_grow=True, overlap=0.001)
        hp.migrate(db)
        settle(db, ledger.name, lake.bucket, listed[: -arguments.new])
        for each in (ledger, growing):
            found = find_new(each, lake, store)
            if (found.listed, found.new) != (count, arguments.new):
                raise SystemExit(f"{found.new} of {found.listed} objects were new")
        ways: dict[str, Callable[[], object]] = {
            "listing alone": lambda: exhaust(store.objects(_PREFIX)),
            "plan with a ledger": lambda: find_new(ledger, lake, store),
            "plan after a bookmark": lambda: find_new(growing, lake, store),
        }
        for name, work in ways.items():
            print(f"  {name:<24}{best_seconds(work, rounds):>8.2f} s   {count:,} objects, {arguments.new} new")
        print_query_plan(db, ledger.name, lake.bucket, listed)


if __name__ == "__main__":
    main()
