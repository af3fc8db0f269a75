"""Whether what strangers wrote can be sent to workers: found out where it can be named, since Beam names a step."""

from __future__ import annotations

from typing import Any, Final

from apache_beam.internal import pickler

from holded_pipeline.enriching.builtin import Quality
from holded_pipeline.enriching.enricher import Enricher
from holded_pipeline.enriching.quality import QualityRule
from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.user_code.errors import describe_error, result_or_error

LET_IT_OPEN: Final = "Let it hold addresses and settings, and open connections, files and locks when it is called there"
_ENTER: Final = "Open connections, files and locks in its __enter__, which is called there"


def pickle_roundtrip(thing: Any) -> Any:
    """The copy that a worker gets; an exception where there is none."""
    return result_or_error(lambda thing: pickler.loads(pickler.dumps(thing)), thing)


def check_picklable(thing: Any, whose: str, advice: str = LET_IT_OPEN) -> None:
    """Refuses what cannot be sent to workers.

    Raises:
        ConfigurationError: it cannot be pickled, or not be read again; the message names it as `whose`.
    """
    outcome = pickle_roundtrip(thing)
    if isinstance(outcome, BaseException):
        raise ConfigurationError(f"{whose} cannot be sent to workers: {describe_error(outcome)}. {advice}") from outcome


def check_enricher_picklable(enricher: Enricher) -> None:
    """The same for an enricher; of `quality` the rule that is at fault is named.

    Raises:
        ConfigurationError: it cannot be sent.
    """
    try:
        check_picklable(enricher, f"the enricher {enricher}", _ENTER)
    except ConfigurationError:
        rule = unpicklable_rule(enricher)
        if rule is not None:
            check_picklable(rule, f"{rule}, by which the enricher {enricher} judges,")
        raise


def unpicklable_rule(enricher: Enricher) -> QualityRule | None:
    """The first quality rule of an enricher that cannot be sent, if there is one."""
    quality = enricher.function
    rules = (*quality.rules, *quality.registered) if isinstance(quality, Quality) else ()
    return next((rule for rule in rules if isinstance(pickle_roundtrip(rule), BaseException)), None)
