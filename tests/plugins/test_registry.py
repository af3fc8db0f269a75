"""What a plugin can bring, and what happens when it brings it badly."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

import holded_pipeline as hp

BUILT_IN = ("processing", "business_context", "quality", "lateness", "fingerprint")
EVENT = hp.Event(id="e", type="t", company_id="c", occurred_at=datetime(2026, 1, 1, tzinfo=UTC), data={"a": 1})


class Plugin:
    @hp.hookimpl
    def register_enrichers(self, register):
        register("size", lambda event: {"fields": len(event.data)}, version="1.2", on_error="skip")

    @hp.hookimpl
    def register_quality_rules(self, register):
        register(hp.Rule("has_b", "completeness", 5, lambda event: None if "b" in event.data else "b is missing"))

    @hp.hookimpl
    def register_envelopes(self, register):
        register("mine", lambda document, source: EVENT)


def test_a_plugins_names_stand_beside_the_built_in_ones():
    registry = hp.Registry([Plugin()])
    assert set(registry.enrichers) == {*BUILT_IN, "size"}
    assert set(registry.envelopes) == {"holded", "flat", "event", "mine"}
    assert registry.enricher("size")(EVENT).metadata["size"] == {"fields": 1}
    assert (registry.enricher("size").version, registry.enricher("size").on_error) == ("1.2", "skip")
    assert registry.envelope("mine")({}, None) is EVENT


def test_a_plugins_rule_counts_in_the_score():
    plain = hp.Registry().enricher("quality")(EVENT).metadata["quality"]
    judged = hp.Registry([Plugin()]).enricher("quality")(EVENT).metadata["quality"]
    assert judged["score"] < plain["score"]
    assert "b is missing" in str(judged)


def test_two_registries_know_nothing_of_each_other():
    assert "size" in hp.Registry([Plugin()]).enrichers
    assert "size" not in hp.Registry().enrichers


def misspelt():
    plugin = SimpleNamespace()
    plugin.register_enricher = hp.hookimpl(lambda register: None)
    return plugin


def failing():
    class Failing:
        @hp.hookimpl
        def register_enrichers(self, register):
            raise ZeroDivisionError("oh")

    return Failing()


def taking(name, hook):
    class Taking:
        pass

    setattr(Taking, hook, hp.hookimpl(lambda self, register: register(name, lambda *_: {})))
    return Taking()


@pytest.mark.parametrize(
    ("plugins", "words"),
    [
        ([failing()], "the plugin .*Failing.* failed in register_enrichers: ZeroDivisionError: oh"),
        ([taking("quality", "register_enrichers")], "enricher 'quality' .*registered already.*rename"),
        ([taking("holded", "register_envelopes")], "envelope 'holded' .*registered already"),
        ([Plugin(), Plugin()], "registered already"),
        ([taking("schema", "register_enrichers")], "'schema' is taken"),
        ([taking("no name", "register_enrichers")], "needs a name"),
    ],
)
def test_a_plugin_that_is_wrong_is_named(plugins, words):
    with pytest.raises(hp.ConfigurationError, match=words):
        hp.Registry(plugins)


def test_a_misspelt_hook_is_not_overlooked():
    with pytest.raises(hp.ConfigurationError, match="register_enricher"):
        hp.Registry([misspelt()])


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Packages with entry points, as an installer leaves them."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name, body):
        (tmp_path / f"{name}.py").write_text(body)
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[holded_pipeline]\n{name} = {name}\n")

    return install


GOOD = """
import holded_pipeline as hp
@hp.hookimpl
def register_enrichers(register):
    register("{name}", lambda event: {{}})
"""


def test_installed_plugins_are_found_and_can_be_chosen(installed, monkeypatch):
    for name in ("plug_one", "plug_two"):
        installed(name, GOOD.format(name=name))
    assert {"plug_one", "plug_two"} <= set(hp.Registry.installed().enrichers)
    monkeypatch.setenv("HOLDED_PIPELINE_PLUGINS", "plug_two")
    assert "plug_one" not in hp.Registry.installed().enrichers
    assert "plug_two" in hp.Registry.installed().enrichers
    monkeypatch.setenv("HOLDED_PIPELINE_PLUGINS", "")
    assert "plug_two" not in hp.Registry.installed().enrichers
    monkeypatch.setenv("HOLDED_PIPELINE_PLUGINS", "plug_three")
    with pytest.raises(hp.ConfigurationError, match=r"names plug_three, which is not installed.*plug_one, plug_two"):
        hp.Registry.installed()


def test_a_plugin_that_cannot_be_imported_is_named_with_the_way_out(installed, monkeypatch):
    installed("plug_broken", "import no_such_module")
    with pytest.raises(hp.ConfigurationError, match="'plug_broken'.*no_such_module.*HOLDED_PIPELINE_PLUGINS"):
        hp.Registry.installed()
    monkeypatch.setenv("HOLDED_PIPELINE_PLUGINS", "")
    hp.Registry.installed()
