"""From a key pattern of a user to the keys that it matches."""

from __future__ import annotations

import re

_WILDCARD = re.compile(r"\*\*/?|[*?]|\[!?[^]]+\]")


def glob_prefix(pattern: str) -> str:
    """The part of a pattern before its first wildcard: the prefix to list."""
    wildcard = _WILDCARD.search(pattern)
    return pattern[: wildcard.start()] if wildcard else pattern


# A pattern without wildcards is a prefix; one with wildcards has to match the whole key.
#
#     pattern              regular expression                  matches                 does not match
#     raw/2026             raw/2026                            raw/2026/a.jsonl        raw/2025/a.jsonl
#     raw/*.jsonl          raw/[^/]*\.jsonl\Z                  raw/a.jsonl             raw/2026/a.jsonl
#     raw/**/*.jsonl       raw/(?:[^/]+/)*[^/]*\.jsonl\Z       raw/a.jsonl             raw/a.json
#                                                              raw/2026/01/a.jsonl
#     raw/**               raw/.*\Z                            raw/2026/a.jsonl        rawest/a.jsonl
#     raw/202?/[!a-c]*     raw/202[^/]/[^a-c][^/]*\Z           raw/2026/d.jsonl        raw/2026/a.jsonl
def glob_regex(pattern: str) -> str:
    """A regular expression, for `re.match`, of the keys that a pattern matches."""
    if not _WILDCARD.search(pattern):
        return re.escape(pattern)
    parts = []
    position = 0
    for wildcard in _WILDCARD.finditer(pattern):
        parts.append(re.escape(pattern[position : wildcard.start()]))
        parts.append(_wildcard_regex(wildcard[0]))
        position = wildcard.end()
    return "".join(parts) + re.escape(pattern[position:]) + r"\Z"


def _wildcard_regex(wildcard: str) -> str:
    if wildcard == "**/":
        return "(?:[^/]+/)*"
    if wildcard == "**":
        return ".*"
    if wildcard in "*?":
        return "[^/]*" if wildcard == "*" else "[^/]"
    return f"[^{wildcard[2:]}" if wildcard.startswith("[!") else wildcard
