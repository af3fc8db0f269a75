"""What the checks of plugins share: rules, what was found to break them, and how that is told."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import attrs


@attrs.frozen
class BrokenRule:
    """A rule of the contract that does not hold.

    Attributes:
        rule: the rule's id.
        seen: what was seen, for the first event it was seen with.
        times: how often.
        advice: what to do about it.
    """

    rule: str
    seen: str
    times: int
    advice: str

    def __str__(self) -> str:
        more = f" (and {self.times - 1} more like it)" if self.times > 1 else ""
        return f"{self.rule}: {self.seen}{more}\n    What to do: {self.advice}"


class ContractError(AssertionError):
    """A plugin or enricher breaks rules of the contract; the message lists all of them.

    Args:
        subject: what was checked.
        broken: the rules that do not hold.
    """

    def __init__(self, subject: str, broken: Collection[BrokenRule]) -> None:
        super().__init__(subject, tuple(broken))
        self.subject = subject
        self.broken = tuple(broken)

    def __str__(self) -> str:
        count = len({each.rule for each in self.broken})
        rules = "1 rule" if count == 1 else f"{count} rules"
        return "\n".join((f"{self.subject} breaks {rules} of the contract", *(f"- {each}" for each in self.broken)))


class Findings:
    """Collects what breaks rules: the first case of each rule and culprit, and how many there were.

    Args:
        rules: each rule's id, and what to do where it does not hold.
    """

    def __init__(self, rules: Mapping[str, str]) -> None:
        self._rules = rules
        self._found: dict[tuple[str, str], BrokenRule] = {}

    def add(self, rule: str, seen: str, advice: str | None = None, *, culprit: str = "") -> None:
        """Notes that a rule does not hold; `culprit` breaks it, where several could."""
        self.note(BrokenRule(rule, seen, 1, advice or self._rules[rule]), culprit)

    def note(self, broken: BrokenRule, culprit: str = "") -> None:
        """Notes what was found to be broken."""
        first = self._found.get((broken.rule, culprit))
        known = broken if first is None else attrs.evolve(first, times=first.times + broken.times)
        self._found[broken.rule, culprit] = known

    def emptied(self) -> Findings:
        """The same rules, with nothing found."""
        return Findings(self._rules)

    def add_all(self, others: Findings) -> None:
        """Notes what others found."""
        for (_, culprit), broken in others._found.items():
            self.note(broken, culprit)

    def raise_for(self, subject: str, rules: Collection[str]) -> None:
        """Raises what was found.

        Raises:
            ContractError: one of these rules does not hold.
        """
        broken = [each for each in self._found.values() if each.rule in rules]
        if broken:
            order = list(self._rules)
            raise ContractError(subject, sorted(broken, key=lambda each: order.index(each.rule)))

    def __contains__(self, rule: str) -> bool:
        return any(rule == broken for broken, _ in self._found)
