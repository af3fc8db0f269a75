"""Starts the servers on free loopback ports, and says under which names the suite finds them."""

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
    """Started one by one; stopped, and everything removed, at the end of the `with` block of `services()`."""

    def __init__(self, folder: Path, watchdog: Watchdog, closing: contextlib.ExitStack) -> None:
        self._folder = folder
        self._watchdog = watchdog
        self._closing = closing
        self._secret = secrets.token_hex(20)

    def minio(self) -> Mapping[str, str]:
        """Two of them, one with TLS and a CA of its own; both serve virtual hosts below `DOMAIN`."""
        program = tools.go_program(tools.MINIO)
        plain = _tried(lambda: self._minio(program, "minio", None))
        certificates = self._made("certificates")
        authority = trustme.CA()
        issued = authority.issue_cert(HOST, DOMAIN, f"*.{DOMAIN}")
        authority.cert_pem.write_to_path(certificates / "ca.pem")
        issued.private_key_pem.write_to_path(certificates / "private.key")
        for number, blob in enumerate(issued.cert_chain_pems):
            blob.write_to_path(certificates / "public.crt", append=number > 0)
        secure = _tried(lambda: self._minio(program, "minio-tls", certificates))
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
        """The store of the wheel, in MinIO's place."""
        server = SeaweedFS(self._made("seaweedfs"), self._folder, self._watchdog)
        server.start()
        self._closing.callback(server.stop)
        lake = server.lake("any")
        return {
            "HOLDED_TEST_S3": lake.endpoint,
            "HOLDED_TEST_S3_ACCESS_KEY": lake.access_key,
            "HOLDED_TEST_S3_SECRET_KEY": lake.secret_key.reveal(),
        }

    def postgres(self) -> Mapping[str, str]:
        """The server of the wheel."""
        server = PostgresServer(self._folder / "postgres", self._folder, self._watchdog)
        server.start()
        self._closing.callback(server.stop)
        return {"HOLDED_TEST_POSTGRES": server.database("postgres").url}

    def registry(self) -> Mapping[str, str]:
        """Apicurio, over H2 in memory, which answers as Confluent's registry does below `/apis/ccompat/v7`."""
        java = tools.java()
        archive = tools.maven_archive(tools.APICURIO)
        return _tried(lambda: self._registry(java, archive / "quarkus-run.jar"))

    def prism(self) -> Mapping[str, str]:
        """Beam's Prism; Beam starts it for each job."""
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
        command = [str(program), "server", *addresses, *secure, str(self._made(name))]
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
            "java.io.tmpdir": self._made("apicurio"),
        }
        command = [java, "-Xmx384m", "-XX:+UseSerialGC", *(f"-D{name}={value}" for name, value in settings.items())]
        url = f"http://{HOST}:{port}/apis/ccompat/v7"
        self._start("apicurio", [*command, "-jar", str(program)], f"{url}/subjects")
        return {"HOLDED_TEST_REGISTRY": url}

    def _start(self, name: str, command: list[str], health: str, environment: Mapping[str, str] | None = None) -> None:
        log = self._folder / f"{name}.log"
        server = Server(name, command, log=log, watchdog=self._watchdog, env=environment)
        self._closing.callback(server.stop)
        server.wait_until(lambda: _answers(health, self._folder / "certificates" / "ca.pem"))

    def _made(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        return folder


@contextlib.contextmanager
def services() -> Iterator[Services]:
    """Nothing runs yet; what is started ends with the block, or with this process, however that ends."""
    with contextlib.ExitStack() as closing:
        folder = Path(tempfile.mkdtemp(prefix="holded-services-"))
        folder.chmod(0o711)  # so that PostgreSQL can reach its part, should it have to run as another user
        watchdog = Watchdog()
        closing.callback(watchdog.dismiss)
        watchdog.remove(folder)
        closing.callback(shutil.rmtree, folder, ignore_errors=True)
        yield Services(folder, watchdog, closing)


def start(running: Services, names: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Starts what can be started: the variables that name it, and for the rest why not."""
    variables: dict[str, str] = {}
    absent: dict[str, str] = {}
    for name in names:
        begin: Callable[[], Mapping[str, str]] = getattr(running, name)
        try:
            variables |= begin()
        except tools.AbsentError as error:
            absent[name] = str(error)
    return variables, absent


def _tried(begin: Callable[[], T]) -> T:
    """Three times at most, on other ports: one may have been taken in the meantime, but hardly three times."""
    for _ in range(_ATTEMPTS - 1):
        with contextlib.suppress(StartError):
            return begin()
    return begin()


def _answers(url: str, authority: Path) -> bool:
    context = None
    if url.startswith("https:"):
        context = ssl.create_default_context(cafile=str(authority))
    try:
        with urllib.request.urlopen(url, timeout=2, context=context) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
