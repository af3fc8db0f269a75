"""What an error of TLS means: a wrong setting, or a handshake that broke off, as any connection may."""

from __future__ import annotations

# OpenSSL's words; drivers wrap its errors in several ways, and keep its text.
_NOT_TRUSTED = ("CERTIFICATE_VERIFY_FAILED", "DOESN'T_MATCH")
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")


def wrong_tls(error: Exception, option: str) -> str | None:
    """What is wrong with the settings, and what to do, after the server's name; None if trying again may help.

    Args:
        error: the driver's.
        option: what the server's URL is called.
    """
    text = str(error).upper().replace(" ", "_")
    if any(word in text for word in _NO_TLS):
        return f"does not speak TLS; use http:// in {option}, or the port that does"
    if any(word in text for word in _NOT_TRUSTED):
        return "has a certificate that is not trusted; set verify= to the CA bundle it was signed with"
    return None
