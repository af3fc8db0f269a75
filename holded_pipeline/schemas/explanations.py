"""Why a document is invalid: every violation, most relevant first."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from jsonschema.exceptions import best_match, relevance

from holded_pipeline.model.json_pointer import json_pointer
from holded_pipeline.model.values import Violation
from holded_pipeline.schemas.explaining_validator import PYTHON_VALIDATORS, explaining_validator_class
from holded_pipeline.schemas.explanation_budget import TooManyStepsError, limited_steps, with_short_message
from holded_pipeline.schemas.schema_errors import truncate_message

MAX_VIOLATIONS: Final = 100
"""Of a document with more, this many are listed and the others are counted."""

MAX_STEPS: Final = 100_000
"""Steps after which the search for violations ends: a second or two."""

_EVALUATED_VALUES = 10_000  # of a document; the Rust validator keeps something for each
INCOMPLETE: Final = "the search for violations ended early: the document has too many, or they take too long to find"
"""The message of the last violation if there may be more."""


class ViolationFinder:
    """Finds the violations of documents that the Rust validator found invalid.

    Args:
        draft: the schema's draft, a key of `PYTHON_VALIDATORS`.
        uri: the schema's URI in the registry.
        registry: the schemas as `jsonschema` takes them.
        rust_validator: the validator that found the documents invalid.
        formats: whether `format` is checked.
    """

    def __init__(self, draft: str, uri: str, registry: Any, rust_validator: Any, *, formats: bool = True) -> None:
        kind = explaining_validator_class(PYTHON_VALIDATORS[draft], formats=formats)
        self._python_validator = kind({"$ref": uri}, registry=registry)
        self._rust_validator = rust_validator

    def find(self, document: Any) -> tuple[Violation, ...]:
        """The violations of an invalid document; never empty. If there may be more, the last one says so."""
        found, is_complete = self._python_violations(document, MAX_STEPS)
        if not found and (is_complete or not _has_more_values(document, _EVALUATED_VALUES)):
            found = self._rust_violations(document)
        return _limit_violations(found, is_complete=is_complete)

    def find_all(self, document: Any, max_steps: int) -> tuple[Violation, ...] | None:
        """The same; None if it takes more than so many steps."""
        found, is_complete = self._python_violations(document, max_steps)
        return _limit_violations(found or self._rust_violations(document), is_complete=True) if is_complete else None

    def _python_violations(self, document: Any, max_steps: int) -> tuple[list[Violation], bool]:
        """The violations that `jsonschema` finds, none if it fails, and whether the search came to its end."""
        errors: list[Any] = []
        is_complete = True
        try:
            with limited_steps(max_steps):
                errors.extend(map(_shorten_message, self._python_validator.iter_errors(document)))
        except (KeyboardInterrupt, SystemExit):
            raise
        except TooManyStepsError:
            is_complete = False
        except BaseException:  # noqa: BLE001  whatever fails here, a panic in Rust too, the document stays invalid
            return [], True
        errors.sort(key=relevance, reverse=True)
        violations = [
            Violation(json_pointer(error.absolute_path), str(error.validator or "falseSchema"), error.message)
            for each in errors
            for error in _closest_errors(each)
        ]
        return violations, is_complete

    def _rust_violations(self, document: Any) -> list[Violation]:
        """The violations that the Rust validator finds, with its messages.

        `evaluate` is used because `iter_errors` copies the document for each error.
        """
        violations = [
            Violation(
                error["instanceLocation"], error["schemaLocation"].rpartition("/")[2], truncate_message(error["error"])
            )
            for error in self._rust_validator.evaluate(document).errors()
        ]
        return violations or [Violation("", "", "the document does not fit its schema")]


def _has_more_values(document: Any, count: int) -> bool:
    """Whether a document has more values than `count`, itself and those at all levels included."""
    return next(islice(_document_values(document), count, None), None) is not None


def _document_values(document: Any) -> Iterator[int]:
    waiting = [document]
    while waiting:
        value = waiting.pop()
        yield 1
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _shorten_message(error: Any) -> Any:
    return with_short_message(error)


def _closest_errors(error: Any) -> list[Any]:
    """The errors to report for an error of `anyOf` or `oneOf`: those of the branch with the fewest.

    That branch is most likely the one that the producer meant:

        oneOf: [{kind: "a", n: integer}, {kind: "b", s: string}]       document {"kind": "a", "n": "one"}
        branch 0: n is not an integer                                  1 error  -> reported
        branch 1: kind is not "b"; s is missing                        2 errors

    If several branches have the fewest, the one error that `best_match` picks is reported.
    """
    if not error.context:
        return [error]
    branches: dict[Any, list[Any]] = {}
    for inner in error.context:
        branches.setdefault(inner.schema_path[0], []).append(inner)
    fewest = min(branches.values(), key=len)
    if sum(len(branch) == len(fewest) for branch in branches.values()) > 1:
        return [best_match([error]) or error]
    return [closest for inner in fewest for closest in _closest_errors(inner)]


def _limit_violations(violations: list[Violation], *, is_complete: bool) -> tuple[Violation, ...]:
    """The violations without repetitions; beyond `MAX_VIOLATIONS`, one more that counts the rest."""
    unique = list(dict.fromkeys(violations))
    limited = unique[:MAX_VIOLATIONS]
    if len(unique) > MAX_VIOLATIONS:
        limited.append(Violation("", "", f"and {len(unique) - MAX_VIOLATIONS} more violations"))
    if not is_complete:
        limited.append(Violation("", "", INCOMPLETE))
    return tuple(limited)
