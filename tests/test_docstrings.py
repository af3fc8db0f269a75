"""The examples in the docstrings of public names run as they stand, on real servers, and every transform has one."""

from __future__ import annotations

import doctest
import inspect
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest

import holded_pipeline as hp

ROOT = Path(__file__).parent.parent
SECTION = re.compile(r"^Example:\n((?:[ \t]+.*\n|\n)+)", re.MULTILINE)


def functions_of(value: Any) -> Iterator[tuple[str, Any]]:
    """The public methods and properties that a class has from this package; nothing for a function."""
    for name, member in inspect.getmembers(value) if inspect.isclass(value) else ():
        home = getattr(getattr(member, "fget", None) or member, "__module__", None) or ""
        if not name.startswith("_") and home.startswith("holded_pipeline") and not inspect.isclass(member):
            yield name, member


def documented(module: types.ModuleType, prefix: str) -> Iterator[tuple[str, Any]]:
    """Every public name of a module, those of the public modules in it, and the methods of its classes."""
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.ismodule(value):
            yield from documented(value, f"{prefix}.{name}")
        else:
            yield f"{prefix}.{name}", value
            yield from ((f"{prefix}.{name}.{method}", function) for method, function in functions_of(value))


OBJECTS = dict(documented(hp, "hp"))
WITH_EXAMPLES = {name: doc for name, value in OBJECTS.items() if ">>>" in (doc := inspect.getdoc(value) or "")}
TRANSFORMS = [
    name
    for name, value in OBJECTS.items()
    if (inspect.isclass(value) and issubclass(value, beam.PTransform)) or value is hp.forecast
]


def names_in(code: str, request: pytest.FixtureRequest) -> dict[str, Any]:
    """What an example may use: a store with 50 events below raw/, a database, and the schemas of the examples."""
    schemas = hp.SchemaDirectory("examples/schemas")
    # Beam pickles functions of `__main__` by value, as it does with those of a notebook.
    names = {"hp": hp, "beam": beam, "schemas": schemas, "__name__": "__main__"}
    servers = [name for name in ("lake", "db") if re.search(rf"\b{name}\b", code)]
    names |= {name: request.getfixturevalue(name) for name in servers}
    if "lake" in names:
        sample_lines = hp.testing.sample_lines(hp.testing.sample_events(50))
        names["lake"].filesystem().pipe(f"{names['lake'].bucket}/raw/events.jsonl", sample_lines)
    return names


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_example_runs(name, request, monkeypatch):
    monkeypatch.chdir(ROOT)
    names = names_in(WITH_EXAMPLES[name], request)
    test = doctest.DocTestParser().get_doctest(WITH_EXAMPLES[name], names, name, None, 0)
    report: list[str] = []
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=report.append)
    assert result.attempted == len(test.examples) > 0
    assert result.failed == 0, "".join(report)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_every_transform_has_an_example(name):
    section = SECTION.search(inspect.getdoc(OBJECTS[name]) + "\n")
    assert section, f"the docstring of {name} has no section 'Example:'"
    assert ">>>" in section[1], f"the section 'Example:' of {name} has no code that a test runs"


def test_the_transforms_are_found():
    assert {"hp.ReadMinIO", "hp.SettleRejected", "hp.WritePostgres", "hp.forecast"} <= set(TRANSFORMS)
    assert {"hp.MinIO.filesystem", "hp.testing.check_enricher", "hp.Enrich.with_error_handler"} <= set(OBJECTS)
