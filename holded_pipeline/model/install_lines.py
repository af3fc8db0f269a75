"""How to install an extra, as error messages say it. The package is on no index: a release that is changes it here."""

from __future__ import annotations


def install_line(extra: str) -> str:
    """The words after "run: " in an error message.

    Args:
        extra: of pyproject.toml, such as `api`; several with commas between them.
    """
    return f"pip install '.[{extra}]' in a clone of the repository"
