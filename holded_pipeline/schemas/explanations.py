"""Why a document is invalid: every violation, most relevant first."""

from __future__ import annotations

from typing import Any, Final

from jsonschema.exceptions import best_match, relevance

from holded_pipeline.model.json_pointer import json_pointer
from holded_pipeline.model.values import Violation
from holded_pipeline.schemas.explaining_validator import (
    PYTHON_VALIDATORS,
    REMAINING_STEPS,
    explaining_validator_class,
)
from holded_pipeline.schemas.schema_errors import truncate_message

MAX_VIOLATIONS: Final = 100
"""Of a document with more, this many are listed and the others are counted."""

_MAX_STEPS = 100_000  # a second or two; steps rather than seconds, so that a document always gets the same violations


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
        """The violations of an invalid document; never empty."""
        return _limit_violations(self._python_violations(document) or self._rust_violations(document))

    def _python_violations(self, document: Any) -> list[Violation]:
        """The violations that `jsonschema` finds; empty if it finds none, fails, or needs too many steps."""
        token = REMAINING_STEPS.set([_MAX_STEPS])
        try:
            found = map(_shorten_message, self._python_validator.iter_errors(document))
            errors = sorted(found, key=relevance, reverse=True)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # noqa: BLE001  whatever fails here, a panic in Rust too, the document stays invalid
            return []
        finally:
            REMAINING_STEPS.reset(token)
        return [
            Violation(
                json_pointer(error.absolute_path),
                str(error.validator or "falseSchema"),
                truncate_message(error.message),
            )
            for each in errors
            for error in _closest_errors(each)
        ]

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


def _shorten_message(error: Any) -> Any:
    """The error with a short message: thousands of errors are kept, and each may repeat a large enum or value."""
    error.message = truncate_message(error.message)
    error.args = ()  # they hold the long message
    return error


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


def _limit_violations(violations: list[Violation]) -> tuple[Violation, ...]:
    """The violations without repetitions; beyond `MAX_VIOLATIONS`, one more that counts the rest."""
    unique = list(dict.fromkeys(violations))
    if len(unique) <= MAX_VIOLATIONS:
        return tuple(unique)
    more = Violation("", "", f"and {len(unique) - MAX_VIOLATIONS} more violations")
    return (*unique[:MAX_VIOLATIONS], more)
