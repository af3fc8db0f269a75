"""The rows of a batch that PostgreSQL refuses, found on the server, and the others loaded: in one transaction.

The lines are staged as text, so that a bad number stops no COPY. Then the batch is bisected: each part is merged in a
sub-transaction that is rolled back again, until the bad rows stand alone; at last the good ones are merged together.
A trial gives its locks back at once, and the last merge takes its own in the order of their keys, so writers cannot
wait for each other in a circle. What is stored, and the summaries with it, is what one merge of the good rows makes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from holded_pipeline.clients.copy_lines import copy_lines
from holded_pipeline.clients.load_transaction import Cursor, Loaded
from holded_pipeline.clients.postgres_faults import OTHERS_CLASSES, ROW_CLASSES, ROW_CODES, VALUE_CODES, Said, refusal

_SINGLE_OUT = 8  # rows of a part that is refused which are tried one by one: where one is bad, others often are
_GOOD = "HP000"  # a SQLSTATE of nobody's, by which a trial rolls itself back

_SEARCH = """
DO {quote}
DECLARE
    holded_starts int[] := ARRAY[0];
    holded_ends int[] := ARRAY[{rows}];
    holded_lefts boolean[] := ARRAY[false];
    holded_top int := 1;
    holded_start int;
    holded_end int;
    holded_middle int;
    holded_left boolean;
    holded_refused boolean;
    holded_made bigint; holded_touched bigint;
    holded_sure boolean := true; -- the whole was refused already; so is the right half of a part whose left one passes
    holded_state text; holded_message text; holded_detail text;
    holded_table text; holded_column text; holded_constraint text;
    holded_where text;
BEGIN
    WHILE holded_top > 0 LOOP
        holded_start := holded_starts[holded_top];
        holded_end := holded_ends[holded_top];
        holded_left := holded_lefts[holded_top];
        holded_top := holded_top - 1;
        holded_refused := true;
        IF NOT holded_sure OR holded_end - holded_start = 1 THEN
            BEGIN
                {trial};
                RAISE EXCEPTION USING ERRCODE = '{good}';
            EXCEPTION WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS
                    holded_state := RETURNED_SQLSTATE, holded_message := MESSAGE_TEXT,
                    holded_detail := PG_EXCEPTION_DETAIL, holded_table := TABLE_NAME,
                    holded_column := COLUMN_NAME, holded_constraint := CONSTRAINT_NAME,
                    holded_where := PG_EXCEPTION_CONTEXT;
                holded_where := split_part(holded_where, E'\\n', 1);
                IF holded_state = '{good}' THEN
                    holded_refused := false;
                ELSIF NOT (
                    left(holded_state, 2) = ANY ('{classes}')
                    OR holded_state = ANY ('{codes}')
                    -- said by the trial itself of a value, not by a trigger
                    OR holded_state = ANY ('{value_codes}') AND holded_where LIKE '%WITH merged%'
                    OR left(holded_state, 2) <> ALL ('{others}') AND holded_where LIKE '%RAISE%'
                ) THEN
                    RAISE;
                ELSIF holded_end - holded_start = 1 THEN
                    INSERT INTO {faults} VALUES (
                        holded_start, holded_state, holded_message, holded_detail,
                        holded_table, holded_column, holded_constraint
                    );
                END IF;
            END;
        END IF;
        holded_sure := holded_left AND NOT holded_refused;
        IF holded_refused AND holded_end - holded_start > {single_out} THEN
            holded_middle := (holded_start + holded_end) / 2;
            holded_starts[holded_top + 1] := holded_middle;
            holded_ends[holded_top + 1] := holded_end;
            holded_lefts[holded_top + 1] := false;
            holded_starts[holded_top + 2] := holded_start;
            holded_ends[holded_top + 2] := holded_middle;
            holded_lefts[holded_top + 2] := true;
            holded_top := holded_top + 2;
        ELSIF holded_refused AND holded_end - holded_start > 1 THEN
            FOR holded_single IN REVERSE holded_end - 1 .. holded_start LOOP
                holded_top := holded_top + 1;
                holded_starts[holded_top] := holded_single;
                holded_ends[holded_top] := holded_single + 1;
                holded_lefts[holded_top] := false;
            END LOOP;
        END IF;
    END LOOP;
END {quote}"""


@attrs.frozen
class TextStaging:
    """The temporary tables of one set of columns: the lines as text, and what was wrong with some of them.

    Attributes:
        name: of the table of lines; that of the faults is made from it.
        target: the table they are for, quoted.
        columns: quoted.
        merge: makes the merge statement that takes its rows from what it is given, a FROM item.
    """

    name: str
    target: str
    columns: tuple[str, ...]
    merge: Callable[[str], str]

    @property
    def _faults(self) -> str:
        return f"{self.name}_faults"

    def load_good(self, cursor: Cursor, lines: Sequence[bytes]) -> Loaded:
        """Loads the rows that PostgreSQL takes, and tells about the others.

        Raises:
            psycopg.Error: also a row's fault, where rows are good one by one but not together.
        """
        texts = ", ".join(f"{column} text" for column in self.columns)
        cursor.execute(
            f"CREATE TEMPORARY TABLE IF NOT EXISTS {self.name} (holded_place int PRIMARY KEY, {texts}) "
            "ON COMMIT DELETE ROWS"
        )
        cursor.execute(
            f"CREATE TEMPORARY TABLE IF NOT EXISTS {self._faults} (place int, state text, message text, "
            "detail text, at_table text, at_column text, at_constraint text) ON COMMIT DELETE ROWS"
        )
        copy_lines(cursor, self.name, self.columns, lines)
        read = self._columns_as_typed(cursor)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(self._search(read, len(lines)))
        cursor.execute(f"SELECT * FROM {self._faults} ORDER BY place")
        refused = tuple((place, refusal(Said(*said))) for place, *said in cursor.fetchall())
        cursor.execute(
            self.merge(self._rows(read, f"NOT EXISTS (SELECT FROM {self._faults} WHERE place = holded_place)"))
        )
        inserted, touched = cursor.fetchone()
        return Loaded(inserted, touched - inserted, len(lines) - len(refused) - touched, refused)

    def _search(self, read: str, count: int) -> str:
        part = self._rows(read, "holded_place >= holded_start AND holded_place < holded_end")
        return _SEARCH.format(
            quote=f"${self.name}$",
            rows=count,
            trial=f"{self.merge(part)} INTO holded_made, holded_touched",
            good=_GOOD,
            classes=_array(ROW_CLASSES),
            codes=_array(ROW_CODES),
            value_codes=_array(VALUE_CODES),
            others=_array(OTHERS_CLASSES),
            faults=self._faults,
            single_out=_SINGLE_OUT,
        )

    def _rows(self, read: str, condition: str) -> str:
        return f"(SELECT holded_place, {read} FROM {self.name} WHERE {condition}) AS staged"

    def _columns_as_typed(self, cursor: Cursor) -> str:
        """The columns read as COPY would read them.

        A cast with a length would cut text off without a word, so lengths are left to the merge's assignment, and
        text of a domain, which may have a length of its own, is not cast at all.
        """
        cursor.execute(
            "SELECT '\"' || replace(attname, '\"', '\"\"') || '\"', format_type(atttypid, -1), "
            "typtype = 'd' AND typcategory = 'S' "
            "FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid WHERE attrelid = %s::regclass AND attnum > 0",
            (self.target,),
        )
        kinds = {name: None if is_text else kind for name, kind, is_text in cursor.fetchall()}
        return ", ".join(
            column if kinds.get(column) is None else f"{column}::{kinds[column]} AS {column}" for column in self.columns
        )


def _array(codes: Sequence[str]) -> str:
    return f"{{{','.join(codes)}}}"
