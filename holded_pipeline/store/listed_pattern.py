"""The prefix or glob by which a user names the objects to read."""

from __future__ import annotations

from holded_pipeline.store.object_names import AMBIGUOUS_LEVELS


def normalize_pattern(pattern: str) -> str:
    """A prefix or glob for listing keys, without leading slashes and with at most one at its end.

    Raises:
        ValueError: it is not one text, is a URL, or has a level that stores change or reject.
    """
    if not isinstance(pattern, str):
        wrong = (
            f"pattern is one text such as 'raw/', got {type(pattern).__name__}; read several with several transforms"
        )
        raise ValueError(wrong)  # noqa: TRY004  as for any other wrong pattern
    if "://" in pattern:
        key = pattern.partition("://")[2].partition("/")[2]
        raise ValueError(
            f"pattern is what keys begin with, such as 'raw/', got the URL {pattern!r}; give the bucket to hp.MinIO, "
            f"and {key!r} here"
        )
    text = pattern.lstrip("/")
    if text.endswith("/"):
        text = text.rstrip("/") + "/"
    *levels, _ = text.split("/")  # the last one may be the beginning of a name
    if AMBIGUOUS_LEVELS.intersection(levels):
        raise ValueError(
            f"pattern must be text such as 'raw/' or 'raw/**/*.json', without empty levels (//) and the levels . and "
            f".., for which some stores list nothing; a wildcard, as in 'a/*/b/**', finds such keys; got {pattern!r}"
        )
    return text
