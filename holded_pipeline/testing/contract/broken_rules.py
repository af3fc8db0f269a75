"""The broken rules that the checks of plugins collect, and the error that reports them."""

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


class BrokenRules:
    """Collects broken rules: the first case of each rule and component, and the number of cases.

    Args:
        advice: the id of each rule, and what to do where it does not hold.
    """

    def __init__(self, advice: Mapping[str, str]) -> None:
        self._advice = advice
        self._collected: dict[tuple[str, str], BrokenRule] = {}

    def add(self, rule: str, seen: str, advice: str | None = None, *, component: str = "") -> None:
        """Adds one case; `component` is the part of a plugin that breaks the rule."""
        self.add_broken(BrokenRule(rule, seen, 1, advice or self._advice[rule]), component)

    def add_broken(self, broken: BrokenRule, component: str = "") -> None:
        """Adds a broken rule with all its cases."""
        first = self._collected.get((broken.rule, component))
        known = broken if first is None else attrs.evolve(first, times=first.times + broken.times)
        self._collected[broken.rule, component] = known

    def empty_copy(self) -> BrokenRules:
        """A collection for the same rules, with no cases."""
        return BrokenRules(self._advice)

    def merge(self, other: BrokenRules) -> None:
        """Adds what another collection has."""
        for (_, component), broken in other._collected.items():
            self.add_broken(broken, component)

    def raise_if_any(self, subject: str, rules: Collection[str]) -> None:
        """Raises an error if one of these rules is broken.

        Raises:
            ContractError: one of these rules does not hold.
        """
        broken = [each for each in self._collected.values() if each.rule in rules]
        if broken:
            order = list(self._advice)
            raise ContractError(subject, sorted(broken, key=lambda each: order.index(each.rule)))

    def __contains__(self, rule: str) -> bool:
        return any(rule == broken for broken, _ in self._collected)
