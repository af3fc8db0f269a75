"""Starts the servers on free loopback ports, and returns the variables by which the tests find them."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import ssl
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import tools
import trustme

from holded_pipeline.local.ports import HOST, free_ports
from holded_pipeline.local.postgres_server import PostgresServer
from holded_pipeline.local.process import Server, StartError, Watchdog
from holded_pipeline.local.seaweedfs import SeaweedFS

REGION = "eu-south-2"
DOMAIN = "s3.localhost"
_ACCESS_KEY = "holded-integration"
_ATTEMPTS = 3
T = TypeVar("T")


class Services:
    """The servers, started one by one. They end, and their files are removed, with the `with` block of `services()`."""

    def __init__(self, folder: Path, watchdog: Watchdog, closing: contextlib.ExitStack) -> None:
        self._folder = folder
        self._watchdog = watchdog
        self._closing = closing
        self._secret = secrets.token_hex(20)

    def minio(self) -> Mapping[str, str]:
        """Starts two MinIO servers, one with TLS and a CA of its own. Both serve virtual hosts below `DOMAIN`."""
        program = tools.go_program(tools.MINIO)
        plain = _start_with_retries(lambda: self._minio(program, "minio", None))
        certificates = self._make_folder("certificates")
        authority = trustme.CA()
        issued = authority.issue_cert(HOST, DOMAIN, f"*.{DOMAIN}")
        authority.cert_pem.write_to_path(certificates / "ca.pem")
        issued.private_key_pem.write_to_path(certificates / "private.key")
        for number, blob in enumerate(issued.cert_chain_pems):
            blob.write_to_path(certificates / "public.crt", append=number > 0)
        secure = _start_with_retries(lambda: self._minio(program, "minio-tls", certificates))
        return {
            "HOLDED_TEST_S3": f"http://{HOST}:{plain}",
            "HOLDED_TEST_S3_ACCESS_KEY": _ACCESS_KEY,
            "HOLDED_TEST_S3_SECRET_KEY": self._secret,
            "HOLDED_TEST_S3_REGION": REGION,
            "HOLDED_TEST_S3_VIRTUAL": f"http://{DOMAIN}:{plain}",
            "HOLDED_TEST_S3_TLS": f"https://{HOST}:{secure}",
            "HOLDED_TEST_S3_CA": str(certificates / "ca.pem"),
        }

    def seaweedfs(self) -> Mapping[str, str]:
        """Starts the SeaweedFS of the wheel, in place of MinIO."""
        server = SeaweedFS(self._make_folder("seaweedfs"), self._folder, self._watchdog)
        server.start()
        self._closing.callback(server.stop)
        lake = server.lake("any")
        return {
            "HOLDED_TEST_S3": lake.endpoint,
            "HOLDED_TEST_S3_ACCESS_KEY": lake.access_key,
            "HOLDED_TEST_S3_SECRET_KEY": lake.secret_key.reveal(),
        }

    def postgres(self) -> Mapping[str, str]:
        """Starts the PostgreSQL of the wheel."""
        server = PostgresServer(self._folder / "postgres", self._folder, self._watchdog)
        server.start()
        self._closing.callback(server.stop)
        database = server.database("postgres")
        assert database.password is not None
        return {"HOLDED_TEST_POSTGRES": database.url, "HOLDED_TEST_POSTGRES_PASSWORD": database.password.reveal()}

    def registry(self) -> Mapping[str, str]:
        """Starts Apicurio on H2 in memory. It has Confluent's API below `/apis/ccompat/v7`."""
        java = tools.java()
        archive = tools.maven_archive(tools.APICURIO)
        return _start_with_retries(lambda: self._registry(java, archive / "quarkus-run.jar"))

    def prism(self) -> Mapping[str, str]:
        """Builds Beam's Prism. Beam starts it for each job."""
        return {"HOLDED_TEST_PRISM": str(tools.go_program(tools.PRISM))}

    def _minio(self, program: Path, name: str, certificates: Path | None) -> int:
        port, console = free_ports(2)
        environment = {
            "MINIO_ROOT_USER": _ACCESS_KEY,
            "MINIO_ROOT_PASSWORD": self._secret,
            "MINIO_REGION": REGION,
            "MINIO_DOMAIN": DOMAIN,
            "MINIO_BROWSER": "off",
        }
        secure = [] if certificates is None else ["--certs-dir", str(certificates)]
        addresses = ["--address", f"{HOST}:{port}", "--console-address", f"{HOST}:{console}"]
        command = [str(program), "server", *addresses, *secure, str(self._make_folder(name))]
        scheme = "http" if certificates is None else "https"
        self._start(name, command, f"{scheme}://{HOST}:{port}/minio/health/ready", environment)
        return port

    def _registry(self, java: str, program: Path) -> Mapping[str, str]:
        (port,) = free_ports(1)
        settings = {
            "quarkus.http.host": HOST,
            "quarkus.http.port": port,
            "apicurio.storage.kind": "sql",
            "apicurio.storage.sql.kind": "h2",
            "java.io.tmpdir": self._make_folder("apicurio"),
        }
        command = [java, "-Xmx384m", "-XX:+UseSerialGC", *(f"-D{name}={value}" for name, value in settings.items())]
        url = f"http://{HOST}:{port}/apis/ccompat/v7"
        self._start("apicurio", [*command, "-jar", str(program)], f"{url}/subjects")
        return {"HOLDED_TEST_REGISTRY": url}

    def _start(self, name: str, command: list[str], health: str, environment: Mapping[str, str] | None = None) -> None:
        log = self._folder / f"{name}.log"
        server = Server(name, command, log=log, watchdog=self._watchdog, env=environment)
        self._closing.callback(server.stop)
        server.wait_until(lambda: _is_healthy(health, self._folder / "certificates" / "ca.pem"))

    def _make_folder(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        return folder


@contextlib.contextmanager
def services() -> Iterator[Services]:
    """Services of which none runs yet. Those that are started end with the block, or with this process."""
    with contextlib.ExitStack() as closing:
        folder = Path(tempfile.mkdtemp(prefix="holded-services-"))
        folder.chmod(0o711)  # so that PostgreSQL can reach its folder if it has to run as another user
        watchdog = Watchdog()
        closing.callback(watchdog.dismiss)
        watchdog.remove(folder)
        closing.callback(shutil.rmtree, folder, ignore_errors=True)
        yield Services(folder, watchdog, closing)


def start(running: Services, names: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Starts servers. Returns the variables that name them, and the reason for each that could not be started."""
    variables: dict[str, str] = {}
    absent: dict[str, str] = {}
    for name in names:
        begin: Callable[[], Mapping[str, str]] = getattr(running, name)
        try:
            variables |= begin()
        except tools.UnavailableError as error:
            absent[name] = str(error)
    return variables, absent


def _start_with_retries(begin: Callable[[], T]) -> T:
    """Tries three times, on other ports each time: another process may have taken one in the meantime."""
    for _ in range(_ATTEMPTS - 1):
        with contextlib.suppress(StartError):
            return begin()
    return begin()


def _is_healthy(url: str, authority: Path) -> bool:
    context = None
    if url.startswith("https:"):
        context = ssl.create_default_context(cafile=str(authority))
    try:
        with urllib.request.urlopen(url, timeout=2, context=context) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
