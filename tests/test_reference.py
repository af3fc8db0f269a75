"""The reference lists every public name, table, column, metric and setting, and no others."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import apache_beam as beam
import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

import holded_pipeline as hp
from holded_pipeline import api
from holded_pipeline.cli.settings import ApiSettings, KeySettings, SpoolSettings
from holded_pipeline.cli.settings_file import SECTIONS
from holded_pipeline.plugins.plugin_shape import HOOKS
from holded_pipeline.postgres import run_tables
from holded_pipeline.runs.metrics import METRIC_NAMES

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference"
TEXTS = {page.stem: page.read_text(encoding="utf-8") for page in REFERENCE.glob("*.md")}
OBJECT = re.compile(
    r"^\.\. (?:auto|py:)(?:class|exception|function|data|decorator):: (holded_pipeline[\w.]*)$", re.MULTILINE
)
DESCRIBED = [name for text in TEXTS.values() for name in OBJECT.findall(text)]
ROW = re.compile(r"^\| `([^`]+)` \| ([^|]*) \|", re.MULTILINE)
PARTS_OF_HP = {"local", "testing"}
PUBLIC = {
    *(f"holded_pipeline.{name}" for name in set(hp.__all__) - PARTS_OF_HP),
    *(f"holded_pipeline.{part}.{name}" for part in PARTS_OF_HP for name in getattr(hp, part).__all__),
    *(f"holded_pipeline.api.{name}" for name in api.__all__),
    *(f"holded_pipeline.plugins.hookspecs.{name}" for name in HOOKS),
}


def sections(page):
    """The sections of a page by their headings, without backticks."""
    return {part.partition("\n")[0].strip("`"): part for part in TEXTS[page].split("\n## ")[1:]}


def test_every_public_name_is_described_once():
    assert sorted(DESCRIBED) == sorted(PUBLIC)


def test_every_public_class_function_and_method_has_a_docstring():
    found = {}
    for name in PUBLIC:
        module, _, attribute = name.rpartition(".")
        value = getattr(importlib.import_module(module), attribute)
        if inspect.isclass(value) or inspect.isroutine(value):
            found[name] = value
        members = vars(value).items() if inspect.isclass(value) else ()
        found |= {f"{name}.{key}": each for key, each in members if key[0] != "_" and inspect.isroutine(each)}
    assert [name for name, value in found.items() if not inspect.getdoc(value)] == []
    assert "holded_pipeline.Lease.renew" in found


def test_every_table_and_column_is_listed_with_its_type():
    tables = {**run_tables.metadata.tables}
    pages = sections("tables")
    assert set(pages) == {*tables, "holded_pipeline_version"}
    for name, table in tables.items():
        assert ROW.findall(pages[name]) == [(column.name, described_type(column)) for column in table.columns], name


def described_type(column: sa.Column) -> str:
    kind = column.type.compile(postgresql.dialect()).partition(" COLLATE")[0]
    return kind + (", key" if column.primary_key else "") + (", NULL" if column.nullable else "")


def test_every_key_of_the_settings_is_listed_with_its_default():
    kinds = {**SECTIONS, "api": ApiSettings, "api.keys.NAME": KeySettings, "api.spool": SpoolSettings}
    pages = sections("settings")
    assert set(pages) == {f"[{name}]" for name in kinds}
    for name, kind in kinds.items():
        wanted = [(field.name, described_default(field)) for field in msgspec.structs.fields(kind)]
        assert [(key, default.strip()) for key, default in ROW.findall(pages[f"[{name}]"])] == wanted, name


def described_default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if default is None or default in ((), {}):
        return ""
    text = msgspec.json.format(msgspec.json.encode(default), indent=0).decode()
    return f"`{text}`"


def test_every_metric_for_prometheus_is_listed():
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "holded_pipeline" / "api").rglob("*.py"))
    counters = {f"{name}_total" for name in re.findall(r'Counter\(\s*"(\w+)"', sources)}
    histograms = set(re.findall(r'Histogram\(\s*"(\w+)"', sources))
    gauges = {f"holded_api_{name}" for name in re.findall(r'add_gauge\(\s*"(\w+)"', sources)}
    gauges |= {f"holded_api_spool_{name}" for name in re.findall(r'^ {4}gauge\("(\w+)"', sources, re.MULTILINE)}
    pages = sections("metrics")
    assert {name for name, _ in ROW.findall(pages["Prometheus, of runs"])} == METRIC_NAMES
    assert {name for name, _ in ROW.findall(pages["Prometheus, of the API"])} == counters | histograms | gauges
    assert len(counters) > 10 < len(gauges) + len(histograms)


def test_every_counter_of_a_run_is_listed(lake, db):
    samples = hp.testing.sample_events(60, faults=0.3, duplicates=0.1)
    lake.filesystem().pipe(f"{lake.bucket}/raw/events.jsonl", hp.testing.sample_lines(samples))
    p = beam.Pipeline(runner="FnApiRunner")
    _ = p | hp.IngestEvents(lake, db, hp.SchemaDirectory(ROOT / "examples" / "schemas"), subject="{type}")
    counts = hp.run(p).counts
    listed = [name for name, _ in ROW.findall(sections("metrics")["Counters of a run"])]
    patterns = [re.sub("<[^>]+>", r"\\w+", re.escape(name).replace(r"<", "<").replace(r">", ">")) for name in listed]
    assert [name for name in counts if not any(re.fullmatch(each, name) for each in patterns)] == []
    seen = [name for name in listed if name.startswith(("read.", "validate.", "write_")) and "<" not in name]
    assert set(seen) <= set(counts)
    assert len(seen) >= 11
