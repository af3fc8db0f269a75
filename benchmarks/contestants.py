"""What `side_by_side.py` compares: the main flow, a loop written by hand, dlt, and Beam as people write it first."""

from __future__ import annotations

import importlib.util
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import apache_beam as beam
import psycopg
import s3fs
from sqlalchemy.engine import make_url

import holded_pipeline as hp

SCHEMAS = Path(__file__).parent.parent / "examples" / "schemas"
ENRICHERS = ("processing", "business_context", "quality")
STAGES = ("read", "validate", "enrich", "store", "load")
NAIVE_EVENTS = 1_000
NEEDS = {"loop": "orjson", "dlt": "dlt"}

Work = Callable[[hp.MinIO, hp.Postgres], None]
"""Takes the events of a store to a database."""


def flow(lake: hp.MinIO, db: hp.Postgres, *, steps: Sequence[str] = STAGES, options: Sequence[str] = ()) -> None:
    """The main flow up to the given steps, and the rejected records of each."""
    with beam.Pipeline(runner="FnApiRunner", options=beam.options.pipeline_options.PipelineOptions(list(options))) as p:
        outputs = [p | hp.ReadMinIO(lake, "raw/")]
        if "validate" in steps:
            outputs.append(outputs[-1].passed | hp.ValidateSchema(hp.SchemaDirectory(SCHEMAS), subject="{type}"))
        if "enrich" in steps:
            outputs.append(outputs[-1].passed | hp.Enrich(*ENRICHERS))
        events = outputs[-1].passed
        if "store" in steps:
            _ = events | hp.WriteMinIO(lake, "enriched/")
        if "load" in steps:
            outputs.append(events | hp.WritePostgres(db))
        _ = tuple(each.rejected for each in outputs) | hp.WriteRejected(lake, "rejected/")


def flow_of_processes(lake: hp.MinIO, db: hp.Postgres, workers: int) -> None:
    """The main flow on several processes."""
    flow(lake, db, options=["--direct_running_mode=multi_processing", f"--direct_num_workers={workers}"])


def filesystem_of(lake: hp.MinIO) -> s3fs.S3FileSystem:
    """The store, as one opens it without the library."""
    return s3fs.S3FileSystem(
        key=lake.access_key,
        secret=lake.secret_key.reveal(),
        endpoint_url=lake.endpoint,
        skip_instance_cache=True,
        use_listings_cache=False,
    )


def loop(lake: hp.MinIO, db: hp.Postgres) -> None:
    """The loop of `hand_written.py`."""
    from hand_written import Loop  # noqa: PLC0415  it needs orjson

    Loop(filesystem_of(lake), lake.bucket, url_of(db), SCHEMAS).run("raw/")


def url_of(db: hp.Postgres) -> str:
    """The URL of a database with the password in it, for clients that know no `Secret`."""
    url = make_url(db.url)
    return (url if db.password is None else url.set(password=db.password.reveal())).render_as_string(
        hide_password=False
    )


def by_dlt(lake: hp.MinIO, db: hp.Postgres) -> None:
    """Dlt, from the same objects to a table of its own; it neither checks nor enriches."""
    import dlt  # noqa: PLC0415  it may not be installed
    from dlt.sources.credentials import AwsCredentials  # noqa: PLC0415
    from dlt.sources.filesystem import readers  # noqa: PLC0415

    keys = AwsCredentials(
        aws_access_key_id=lake.access_key,
        aws_secret_access_key=lake.secret_key.reveal(),
        endpoint_url=lake.endpoint,
    )
    with tempfile.TemporaryDirectory() as folder:
        pipeline = dlt.pipeline(
            "side_by_side",
            pipelines_dir=folder,
            destination=dlt.destinations.postgres(url_of(db)),
            dataset_name="public",
        )
        source = readers(bucket_url=f"s3://{lake.bucket}/raw", credentials=keys, file_glob="*.jsonl").read_jsonl()
        # Documents stay JSON, as in the other contestants, instead of a column for each member.
        source.apply_hints(
            table_name="dlt_events", columns={"data": {"data_type": "json"}, "headers": {"data_type": "json"},
            "attributes": {"data_type": "json"}},
        )  # fmt: skip
        pipeline.run(source).raise_on_failed_jobs()


class PutAndInsert(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """Stores and loads one message at a time."""

    def __init__(self, lake: hp.MinIO, db: hp.Postgres) -> None:
        self.lake, self.url = lake, url_of(db)

    def setup(self) -> None:
        """Connects."""
        self.fs = filesystem_of(self.lake)
        self.connection = psycopg.connect(self.url, autocommit=True)

    def process(self, line: str) -> None:
        """A put and an INSERT."""
        message = json.loads(line)
        headers = message.get("headers") or message["attributes"]
        stamps = {name.rsplit("\\", 1)[-1]: value for name, value in headers.items()}
        stamp = stamps["MessageIdStamp"]
        event_id = stamp["id"] if isinstance(stamp, dict) else stamp
        company = stamps["NewContextStamp"]["accountId"]
        self.fs.pipe(f"{self.lake.bucket}/enriched/{event_id}.json", line.encode())
        self.connection.execute(
            "INSERT INTO business_events"
            " (event_id, event_type, company_id, occurred_at, business_context, data, metadata)"
            " VALUES (%s, %s, %s, now(), 'other', %s, %s) ON CONFLICT DO NOTHING",
            (event_id, headers["type"], company, json.dumps(message["data"]), json.dumps({"headers": headers})),
        )

    def teardown(self) -> None:
        """Closes the connection."""
        self.connection.close()


def naive(lake: hp.MinIO, db: hp.Postgres) -> None:
    """Beam with a put and an INSERT for each of the first events."""
    fs = filesystem_of(lake)
    with fs.open(min(fs.find(f"{lake.bucket}/raw")), "r", encoding="utf-8") as file:
        lines = [line for line, _ in zip(file, range(NAIVE_EVENTS), strict=False)]
    with beam.Pipeline(runner="FnApiRunner") as p:
        _ = p | beam.Create(lines, reshuffle=False) | beam.ParDo(PutAndInsert(lake, db))


def contestants_of(names: Sequence[str], workers: int) -> dict[str, Work]:
    """Those that were asked for and can run."""
    every: dict[str, Work] = {
        "flow": flow,
        "loop": loop,
        "processes": lambda lake, db: flow_of_processes(lake, db, workers),
        "dlt": by_dlt,
        "naive": naive,
    }
    for name, package in NEEDS.items():
        if name in names and importlib.util.find_spec(package) is None:
            print(f"  {name} is skipped: {package} is not installed (pip install '.[bench]')")
            del every[name]
    return {name: work for name, work in every.items() if name in names}
