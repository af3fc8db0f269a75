"""The certificate of `serve`, with errors that say what is wrong with its files."""

from __future__ import annotations

import ssl
from os import PathLike
from pathlib import Path

from holded_pipeline.model.errors import ConfigurationError


def server_tls(certificate: str | PathLike[str], private_key: str | PathLike[str] | None = None) -> ssl.SSLContext:
    """The settings of TLS for a server: TLS 1.2 or later, with this certificate.

    Args:
        certificate: a PEM file with the certificate, and behind it those of the authorities between it and the root.
        private_key: a PEM file with its private key, not encrypted; None if it is in the same file.

    Raises:
        ConfigurationError: a file is missing, cannot be read, is not PEM, or the key belongs to another certificate.
    """
    certificate_file, key_file = Path(certificate), Path(private_key or certificate)
    _require_pem(certificate_file, "certificate", "CERTIFICATE-----")
    _require_pem(key_file, "private key", "PRIVATE KEY-----")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate_file, key_file, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigurationError(_explain(error, certificate_file, key_file)) from error
    return context


def _no_password() -> str:
    """Raises, where OpenSSL would ask at the terminal."""
    raise ValueError("the key is encrypted")


def _require_pem(file: Path, what: str, marker: str) -> None:
    try:
        text = file.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise ConfigurationError(
            f"the {what} {file} cannot be read: {error.strerror}; name a PEM file that this process may read"
        ) from error
    if marker not in text:
        raise ConfigurationError(f"{file} has no {what} in the form PEM; name the file with -----BEGIN … {marker}")


def _explain(error: Exception, certificate: Path, key: Path) -> str:
    text = str(error)
    if "KEY_VALUES_MISMATCH" in text:
        return f"the private key {key} does not belong to the certificate {certificate}; name the pair of one request"
    if "encrypted" in text:
        return f"the private key {key} is encrypted; remove its password, e.g. with `openssl pkey -in … -out …`"
    return f"the certificate {certificate} with the private key {key} cannot be used: {text}; check both with openssl"
