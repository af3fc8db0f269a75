"""Whether all records of an object are accounted for: read = stored + duplicates + rejected + dropped."""

from __future__ import annotations

from collections.abc import Sequence

import attrs


@attrs.frozen
class SinkCount:
    """What one sink says of the records of an object: all that came to it, and of them duplicates and rejections."""

    records: int = 0
    duplicates: int = 0
    rejected: int = 0


@attrs.frozen
class ObjectAccount:
    """What became of the records of one version of an object.

    Attributes:
        bucket: of the object.
        key: of the object.
        etag: the version.
        records: read from it.
        dropped: left out on purpose, by `DropEvents`.
        dead_letters: written by `WriteRejected`.
        sinks: what each sink says, in the order in which `SettleObjects` was given them.
    """

    bucket: str
    key: str
    etag: str
    records: int
    dropped: int
    dead_letters: int
    sinks: tuple[SinkCount, ...]

    @property
    def rejected(self) -> int:
        """Records that were rejected; of one that two tables reject there are two dead letters."""
        return self._rejected_before + max((each.rejected for each in self.sinks), default=0)

    @property
    def duplicates(self) -> int:
        """Records that changed nothing, by the sink that knows of most; one that another sink rejects is rejected."""
        known = max((each.duplicates for each in self.sinks), default=0)
        return max(0, min(known, self.records - self.rejected - self.dropped))

    @property
    def stored(self) -> int:
        """Records that were new."""
        return self.records - self.rejected - self.dropped - self.duplicates

    @property
    def _rejected_before(self) -> int:
        return self.dead_letters - sum(each.rejected for each in self.sinks)

    def imbalance(self, names: Sequence[str]) -> str | None:
        """What does not add up, in words; None if all does.

        Each record reaches every sink, or is rejected or dropped before. What a sink itself rejects is among the dead
        letters, so of those the rest was rejected before.

        Args:
            names: of the sinks.
        """
        # 100 records, of which 3 were rejected before and 2 by the table: the store has 97, the table 97 with its 2.
        before = self._rejected_before
        faults = []
        for name, sink in zip(names, self.sinks, strict=True):
            missing = self.records - self.dropped - before - sink.records
            if missing:
                faults.append(
                    f"{name} has {sink.records} of them, {abs(missing)} too {'few' if missing > 0 else 'many'}"
                )
        if before < 0:
            faults.append(f"{-before} rejected rows have no dead letter")
        if not faults:
            return None
        return (
            f"{self.records} records were read, {before} rejected before, {self.dropped} dropped, but "
            f"{' and '.join(faults)}"
        )
