"""One certificate for all that the S3 server's parts say to each other: without its key nothing else is answered.

SeaweedFS is several servers in one process, which speak over ports and Unix sockets of this machine. All but the S3
port take part only in TLS with a certificate on both sides, and this is the only one that is accepted.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from holded_pipeline.local.ports import HOST
from holded_pipeline.local.private_files import private_folder, write_private

_DAYS = 3_650  # longer than any stack runs; the next start makes a new one
_GRPC = ("master", "volume", "filer", "s3", "admin", "worker", "client")
_HTTPS = ("master", "volume", "filer", "admin", "client")


class StoreCertificate:
    """A new key and a certificate for it, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        private_folder(folder)
        self._key, self._certificate = folder / "key.pem", folder / "certificate.pem"
        key = ec.generate_private_key(ec.SECP256R1())
        form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        write_private(self._key, key.private_bytes(serialization.Encoding.PEM, *form).decode())
        write_private(self._certificate, _self_signed(key).public_bytes(serialization.Encoding.PEM).decode())

    def settings(self) -> str:
        """SeaweedFS's `security.toml`: every gRPC and every inner HTTP port asks for the certificate and shows it."""
        pair = f"cert = {_quoted(self._certificate)}\nkey = {_quoted(self._key)}\n"
        authority = f"ca = {_quoted(self._certificate)}\n"
        sections = [f"[grpc]\n{authority}"]
        sections += [f"[grpc.{name}]\n{pair}" for name in _GRPC]
        sections += [f"[https.{name}]\n{pair}{authority}" for name in _HTTPS]
        return "\n".join(sections).replace("[https.client]\n", "[https.client]\nenabled = true\n")

    def client_context(self) -> ssl.SSLContext:
        """For a client that shows the certificate, and accepts no other from the server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self._certificate)
        context.load_cert_chain(self._certificate, self._key)
        return context


def _self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "holded-pipeline local store")])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )


def _quoted(path: Path) -> str:
    """A path as TOML's basic string."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
