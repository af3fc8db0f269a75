"""What was given as an argument instead of what is needed, in words that show no password."""

from __future__ import annotations

import inspect
import re
from typing import Any

# Scheme, user, host, path. A password may be between user and host, if nothing in it makes the URL ambiguous.
_URL = re.compile(
    r"([a-z][a-z0-9+.-]*)://(?:([\w.-]+)(?::[^@/?#\s]*)?@)?([\w.-]+(?::\d+)?)((?:/[\w./-]*)?)", re.IGNORECASE
)


def wrong_argument(whose: str, wanted: str, given: Any, example: str) -> TypeError:
    """The error for an argument of another type.

    Args:
        whose: what takes the argument, e.g. `ReadMinIO`.
        wanted: what it takes, e.g. `an hp.MinIO`.
        given: what it was given.
        example: how one is made.
    """
    return TypeError(f"{whose} needs {wanted}, and got {described_argument(given)}; make one: {example}")


def described_argument(given: Any) -> str:
    """What messages call a value: its type, and of texts only URLs, without the password."""
    if inspect.isclass(given):
        return f"the class {given.__name__} itself"
    if given is None:
        return "None"
    if isinstance(given, str):
        url = url_without_password(given)
        return "a text" if url is None else f"the text {url!r}"
    name = type(given).__name__
    return f"{'an' if name[:1] in 'AEIOUaeiou' else 'a'} {name}"


def url_without_password(given: Any, *schemes: str) -> str | None:
    """A URL of one of these schemes, or of any, as it may be shown.

    None for anything else, and for a URL of which it is not certain which part is the password.
    """
    found = _URL.fullmatch(given) if isinstance(given, str) else None
    if found is None or (schemes and found[1].lower() not in schemes):
        return None
    scheme, user, host, path = found.groups()
    return f"{scheme}://{f'{user}@' if user else ''}{host}{path}"
