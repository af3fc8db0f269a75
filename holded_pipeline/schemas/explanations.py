"""Why a document breaks its schema: every violation, most telling first."""

from __future__ import annotations

from typing import Any, Final

from jsonschema.exceptions import best_match, relevance

from holded_pipeline.model.json_pointer import json_pointer
from holded_pipeline.model.values import Violation
from holded_pipeline.schemas.judged_keywords import STEPS, judged

MOST_VIOLATIONS: Final = 100
"""A document with more is told how many more."""

_MOST_STEPS = 100_000  # a second or two; counted, so that the same document always gets the same words
_LONGEST_MESSAGE = 500


class ViolationExplainer:
    """Explains the verdicts on the documents of one schema.

    Args:
        draft: the class of `jsonschema` for it.
        uri: where it stands among the schemas.
        registry: the schemas, for `jsonschema`.
        verdict: the Rust validator of it.
    """

    def __init__(self, draft: Any, uri: str, registry: Any, verdict: Any) -> None:
        self._explaining = judged(draft)({"$ref": uri}, registry=registry)
        self._verdict = verdict

    def of(self, document: Any) -> tuple[Violation, ...]:
        """The violations of a document that is refused; never none."""
        return _first(self._explained(document) or self._told(document))

    def _explained(self, document: Any) -> list[Violation]:
        token = STEPS.set([_MOST_STEPS])
        try:
            errors = sorted(map(_brief, self._explaining.iter_errors(document)), key=relevance, reverse=True)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # noqa: BLE001  whatever it stumbles over, a panic of Rust's too, the verdict stands
            return []
        finally:
            STEPS.reset(token)
        return [
            Violation(
                json_pointer(error.absolute_path),
                str(error.validator or "falseSchema"),
                truncate_message(error.message),
            )
            for each in errors
            for error in _closest(each)
        ]

    def _told(self, document: Any) -> list[Violation]:
        """In the Rust validator's own words; without the copies of the document that come with its `iter_errors`."""
        told = [
            Violation(
                error["instanceLocation"], error["schemaLocation"].rpartition("/")[2], truncate_message(error["error"])
            )
            for error in self._verdict.evaluate(document).errors()
        ]
        return told or [Violation("", "", "the document breaks its schema")]


def truncate_message(text: str) -> str:
    """A message that does not carry a whole document."""
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[: _LONGEST_MESSAGE - 60]} […] {text[-50:]}"


def _brief(error: Any) -> Any:
    """The error with words that can be kept for each of very many: some repeat all of an enum, or of a value."""
    error.message = truncate_message(error.message)
    error.args = ()  # which hold the words as they were
    return error


def _closest(error: Any) -> list[Any]:
    """Inside an anyOf or oneOf, the faults of the branch with the fewest: most likely that one was meant."""
    if not error.context:
        return [error]
    branches: dict[Any, list[Any]] = {}
    for inner in error.context:
        branches.setdefault(inner.schema_path[0], []).append(inner)
    fewest = min(branches.values(), key=len)
    if sum(len(branch) == len(fewest) for branch in branches.values()) > 1:
        return [best_match([error]) or error]
    return [closest for inner in fewest for closest in _closest(inner)]


def _first(violations: list[Violation]) -> tuple[Violation, ...]:
    unique = list(dict.fromkeys(violations))
    if len(unique) <= MOST_VIOLATIONS:
        return tuple(unique)
    more = Violation("", "", f"and {len(unique) - MOST_VIOLATIONS} more violations")
    return (*unique[:MOST_VIOLATIONS], more)
