"""What the wheel and the source distribution contain; `nox -s build` installs and imports them, too."""

from __future__ import annotations

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


def build(project, dist, target):
    command = [sys.executable, "-m", "hatchling", "build", "-d", dist, "-t", target]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_wheel_has_every_file_of_the_package_and_no_other(built):
    names = {name for name in built[1].namelist() if ".dist-info/" not in name}
    files = {path.relative_to(ROOT) for path in (ROOT / "holded_pipeline").rglob("*") if path.is_file()}
    assert names == {str(path) for path in files if path.suffix != ".pyc"}
    assert names >= set(NOT_CODE)


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
