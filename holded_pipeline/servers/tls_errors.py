"""What an error of TLS means: a wrong setting, or a broken connection."""

from __future__ import annotations

# Texts of OpenSSL; drivers wrap its errors in several ways, and keep the text.
_NOT_TRUSTED = ("CERTIFICATE_VERIFY_FAILED", "DOESN'T_MATCH")
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")


def explain_tls_error(error: Exception, option: str) -> str | None:
    """What is wrong with the settings and what to do, to follow the server's name; None if a retry may help.

    Args:
        error: the error of the driver.
        option: the name of the option with the server's URL.
    """
    text = str(error).upper().replace(" ", "_")
    if any(word in text for word in _NO_TLS):
        return f"does not speak TLS; use http:// in {option}, or the port that does"
    if any(word in text for word in _NOT_TRUSTED):
        return "has a certificate that is not trusted; set verify= to the CA bundle it was signed with"
    return None
