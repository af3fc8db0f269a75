"""The loop that `side_by_side.py` compares with: what the main flow does, as an engineer writes it without a framework.

It reads JSON lines of messages, checks and enriches them, stores them as gzip files by date and loads them, and puts
what is invalid into a file of rejected records. Two threads, one that stores and one that loads, work beside it.
It gives up what the library promises beyond that: it does not retry, does not bound memory by bytes, loses the whole
batch to one row that PostgreSQL rejects, and reports one reason for each record.
"""

from __future__ import annotations

import gzip
import json
from collections import defaultdict, deque
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import psycopg
import s3fs

BATCH = 5_000
IN_FLIGHT = 2
CONTEXTS = {
    "Transaction": "financial",
    "Account": "account_management",
    "AccountHolder": "account_management",
    "User": "user_management",
    "Subscription": "subscription",
}
COMPANY = r"X-Message-Stamp-Holded\Shared\Infrastructure\Messenger\Stamp\NewContextStamp"
TIME = r"X-Message-Stamp-Holded\Core\Messaging\Messenger\Stamp\TimestampStamp"
MESSAGE = r"X-Message-Stamp-Holded\Core\Messaging\Messenger\Stamp\MessageIdStamp"
COLUMNS = (
    "event_id, event_type, company_id, user_id, occurred_at, business_context, data_quality_score, "
    "data, metadata, source"
)
STAGE = f"CREATE TEMP TABLE stage ON COMMIT DELETE ROWS AS SELECT {COLUMNS} FROM business_events WITH NO DATA"
MERGE = f"INSERT INTO business_events ({COLUMNS}) SELECT {COLUMNS} FROM stage ON CONFLICT DO NOTHING"


def load_validators(folder: Path) -> dict[str, Any]:
    """A validator for each type."""
    schemas = {path.as_uri(): json.loads(path.read_bytes()) for path in folder.resolve().rglob("*.schema.json")}
    known = list(schemas.items()) + [(each["$id"], each) for each in schemas.values() if "$id" in each]
    registry = jsonschema_rs.Registry(known)
    start = len(folder.resolve().as_uri()) + 1
    return {
        uri[start:].removesuffix(".schema.json").replace("/", "\\"): jsonschema_rs.validator_for(
            schema, validate_formats=True, registry=registry, base_uri=uri
        )
        for uri, schema in schemas.items()
    }


def has_nul(value: Any) -> bool:
    """Whether a text in it has the character that PostgreSQL cannot store."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(has_nul(each) for pair in value.items() for each in pair)
    return isinstance(value, list) and any(has_nul(each) for each in value)


def text_of(stamp: Any, name: str) -> Any:
    """The value of a stamp, which may be an object or the value itself."""
    value = stamp.get(name) if isinstance(stamp, dict) else stamp
    if type(value) is int:
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value) <= 255:  # noqa: PLR2004  what an index of the table takes
        raise ValueError(f"{name} must be a text")
    return value


def time_of(stamp: Any) -> datetime:
    """When an event occurred: milliseconds, or ISO-8601."""
    value = stamp["dispatchedAt"] if isinstance(stamp, dict) else stamp
    return datetime.fromisoformat(value) if isinstance(value, str) else datetime.fromtimestamp(value / 1000, UTC)


class Loop:
    """One run over all objects below a prefix."""

    def __init__(self, fs: s3fs.S3FileSystem, bucket: str, url: str, schemas: Path) -> None:
        self.fs, self.bucket, self.url = fs, bucket, url
        self.validators = load_validators(schemas)
        self.files: dict[str, tuple[Any, gzip.GzipFile]] = {}
        self.rejected: list[dict[str, Any]] = []

    def enrich(self, line: bytes, key: str, number: int) -> tuple[str, bytes, tuple[Any, ...]]:
        """The date, the enriched line and the row of a message; ValueError, KeyError or TypeError if it is invalid."""
        message = orjson.loads(line)
        if b"\\u0000" in line and has_nul(message):
            raise ValueError("a text has a NUL character")
        data, headers = message["data"], message.get("headers") or message["attributes"]
        kind, who = headers["type"], headers[COMPANY]
        company, user, occurred = text_of(who, "accountId"), who.get("userId"), time_of(headers[TIME])
        event_id = text_of(headers[MESSAGE], "id").lower()
        self.validators[kind].validate(data)  # its error is a ValueError
        context = CONTEXTS.get(kind.split("\\")[3], "other")
        score = sum(1 for value in data.values() if value not in (None, "", [])) / len(data)
        metadata = orjson.dumps(
            {
                "correlation_id": f"{key}:{number}",
                "processing": {"processed_at": datetime.now(UTC).isoformat(), "pipeline_version": "1"},
                "schema": {"subject": kind, "version": 1},
                "business_context": {"context": context},
                "quality": {"score": score},
                "headers": headers,
            }
        )
        raw_data = orjson.dumps(data)
        source = {"bucket": self.bucket, "key": key, "line": number}
        event = {
            "id": event_id, "type": kind, "company_id": company, "user_id": user, "occurred_at": occurred,
            "data": orjson.Fragment(raw_data), "metadata": orjson.Fragment(metadata), "source": source,
        }  # fmt: skip
        row = (event_id, kind, company, user, occurred, context, score, raw_data.decode(), metadata.decode())
        return occurred.strftime("%Y-%m-%d"), orjson.dumps(event), (*row, orjson.dumps(source).decode())

    def store(self, lines: dict[str, list[bytes]]) -> None:
        """Appends lines to the file of their date."""
        for date, some in lines.items():
            if date not in self.files:
                target = self.fs.open(f"{self.bucket}/enriched/date={date}/part.jsonl.gz", "wb")
                self.files[date] = target, gzip.GzipFile(fileobj=target, mode="wb", compresslevel=6)
            self.files[date][1].write(b"\n".join(some) + b"\n")

    def load(self, connection: psycopg.Connection[Any], rows: list[tuple[Any, ...]]) -> None:
        """Loads rows in one transaction."""
        with connection.transaction(), connection.cursor() as cursor:
            with cursor.copy(f"COPY stage ({COLUMNS}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            cursor.execute(MERGE)

    def batches(self, prefix: str) -> Any:
        """The enriched lines by date, and the rows, of a batch of messages at a time."""
        lines: dict[str, list[bytes]] = defaultdict(list)
        rows: list[tuple[Any, ...]] = []
        for key in sorted(self.fs.find(f"{self.bucket}/{prefix}")):
            with BufferedReader(self.fs.open(key, "rb", block_size=8 << 20), 1 << 20) as file:
                for number, line in enumerate(file, 1):
                    try:
                        date, enriched, row = self.enrich(line, key, number)
                    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
                        reject = {
                            "key": key,
                            "line": number,
                            "error": str(error),
                            "record": line.decode(errors="replace"),
                        }
                        self.rejected.append(reject)
                        continue
                    lines[date].append(enriched)
                    rows.append(row)
                    if len(rows) == BATCH:
                        yield lines, rows
                        lines, rows = defaultdict(list), []
        if rows:
            yield lines, rows

    def run(self, prefix: str) -> None:
        """Does all of it."""
        pending: deque[Future[None]] = deque()
        with (
            psycopg.connect(self.url, autocommit=True) as connection,
            ThreadPoolExecutor(1) as storer,
            ThreadPoolExecutor(1) as loader,
        ):
            connection.execute(STAGE)
            for lines, rows in self.batches(prefix):
                while len(pending) >= 2 * IN_FLIGHT:
                    pending.popleft().result()
                pending += (storer.submit(self.store, lines), loader.submit(self.load, connection, rows))
            for each in pending:
                each.result()
        for target, compressed in self.files.values():
            compressed.close()
            target.close()
        if self.rejected:
            self.fs.pipe(f"{self.bucket}/rejected/part.jsonl", b"\n".join(map(orjson.dumps, self.rejected)))
