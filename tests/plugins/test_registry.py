"""What a plugin can bring, and what happens when it brings it badly."""

from __future__ import annotations

import functools
import sys
import types
from datetime import UTC, datetime
from types import SimpleNamespace

import attrs
import pytest
from preloaded import run_script

import holded_pipeline as hp
from holded_pipeline.enriching.quality_rules import RULES

BUILT_IN = ("processing", "business_context", "quality", "lateness", "fingerprint")
EVENT = hp.Event(id="e", type="t", company_id="c", occurred_at=datetime(2026, 1, 1, tzinfo=UTC), data={"a": 1})


class Plugin:
    @hp.hookimpl
    def register_enrichers(self, register):
        register("size", lambda event: {"fields": len(event.data)}, version="1.2", on_error="skip")

    @hp.hookimpl
    def register_quality_rules(self, register):
        register(
            hp.QualityRule("has_b", "completeness", 5, lambda event: None if "b" in event.data else "b is missing")
        )

    @hp.hookimpl
    def register_envelopes(self, register):
        register("mine", lambda document, source: EVENT)


def test_a_plugins_names_are_added_to_the_built_in_ones():
    registry = hp.PluginRegistry([Plugin()])
    assert set(registry.enrichers) == {*BUILT_IN, "size"}
    assert set(registry.envelopes) == {"holded", "flat", "event", "mine"}
    assert registry.enricher("size")(EVENT).metadata["size"] == {"fields": 1}
    assert (registry.enricher("size").version, registry.enricher("size").on_error) == ("1.2", "skip")
    assert registry.envelope("mine")({}, None) is EVENT


def test_a_plugins_rule_counts_in_the_score():
    plain = hp.PluginRegistry().enricher("quality")(EVENT).metadata["quality"]
    judged = hp.PluginRegistry([Plugin()]).enricher("quality")(EVENT).metadata["quality"]
    assert judged["score"] < plain["score"]
    assert "b is missing" in str(judged)


def test_two_registries_are_independent():
    assert "size" in hp.PluginRegistry([Plugin()]).enrichers
    assert "size" not in hp.PluginRegistry().enrichers


def failing(error):
    class Failing:
        @hp.hookimpl
        def register_enrichers(self, register):
            raise error

    return Failing()


def copied(function):
    """A function of its own, since a mark stays on the one it was put on."""
    return types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )


def hooked(hook, function, **marks):
    """A plugin with one hook, which is a plain function."""
    mark = hp.hookimpl(**marks) if marks else hp.hookimpl
    return SimpleNamespace(**{hook: mark(copied(function))})


def registering(hook, *arguments, **options):
    return hooked(hook, lambda register: register(*arguments, **options))


def does_nothing(*_):
    return {}


# --- what is registered


@pytest.mark.parametrize(
    ("plugins", "words"),
    [
        ([failing(ZeroDivisionError("oh"))], "the plugin Failing failed in register_enrichers: ZeroDivisionError: oh"),
        ([failing(SystemExit(1))], "the plugin Failing failed in register_enrichers: SystemExit: 1"),
        (
            [registering("register_enrichers", "quality", does_nothing)],
            "enricher 'quality' .*registered already.*rename",
        ),
        ([registering("register_envelopes", "holded", does_nothing)], "envelope 'holded' .*registered already"),
        (
            [registering("register_quality_rules", RULES[0])],
            "quality rule 'id.present' .*registered already, by .*builtin",
        ),
        ([Plugin(), Plugin()], "enricher 'size' of the plugin Plugin is registered already, by Plugin"),
        ([registering("register_enrichers", "schema", does_nothing)], "'schema' is taken"),
        ([registering("register_enrichers", "no name", does_nothing)], "needs a name"),
        ([registering("register_enrichers", 5, does_nothing)], "needs a name"),
        ([registering("register_enrichers", "x", 5)], "an enricher is a function"),
        ([registering("register_enrichers", "x", Plugin)], "Plugin is a class"),
        (
            [registering("register_enrichers", "x", hp.Enricher("x", does_nothing, timeout=9))],
            "x is an hp.Enricher already, and its options would be lost; give the function and its options",
        ),
        ([registering("register_enrichers", "x", does_nothing, version="\ud800")], "version is kept with events"),
        ([registering("register_enrichers", "x", does_nothing, on_eror="skip")], "no option 'on_eror'; it has: batch_"),
        ([registering("register_enrichers", "x", does_nothing, timeout=-1)], "timeout is a number of seconds"),
        ([registering("register_enrichers", "x")], "missing 1 required positional argument"),
        ([registering("register_quality_rules", does_nothing)], "a quality rule is an hp.QualityRule"),
        ([registering("register_envelopes", "x", 5)], "the envelope 'x' is a function"),
        ([registering("register_envelopes", "x", Plugin)], "the envelope 'x' is a function"),
        ([registering("register_envelopes", 5, does_nothing)], "an envelope's name is a text"),
        (
            [hooked("register_enrichers", lambda register: [("x", does_nothing)])],
            "returned list; it must call register",
        ),
    ],
)
def test_a_plugin_that_registers_wrongly_is_named(plugins, words):
    with pytest.raises(hp.ConfigurationError, match=words) as raised:
        hp.PluginRegistry(plugins)
    assert "the plugin " in str(raised.value)
    assert "Plugin" in str(raised.value) or "Failing" in str(raised.value) or "SimpleNamespace" in str(raised.value)


def test_every_option_of_an_enricher_can_be_registered():
    options = {
        "version": "1",
        "on_error": "skip",
        "timeout": 2,
        "retry": hp.Retry(5),
        "transient": (LookupError,),
        "batch_size": 7,
        "batch_seconds": 0.5,
    }
    registry = hp.PluginRegistry([registering("register_enrichers", "x", does_nothing, **options)])
    assert registry.enricher("x") == hp.Enricher("x", does_nothing, **options)
    assert set(attrs.fields_dict(hp.Enricher)) == {"name", "function", *options}


def test_two_plugins_of_one_class_are_two_plugins():
    class Named:
        def __init__(self, name):
            self.name = name

        @hp.hookimpl
        def register_enrichers(self, register):
            register(self.name, does_nothing)

    assert {"one", "two"} <= set(hp.PluginRegistry([Named("one"), Named("two")]).enrichers)


# --- hooks that would not be called


def not_marked(register):
    """A hook without its mark."""


async def asynchronous(register):
    """A hook that nobody would await."""


def generating(register):
    yield


@pytest.mark.parametrize(
    ("plugin", "words"),
    [
        (
            hooked("register_lookups", not_marked),
            "marks register_lookups .*is no hook; the hooks are: register_enrichers, ",
        ),
        (
            SimpleNamespace(register_enrichers=not_marked),
            "a function register_enrichers that is not marked; put @hp.hookimpl",
        ),
        (SimpleNamespace(helper=not_marked), "has none of the hooks register_enrichers, register_quality_rules"),
        (Plugin, "the plugin Plugin is a class.*give Plugin()"),
        (hooked("register_enrichers", lambda: None), "takes .*; it must take .register"),
        (hooked("register_enrichers", lambda registry: None), "takes .registry.; it must take .register"),
        (hooked("register_enrichers", lambda register, more: None), "it must take .register"),
        (hooked("register_enrichers", asynchronous), "is asynchronous or a generator"),
        (hooked("register_enrichers", generating), "is asynchronous or a generator"),
        (hooked("register_enrichers", generating, wrapper=True), "is a wrapper; write a plain function"),
        (
            hooked("register_enricher", not_marked, optionalhook=True),
            "marks register_enricher .*is no hook; the hooks are",
        ),
    ],
)
def test_a_hook_that_would_not_be_called_is_reported(plugin, words):
    with pytest.raises(hp.ConfigurationError, match=words) as raised:
        hp.PluginRegistry([plugin])
    assert str(raised.value).startswith("the plugin ")


def beside(**attributes):
    """A plugin with a good hook, and something beside it."""
    return SimpleNamespace(**vars(registering("register_enrichers", "good", does_nothing)), **attributes)


class Called:
    def __call__(self, register):
        """Registers nothing."""


@pytest.mark.parametrize("name", ["register_enricher", "register_quality_rule", "_register_envelopes"])
def test_a_marked_hook_of_an_unknown_name_beside_a_good_one_is_reported(name):
    with pytest.raises(hp.ConfigurationError, match=f"the plugin SimpleNamespace marks {name} .*is no hook"):
        hp.PluginRegistry([beside(**{name: hp.hookimpl(copied(not_marked))})])


@pytest.mark.parametrize("name", ["register_quality_rules", "register_envelopes"])
def test_an_unmarked_hook_beside_a_good_one_is_reported(name):
    with pytest.raises(hp.ConfigurationError, match=f"has a function {name} that is not marked; put @hp.hookimpl"):
        hp.PluginRegistry([beside(**{name: not_marked})])


@pytest.mark.parametrize(
    ("attribute", "kind"),
    [
        (hp.hookimpl(functools.partial(does_nothing, 1)), "partial"),
        (hp.hookimpl(Called()), "Called"),
        (Called(), "Called"),
        (functools.lru_cache(hp.hookimpl(copied(not_marked))), "_lru_cache_wrapper"),
        ([hp.QualityRule("a.b", "validity", 1, does_nothing)], "list"),
        (property(does_nothing), "property"),
    ],
    ids=["marked partial", "marked object", "object", "cached", "list", "property"],
)
def test_a_hook_that_is_not_a_function_is_reported(attribute, kind):
    words = f"has register_quality_rules, a {kind}, and a hook is a function; write @hp.hookimpl above def register_q"
    with pytest.raises(hp.ConfigurationError, match=words):
        hp.PluginRegistry([beside(register_quality_rules=attribute)])


def test_functions_of_other_names_are_ignored():
    plugin = Plugin()
    plugin.register_encoders = plugin.register_enricher = plugin.enrich = plugin._register_envelopes = not_marked
    plugin.register_rule_names = lambda names, rules: None
    assert "size" in hp.PluginRegistry([plugin]).enrichers


def test_a_hook_may_have_another_name_and_call_functions_of_the_plugin():
    class Parts:
        @hp.hookimpl(specname="register_enrichers")
        def our_enrichers(self, register):
            self.register_sizes(register)

        def register_sizes(self, register):
            register("size", does_nothing)

    assert "size" in hp.PluginRegistry([Parts()]).enrichers


def test_checking_a_plugin_runs_none_of_its_properties():
    class Lazy(Plugin):
        @property
        def register_table(self):
            raise AssertionError("it was run")

    assert "size" in hp.PluginRegistry([Lazy()]).enrichers


# --- installed packages


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Packages with entry points, as an installer leaves them."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name, body, entry=None):
        monkeypatch.delitem(sys.modules, name, raising=False)
        (tmp_path / f"{name}.py").write_text(body)
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[holded_pipeline]\n{entry or name} = {name}\n")

    install.folder = tmp_path
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
    assert {"plug_one", "plug_two"} <= set(hp.PluginRegistry.installed().enrichers)
    monkeypatch.setenv("HOLDED_PIPELINE_PLUGINS", "plug_two")
    assert "plug_one" not in hp.PluginRegistry.installed().enrichers
    assert "plug_two" in hp.PluginRegistry.installed().enrichers
    monkeypatch.setenv("HOLDED_PIPELINE_PLUGINS", "")
    assert "plug_two" not in hp.PluginRegistry.installed().enrichers
    monkeypatch.setenv("HOLDED_PIPELINE_PLUGINS", "plug_three")
    with pytest.raises(hp.ConfigurationError, match=r"names plug_three, which is not installed.*plug_one, plug_two"):
        hp.PluginRegistry.installed()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def (", "SyntaxError"),
        ("raise SystemExit(2)", "SystemExit: 2"),
        ("class Odd(BaseException): pass\nraise Odd('x')", "Odd: x"),
    ],
)
def test_a_plugin_that_cannot_be_imported_is_named_with_the_remedy(installed, monkeypatch, body, words):
    installed("plug_broken", body)
    what = f"'plug_broken' of the package plug_broken 1.0 cannot be imported: {words}.*HOLDED_PIPELINE_PLUGINS"
    with pytest.raises(hp.ConfigurationError, match=what):
        hp.PluginRegistry.installed()
    monkeypatch.setenv("HOLDED_PIPELINE_PLUGINS", "")
    hp.PluginRegistry.installed()


MINE = GOOD.format(name="mine")
IN_A_HOOK = "import holded_pipeline as hp\n@hp.hookimpl\ndef register_enrichers(register): hp.Enrich('processing')"


@pytest.mark.parametrize(
    "body",
    [
        f"import holded_pipeline as hp\nSTEP = hp.Enrich('processing'){MINE}",
        f"import holded_pipeline as hp\nKNOWN = hp.PluginRegistry.installed(){MINE}",
        f"{MINE}\nSTEP = hp.Enrich('processing')",
        IN_A_HOOK,
    ],
    ids=["Enrich", "Registry", "half of its hooks", "in a hook"],
)
@pytest.mark.parametrize("first", ["hp.Enrich('mine')", "import plug_circular; hp.Enrich('mine')"])
def test_a_plugin_that_loads_the_plugins_is_an_error_that_says_what_to_do(installed, body, first):
    installed("plug_circular", body)
    script = installed.folder / "script.py"  # beside the plugin, so that it is found
    script.write_text(f"import holded_pipeline as hp\n{first}")
    done = run_script(script)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("holded_pipeline.model.errors.ConfigurationError: the plugin 'plug_circular' of the package")
    assert "make its transforms in a function that is called later, or give them registry=hp.PluginRegistry()" in last


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            "def register_enrichers(register): pass",
            "'plug_wrong' of the package plug_wrong 1.0 has a function .*not marked",
        ),
        (
            "import holded_pipeline as hp\n@hp.hookimpl\ndef register_enrichers(register): register('quality', len)",
            "'quality' of the plugin 'plug_wrong' of the package plug_wrong 1.0 is registered already, by .*builtin",
        ),
        (
            "import holded_pipeline as hp\n@hp.hookimpl\ndef register_enrichers(register): 1 / 0",
            "'plug_wrong' of the package plug_wrong 1.0 failed in register_enrichers: ZeroDivisionError",
        ),
    ],
)
def test_an_error_of_an_installed_plugin_names_its_package(installed, body, words):
    installed("plug_wrong", body)
    with pytest.raises(hp.ConfigurationError, match=words):
        hp.PluginRegistry.installed()


def test_two_packages_that_offer_one_name_are_both_named(installed, monkeypatch):
    installed("plug_first", GOOD.format(name="first"), entry="shared")
    installed("plug_second", GOOD.format(name="second"), entry="shared")
    with pytest.raises(
        hp.ConfigurationError, match="plug_first 1.0 and plug_second 1.0 both offer a plugin named 'shared'; uninstall"
    ):
        hp.PluginRegistry.installed()
    monkeypatch.setenv("HOLDED_PIPELINE_PLUGINS", "")
    hp.PluginRegistry.installed()


def test_two_packages_that_register_one_enricher_are_both_named(installed):
    installed("plug_first", GOOD.format(name="vat"))
    installed("plug_second", GOOD.format(name="vat"))
    with pytest.raises(
        hp.ConfigurationError, match="'vat' of the plugin 'plug_second'.*already, by 'plug_first' of the"
    ):
        hp.PluginRegistry.installed()


@pytest.mark.parametrize(
    ("switch", "loaded"),
    [
        (None, {"plug_one", "plug_two"}),
        ("", set()),
        ("  ", set()),
        (",", set()),
        ("plug_two", {"plug_two"}),
        (" plug_one , plug_two ,", {"plug_one", "plug_two"}),
        ("plug_one,plug_one", {"plug_one"}),
    ],
)
def test_the_switch_chooses_what_is_loaded(installed, monkeypatch, switch, loaded):
    for name in ("plug_one", "plug_two"):
        installed(name, GOOD.format(name=name))
    if switch is not None:
        monkeypatch.setenv("HOLDED_PIPELINE_PLUGINS", switch)
    assert {name for name in hp.PluginRegistry.installed().enrichers if name.startswith("plug_")} == loaded


def test_installed_plugins_are_loaded_once_for_all_transforms(installed):
    installed("plug_counting", GOOD.format(name="counting") + "\nprint('loaded')")
    script = installed.folder / "script.py"
    script.write_text(
        "import holded_pipeline as hp\n"
        "for _ in range(3):\n"
        "    hp.Enrich('counting', 'quality')\n"
        "print('quality only')\n"
    )
    done = run_script(script)
    assert done.stdout.split("\n")[:2] == ["loaded", "quality only"], done.stderr
