"""How schemas are read: the draft of those that state none, and whether formats and encoded content are checked."""

from __future__ import annotations

import re
from typing import Any, Final

import attrs

METASCHEMAS: Final[dict[str, str]] = {
    "4": "http://json-schema.org/draft-04/schema#",
    "6": "http://json-schema.org/draft-06/schema#",
    "7": "http://json-schema.org/draft-07/schema#",
    "2019-09": "https://json-schema.org/draft/2019-09/schema",
    "2020-12": "https://json-schema.org/draft/2020-12/schema",
}
"""The known drafts, and the `$schema` of each."""

NEWEST: Final = "2020-12"
_DRAFTS_WITH_CONTENT: Final = ("7", "2019-09", "2020-12")
_DRAFT_THAT_CHECKS_CONTENT: Final = "7"  # the later ones say that it must not be checked without being asked for

# All that people write: http or https, `#` or none, a zero or none, and the metaschema with links beside the plain one.
_METASCHEMA = re.compile(
    r"(?:(?:https?:)?//)?(?:www\.)?json-schema\.org/"
    r"(?:draft[-/]?0?(?P<draft>[467]|2019-09|2020-12)/)?(?:hyper-)?schema/?#?/?",
    re.IGNORECASE,
)
# Iglu's metaschema is draft 4 with a member `self`.
_IGLU = re.compile(
    r"(?:https?://(?:www\.)?iglucentral\.com/schemas/|iglu:)"
    r"com\.snowplowanalytics\.self-desc/(?:schema|instance-iglu-only)/jsonschema/\d+-\d+-\d+/?#?",
    re.IGNORECASE,
)


@attrs.frozen
class SchemaRules:
    """How the schemas of one source are read.

    Attributes:
        draft: the draft of schemas whose `$schema` is missing or unknown: a key of `METASCHEMAS`. None for the newest
            where it is missing, and an error where it is unknown.
        formats: whether `format` is checked.
        content: whether `contentEncoding` and `contentMediaType` are checked, in the drafts that have them (from 7 on).
            None for as the draft says: in draft 7 alone.
    """

    draft: str | None = None
    formats: bool = True
    content: bool | None = None

    def checks_content(self, draft: str) -> bool:
        """Whether encoded content is checked in schemas of a draft, a key of `METASCHEMAS`."""
        return draft in _DRAFTS_WITH_CONTENT and (
            draft == _DRAFT_THAT_CHECKS_CONTENT if self.content is None else self.content
        )

    def draft_of(self, declared: str) -> str | None:
        """The draft of a schema with this `$schema`: a key of `METASCHEMAS`, or None for an unknown one.

        `https://json-schema.org/draft-07/schema` is "7". `http://json-schema.org/schema#` names no draft, so it is the
        draft of a schema without `$schema`.
        """
        known = _METASCHEMA.fullmatch(declared.strip())
        if known is not None:
            return known["draft"] or self.draft or NEWEST
        return self.draft or ("4" if _IGLU.fullmatch(declared.strip()) else None)


def parse_draft(draft: Any) -> str:
    """The key of `METASCHEMAS` for a draft as people write it: "7", 7, "draft-07", or a `$schema`.

    Raises:
        ValueError: the draft is not known.
    """
    text = str(draft).strip()
    short = re.fullmatch(r"(?:draft[-/]?)?0?(.+)", text, re.IGNORECASE)
    full = _METASCHEMA.fullmatch(text)
    found = (full and full["draft"]) or (short and short[1])
    if isinstance(draft, bool) or found not in METASCHEMAS:
        raise ValueError(f"draft must be one of {', '.join(map(repr, METASCHEMAS))}, got {draft!r}")
    return str(found)
