"""Each hook of the contract does what the reference says; and none is without a test and a documented signature."""

from __future__ import annotations

import ast
import inspect
import re
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest

import holded_pipeline as hp
from holded_pipeline.plugins import hookspecs
from holded_pipeline.plugins.plugin_shape import HOOKS

DOCS = Path(__file__).parent.parent.parent / "docs"
REFERENCE = (DOCS / "reference" / "hooks.md").read_text(encoding="utf-8")
GUIDE = (DOCS / "tutorials" / "plugins.md").read_text(encoding="utf-8")
EVENT = hp.Event(id="e", type="t", company_id="c", occurred_at=datetime(2026, 1, 1, tzinfo=UTC), data={"a": 1})


def registry(hook, register):
    class Plugin:
        pass

    setattr(Plugin, hook, hp.hookimpl(lambda self, register: self.bring(register)))
    Plugin.bring = staticmethod(register)
    return hp.PluginRegistry([Plugin()])


def test_register_enrichers():
    found = registry("register_enrichers", lambda register: register("size", lambda event: {"n": len(event.data)}))
    assert found.enricher("size")(EVENT).metadata["size"] == {"n": 1}


def test_register_quality_rules():
    rule = hp.QualityRule("always.wrong", "validity", 1, lambda event: "as it says")
    found = registry("register_quality_rules", lambda register: register(rule))
    failed = found.enricher("quality")(EVENT).metadata["quality"]["failed"]
    assert {"rule": "always.wrong", "dimension": "validity", "why": "as it says"} in failed


def test_register_envelopes():
    found = registry("register_envelopes", lambda register: register("mine", lambda document, source: EVENT))
    assert found.envelope("mine")({}, None) is EVENT


def test_the_contract_is_small():
    assert len(inspect.getsource(hookspecs).splitlines()) < 60
    assert set(HOOKS) == {"register_enrichers", "register_quality_rules", "register_envelopes"}


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_test(hook):
    assert f"test_{hook}" in globals()


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_its_signature_in_the_reference(hook):
    parameters = ", ".join(inspect.signature(getattr(hookspecs, hook)).parameters)
    assert f"### `{hook}({parameters})`" in REFERENCE


def test_the_reference_documents_no_hook_that_does_not_exist():
    assert set(re.findall(r"^### `(\w+)\(", REFERENCE, re.MULTILINE)) == set(HOOKS)


@pytest.mark.parametrize("option", attrs.fields(hp.Enricher)[2:], ids=lambda option: option.name)
def test_every_option_is_in_the_reference_with_its_default(option):
    (default,) = re.findall(rf"^\| `{option.name}` \| (.+?) \|", REFERENCE, re.MULTILINE)
    if option.name == "version":
        assert default == "the function's"
    else:
        assert ast.literal_eval(default.strip("`")) == option.default


@pytest.mark.parametrize("reason", ["enricher_error", "enricher_output", "enricher_timeout", "low_quality"])
def test_every_reason_is_in_the_reference(reason):
    assert f"`{reason}`" in REFERENCE


def test_every_built_in_enricher_is_in_the_table():
    table = REFERENCE.split("## What each built-in adds")[1]
    documented = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    assert set(hp.PluginRegistry().enrichers) <= documented
    for name in ("processing", "business_context", "quality"):
        (row,) = re.findall(rf"^\| `{name}` \| (.*) \|$", table, re.MULTILINE)
        entries = hp.PluginRegistry().enricher(name)(EVENT).metadata[name]
        assert all(f"`{entry}`" in row for entry in entries)


def test_the_guide_shows_the_hooks_as_they_are_written():
    written = set(re.findall(r"^@hp\.hookimpl\ndef (\w+)\(register\):", GUIDE, re.MULTILINE))
    assert written <= set(HOOKS)
    assert len(written) > 1
