"""Whether what strangers wrote can be sent to workers: found out where it can be named, since Beam names a step."""

from __future__ import annotations

from typing import Any, Final

from apache_beam.internal import pickler

from holded_pipeline.enriching.builtin import Quality
from holded_pipeline.enriching.enricher import Enricher
from holded_pipeline.enriching.quality import Rule
from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.user_code.errors import outcome_of, told

LET_IT_OPEN: Final = "Let it hold addresses and settings, and open connections, files and locks when it is called there"
_ENTER: Final = "Open connections, files and locks in its __enter__, which is called there"


def sent(thing: Any) -> Any:
    """The copy that a worker gets; an exception where there is none."""
    return outcome_of(lambda thing: pickler.loads(pickler.dumps(thing)), thing)


def check_travels(thing: Any, whose: str, advice: str = LET_IT_OPEN) -> None:
    """Refuses what cannot be sent to workers.

    Raises:
        ConfigurationError: it cannot be pickled, or not be read again; the message names it as `whose`.
    """
    outcome = sent(thing)
    if isinstance(outcome, BaseException):
        raise ConfigurationError(f"{whose} cannot be sent to workers: {told(outcome)}. {advice}") from outcome


def check_enricher_travels(enricher: Enricher) -> None:
    """The same for an enricher; of `quality` the rule that is at fault is named.

    Raises:
        ConfigurationError: it cannot be sent.
    """
    try:
        check_travels(enricher, f"the enricher {enricher}", _ENTER)
    except ConfigurationError:
        rule = stuck_rule(enricher)
        if rule is not None:
            check_travels(rule, f"{rule}, by which the enricher {enricher} judges,")
        raise


def stuck_rule(enricher: Enricher) -> Rule | None:
    """The first quality rule of an enricher that cannot be sent, if there is one."""
    quality = enricher.function
    rules = (*quality.rules, *quality.registered) if isinstance(quality, Quality) else ()
    return next((rule for rule in rules if isinstance(sent(rule), BaseException)), None)
