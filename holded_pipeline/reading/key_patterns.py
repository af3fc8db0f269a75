"""From a key pattern of a user to the keys that it matches."""

from __future__ import annotations

import re

_WILDCARD = re.compile(r"\*\*/?|[*?]|\[[!^]?[^]]+\]")


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
#     raw/**               raw/(?s:.*)\Z                       raw/2026/a.jsonl        rawest/a.jsonl
#     raw/202?/[!a-c]*     raw/202[^/]/(?!/)[^a-c][^/]*\Z         raw/2026/d.jsonl        raw/2026/a.jsonl
def glob_regex(pattern: str) -> str:
    """A regular expression, for `re.match`, of the keys that a pattern matches.

    Raises:
        ValueError: a set has a range in the wrong order.
    """
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
        return "(?s:.*)"
    if wildcard in "*?":
        return "[^/]*" if wildcard == "*" else "[^/]"
    return _set_regex(wildcard)


def _set_regex(wildcard: str) -> str:
    """The set of a glob as one of a regular expression, in which only a hyphen between two characters is special.

    As in a shell, `!` or `^` at its beginning excludes, and no set matches a slash.
    """
    excludes = wildcard[1] in "!^"
    members = wildcard[1 + excludes : -1]
    parts: list[str] = []
    at = 0
    while at < len(members):
        first, hyphen, last = members[at], members[at + 1 : at + 2], members[at + 2 : at + 3]
        is_range = hyphen == "-" and bool(last)
        if is_range and first > last:
            raise ValueError(f"{wildcard} in a pattern: {first}-{last} is in the wrong order; write [{last}-{first}]")
        parts.append(f"{re.escape(first)}-{re.escape(last)}" if is_range else re.escape(first))
        at += 3 if is_range else 1
    return f"(?!/)[{'^' if excludes else ''}{''.join(parts)}]"
