"""Whether user code can be pickled for the workers: checked where it can be named, since Beam only names a step."""

from __future__ import annotations

from typing import Any, Final

from apache_beam.internal import pickler

from holded_pipeline.enriching.enricher import Enricher
from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.transforms.beam.unpicklable import describe_unpicklable_part
from holded_pipeline.user_code.errors import describe_error, name_of, result_or_error

LET_IT_OPEN: Final = "Let it hold addresses and settings, and open connections, files and locks when it is called there"
_ENTER: Final = "Open connections, files and locks in its __enter__, which is called there"


def pickle_roundtrip(thing: Any) -> Any:
    """The copy that a worker gets; the exception, if it cannot be pickled or unpickled."""
    return result_or_error(lambda thing: pickler.loads(pickler.dumps(thing)), thing)


def check_picklable(thing: Any, whose: str, advice: str = LET_IT_OPEN, *, of: Any = None) -> None:
    """Checks that something can be pickled for the workers.

    Args:
        thing: what is pickled.
        whose: what messages call it.
        advice: what to do, as the last sentence of the message.
        of: the user's function or object in it, whose parts the message names; by default the thing itself.

    Raises:
        ConfigurationError: it cannot be pickled or unpickled; the message names it, and the part of it that cannot.
    """
    outcome = pickle_roundtrip(thing)
    if isinstance(outcome, BaseException):
        part = describe_unpicklable_part(thing if of is None else of, _is_picklable)
        uses = f" It uses {part}." if part else ""
        raise ConfigurationError(
            f"{whose} cannot be pickled for the workers: {describe_error(outcome)}.{uses} {advice}"
        ) from outcome


def check_function_picklable(function: Any, what: str) -> None:
    """Checks that a user's function can be pickled for the workers; None is fine.

    Raises:
        ConfigurationError: it cannot; the message names it, as what it is, and the part of it that cannot.
    """
    if function is not None:
        check_picklable(function, f"the {what} {name_of(function)}")


def _is_picklable(thing: Any) -> bool:
    return not isinstance(pickle_roundtrip(thing), BaseException)


def check_enricher_picklable(enricher: Enricher) -> None:
    """Checks that an enricher can be pickled for the workers.

    Raises:
        ConfigurationError: it cannot; the message names the piece of its `user_code` that cannot, if there is one.
    """
    try:
        check_picklable(enricher, f"the enricher {enricher}", _ENTER, of=enricher.function)
    except ConfigurationError:
        part = unpicklable_part(enricher)
        if part is not None:
            check_picklable(part, f"{part}, which the enricher {enricher} calls,")
        raise


def unpicklable_part(enricher: Enricher) -> Any:
    """The first piece of an enricher's `user_code` that cannot be pickled; None if there is none."""
    return next((part for part in enricher.user_code if isinstance(pickle_roundtrip(part), BaseException)), None)
