"""What the wheel and the source distribution contain; `nox -s build` installs and imports them, too."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOT_CODE = (
    "holded_pipeline/py.typed",
    "holded_pipeline/migrations/script.py.mako",
    "holded_pipeline/migrations/versions/0001_summary_triggers.sql",
    "holded_pipeline/rejected/rejected.schema.json",
)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The names in the source distribution, and the wheel that is made from that, not from the working tree."""
    dist = tmp_path_factory.mktemp("dist")
    build(ROOT, dist, "sdist")
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(dist / "source", filter="data")
    (source,) = (dist / "source").iterdir()
    build(source, dist, "wheel")
    (wheel,) = dist.glob("*.whl")
    return {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}, zipfile.ZipFile(wheel)


def build(project, dist, target, environment=None):
    command = [sys.executable, "-m", "hatchling", "build", "-d", dist, "-t", target]
    variables = {**os.environ, **(environment or {})}
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False, timeout=240, env=variables)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_the_wheel_has_every_file_of_the_package_and_no_other(built):
    names = {name for name in built[1].namelist() if ".dist-info/" not in name}
    files = {path.relative_to(ROOT) for path in (ROOT / "holded_pipeline").rglob("*") if path.is_file()}
    assert without_builds(names) == without_builds(map(str, files))
    assert names >= set(NOT_CODE)


def without_builds(names):
    return {name for name in names if not name.endswith((".pyc", ".so", ".pyd"))}


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler is installed")
def test_the_wheel_has_the_code_in_c_and_says_for_which_python(built):
    built_from = {Path(name).name.partition(".")[0] for name in built[1].namelist() if name.endswith((".so", ".pyd"))}
    assert built_from == {path.stem for path in (ROOT / "holded_pipeline" / "compiled").glob("*.pyx")}
    (information,) = [name for name in built[1].namelist() if name.endswith(".dist-info/WHEEL")]
    said = message_from_bytes(built[1].read(information))
    assert said["Root-Is-Purelib"] == "false"
    assert f"cp{sys.version_info.major}{sys.version_info.minor}" in said["Tag"]


@pytest.mark.parametrize("without", [{"HOLDED_PIPELINE_PURE": "1"}, {"CC": "/no/compiler"}])
def test_a_wheel_without_code_in_c_fits_every_python(tmp_path, without):
    said = build(ROOT, tmp_path, "wheel", without)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith((".so", ".pyd"))]
    assert ("without its code in C" in said) == ("CC" in without)


def test_the_wheel_has_the_licence_the_command_and_the_readme(built):
    information = {
        name.partition(".dist-info/")[2]: built[1].read(name) for name in built[1].namelist() if ".dist-info/" in name
    }
    assert information["licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()
    assert b"holded-pipeline = holded_pipeline.cli.main:main" in information["entry_points.txt"]
    metadata = message_from_bytes(information["METADATA"])
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload(decode=True).strip() == (ROOT / "README.md").read_bytes().strip()


def test_the_source_distribution_has_what_its_own_tests_need(built):
    names = built[0]
    tracked = {"pyproject.toml", "noxfile.py", "CONTRIBUTING.md", "CHANGELOG.md", ".ci/run", "tests/conftest.py"}
    assert names >= tracked | set(NOT_CODE)
    for folder in ("benchmarks", "docs", "examples", "tests"):
        there = {path.relative_to(ROOT) for path in (ROOT / folder).rglob("*") if path.is_file()}
        kept = {path for path in there if path.suffix != ".pyc" and not {"build", "dist"} & set(path.parts)}
        assert names >= {str(path) for path in kept}, folder
    assert not [name for name in names if name.endswith(".pyc") or "/.git" in name or name.startswith("dist/")]
