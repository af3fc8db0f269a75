"""Sample events: any number, the same for the same seed, with faulty ones among them on request."""

from __future__ import annotations

import json
import random
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import attrs

from holded_pipeline.testing.samples.document_fields import random_bool
from holded_pipeline.testing.samples.faults import FAULTS, Fault
from holded_pipeline.testing.samples.messages import MESSAGE_ID, Messages

START: Final = datetime(2026, 1, 12, tzinfo=UTC)
"""The first day of sample events, unless another one is given."""

_LARGEST_PACKAGE = 20


@attrs.frozen
class Sample:
    """One sample record: one line of an object.

    Attributes:
        line: its bytes, without the end of the line.
        event_id: the id of its event; None if the record cannot become an event.
        fault: what is wrong with the record; None for a good one.
        resent: whether the same message is among the samples before it.
    """

    line: bytes
    event_id: str | None
    fault: Fault | None = None
    resent: bool = False

    @property
    def document(self) -> Any:
        """The JSON value of the line.

        Raises:
            ValueError: the line is not JSON; see `fault`.
        """
        return json.loads(self.line)


def sample_events(
    n: int,
    *,
    seed: int = 0,
    faults: float = 0.0,
    duplicates: float = 0.0,
    wrapped: float = 0.0,
    kinds: Collection[str] | None = None,
    start: datetime = START,
    days: float = 7.0,
) -> list[Sample]:
    r"""Makes realistic Holded messages: nine types, fifty companies of very different size, half to two kilobytes.

    The same arguments give the same bytes, in every process and on every version of Python. Without `faults` and
    `duplicates`, the first samples are the same for every `n`. Different seeds give different events.

        store.put("raw/events.jsonl", b"\n".join(sample.line for sample in sample_events(1_000, seed=7)))

    Args:
        n: how many records.
        seed: the only source of random values.
        faults: the share of faulty records, 0 to 1; the kinds take turns, so that few are enough for all.
        duplicates: the share of records that are an earlier message sent once more.
        wrapped: the share of good records in the form that the collecting API stores: with `event_id`,
            `correlation_id` and `received_at` around the message. A few of these are late.
        kinds: the names of the faults to choose from; by default all of `FAULTS`.
        start: the first moment at which an event may have occurred; aware.
        days: over how many days events are spread.

    Returns:
        Exactly `n` samples, in no order of time.

    Raises:
        ValueError: a share is not between 0 and 1, they leave no good record to send again, a kind is unknown, or
            `start` has no time zone.
    """
    _validate_arguments(n, {"faults": faults, "duplicates": duplicates, "wrapped": wrapped}, start)
    chosen = _chosen_faults(kinds)
    rng = random.Random(seed)  # noqa: S311  samples, no secrets
    plan = _plan(n, round(n * faults), round(n * duplicates), random.Random(~seed), chosen)  # noqa: S311  as above
    return list(_SampleGenerator(Messages(rng, start, days), rng, wrapped).samples(plan))


def sample_documents(n: int, *, seed: int = 0, wrapped: float = 0.0) -> list[dict[str, Any]]:
    """The good messages of `sample_events` as plain dictionaries, e.g. to look at or to POST as a package."""
    return [sample.document for sample in sample_events(n, seed=seed, wrapped=wrapped)]


def sample_lines(samples: Iterable[Sample]) -> bytes:
    r"""The samples as JSON lines, each ending in `\n`."""
    return b"".join(sample.line + b"\n" for sample in samples)


_GOOD: Final = "good"
_RESENT: Final = "resent"


def _plan(n: int, faulty: int, resent: int, rng: random.Random, faults: Sequence[Fault]) -> Iterator[Fault | str]:
    """What each of `n` samples is: a good record, an earlier one sent again, or a fault.

    With n=5, faulty=2 and resent=1, for instance: good, truncated, good, resent, broken_json. The first that is no
    fault is always good, since only a good record can be sent again.
    """
    positions = rng.sample(range(n), faulty)
    fault_at = dict(zip(positions, rng.sample(faults, len(faults)) * (faulty // len(faults) + 1), strict=False))
    others = [position for position in range(n) if position not in fault_at]
    resent_at = set(rng.sample(others[1:], resent))
    return (fault_at.get(position, _RESENT if position in resent_at else _GOOD) for position in range(n))


class _SampleGenerator:
    """Makes the samples of a plan."""

    def __init__(self, messages: Messages, rng: random.Random, wrapped: float) -> None:
        self._messages = messages
        self._rng = rng
        self._wrapped = wrapped
        self._correlation_id = ""
        self._remaining_in_package = 0

    def samples(self, plan: Iterable[Fault | str]) -> Iterator[Sample]:
        good: list[tuple[Sample, datetime]] = []
        for step in plan:
            if step == _RESENT:
                yield self._send_again(*self._rng.choice(good))
                continue
            message, at = self._messages.message()
            if isinstance(step, Fault):
                event_id = None if step.stage == "read" else _id_of_message(message)
                yield Sample(step.corrupt(message), event_id, step)
                continue
            sample = Sample(self._line(message, at), _id_of_message(message))
            good.append((sample, at))
            yield sample

    def _send_again(self, sample: Sample, at: datetime) -> Sample:
        message = sample.document
        return Sample(self._line(message.get("event", message), at), sample.event_id, resent=True)

    def _line(self, message: dict[str, Any], at: datetime) -> bytes:
        """The message in JSON; wrapped or not, and with non-ASCII letters escaped or not."""
        if self._wrapped and random_bool(self._rng, self._wrapped):
            message = self._messages.collected(message, at, self._next_correlation_id())
        escaped = random_bool(self._rng, 0.5)
        return json.dumps(message, ensure_ascii=escaped, separators=(",", ":")).encode()

    def _next_correlation_id(self) -> str:
        if not self._remaining_in_package:
            self._remaining_in_package = self._rng.randrange(1, _LARGEST_PACKAGE + 1)
            self._correlation_id = self._messages.new_id()
        self._remaining_in_package -= 1
        return self._correlation_id


def _id_of_message(message: dict[str, Any]) -> str:
    stamp = (message.get("headers") or message["attributes"])[MESSAGE_ID]
    return str(stamp["id"] if isinstance(stamp, dict) else stamp)


def _validate_arguments(n: int, shares: dict[str, float], start: datetime) -> None:
    if n < 0:
        raise ValueError(f"sample_events makes 0 or more records, not {n}")
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise ValueError(f"{name} is a share between 0 and 1, got {share}")
    resent = round(n * shares["duplicates"])
    if resent and n - round(n * shares["faults"]) - resent < 1:
        raise ValueError("faults and duplicates leave no good record that could be sent again; lower one of them")
    if start.tzinfo is None:
        raise ValueError(f"start must carry a time zone, got {start!r}; add one, e.g. tzinfo=UTC")


def _chosen_faults(kinds: Collection[str] | None) -> Sequence[Fault]:
    known = {fault.name: fault for fault in FAULTS}
    unknown = sorted(set(kinds or ()) - set(known))
    if unknown or (kinds is not None and not kinds):
        listed = ", ".join(known)
        raise ValueError(f"kinds must name some of these faults: {listed}; unknown: {', '.join(unknown) or 'none'}")
    return FAULTS if kinds is None else [known[name] for name in sorted(set(kinds))]
