"""Notes of what attempts at shares of a run have loaded, written in the transactions that loaded it.

An attempt that is killed after a commit cannot say what was new. The note can: it is there exactly if the rows are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from holded_pipeline.model.object_counts import ObjectVersion
from holded_pipeline.postgres.load_transaction import Cursor, LoadResult, NoteLoad

_ADD: Final = (
    "INSERT INTO pipeline_run_loads (run_id, attempt, step, inserted, updated, objects) VALUES (%s, %s, %s, %s, %s, %s)"
)


@attrs.frozen
class LoadNotes:
    """Writes the notes of one attempt.

    Args:
        run_id: the run.
        attempt: the name of the attempt.
        step: the label of the transform that loads.
    """

    run_id: str
    attempt: str
    step: str

    def write(self, cursor: Cursor, result: LoadResult, new: Mapping[ObjectVersion, int]) -> None:
        """Notes what is new of a transaction's rows; nothing if nothing is.

        Args:
            cursor: of the transaction.
            result: what became of the rows.
            new: rows that were inserted or updated, by the object that they were read from, as far as it is known.
        """
        if result.inserted + result.updated:
            objects = json.dumps([[*version, number] for version, number in new.items()])
            row = (self.run_id, self.attempt, self.step, result.inserted, result.updated, objects)
            cursor.execute(_ADD, row)


def noted_at(note: NoteLoad | None, positions: Sequence[int]) -> NoteLoad | None:
    """The same for lines that are at these positions of a larger batch."""
    if note is None:
        return None

    def note_at(cursor: Cursor, result: LoadResult, of_lines: Sequence[int]) -> None:
        note(cursor, result.at(positions), [positions[line] for line in of_lines])

    return note_at
