"""The rows of a batch that PostgreSQL refuses, found on the server, and the others loaded: in one transaction.

The lines are staged as text, so that a bad number stops no COPY. Then the batch is bisected: each part is merged in a
sub-transaction that is rolled back again, until the bad rows stand alone; at last the good ones are merged together.
A trial gives its locks back at once, and the last merge takes its own in the order of their keys, so writers cannot
wait for each other in a circle. What is stored, and the summaries with it, is what one merge of the good rows makes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs
import psycopg

from holded_pipeline.postgres.copy_lines import copy_lines
from holded_pipeline.postgres.load_transaction import Cursor, Loaded
from holded_pipeline.postgres.row_errors import (
    OTHERS_CLASSES,
    ROW_CLASSES,
    ROW_CODES,
    VALUE_CLASSES,
    Diagnostic,
    ErrorOrigin,
    classify_error,
    refusal,
    row_errors,
)

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
            EXCEPTION WHEN OTHERS OR ASSERT_FAILURE THEN -- not QUERY_CANCELED, which OTHERS leaves out too
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
                    OR left(holded_state, 2) = ANY ('{value_classes}') AND holded_where LIKE '%WITH merged%'
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


# The columns, their names as literals, their types, and whether a cast reads text as their input function does: it has
# no length, is no domain, which may have one, and there is no cast of the type's own. And JSON, or a domain over it.
_TYPES = """
WITH RECURSIVE bases (number, type) AS (
    SELECT attnum, atttypid FROM pg_attribute WHERE attrelid = %(table)s::regclass AND attnum > 0
    UNION ALL
    SELECT number, typbasetype FROM bases JOIN pg_type ON pg_type.oid = type WHERE typtype = 'd'
)
SELECT '"' || replace(attname, '"', '""') || '"', quote_literal(attname), format_type(atttypid, atttypmod),
    atttypmod = -1 AND typtype <> 'd' AND NOT EXISTS (
        SELECT FROM pg_cast WHERE castsource = 'text'::regtype AND casttarget = atttypid AND castmethod = 'f'
    ) OR EXISTS (
        SELECT FROM bases WHERE number = attnum AND type IN ('json'::regtype, 'jsonb'::regtype)
    )
FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid
WHERE attrelid = %(table)s::regclass AND attnum > 0 AND NOT attisdropped"""


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
        with row_errors(len(lines)):
            copy_lines(cursor, self.name, self.columns, lines)
        read = self._read(cursor)
        cursor.execute("EXPLAIN " + self.merge(self._rows(read, "true")))  # fails for what is missing, and takes no row
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(self._search(read, len(lines)))
        cursor.execute(f"SELECT * FROM {self._faults} ORDER BY place")
        faults = {place: Diagnostic(*said) for place, *said in cursor.fetchall()}
        if len(faults) == len(lines):
            self._ask_again(cursor, read, faults)
        good = self._rows(read, f"NOT EXISTS (SELECT FROM {self._faults} WHERE place = holded_place)")
        with row_errors(len(lines)):
            cursor.execute(self.merge(good))
            inserted, touched = cursor.fetchone()
        refused = tuple((place, refusal(said)) for place, said in faults.items())
        return Loaded(inserted, touched - inserted, len(lines) - len(refused) - touched, refused)

    def _ask_again(self, cursor: Cursor, read: str, faults: Mapping[int, Diagnostic]) -> None:
        """Where no row is good: what may be a setting's fault, and is said of all rows that it is said of, is raised.

        So is a grant that a column's default lacks, but not a policy that lets none of the rows in: the search does
        not see which of them spoke.
        """
        doubtful = {place: said for place, said in faults.items() if said.state.startswith(VALUE_CLASSES)}
        if len({(said.state, said.message) for said in doubtful.values()}) != 1:
            return
        row = self._rows(read, f"holded_place = {min(doubtful)}")
        for statement, reading in ((f"SELECT staged FROM {row}", True), (self.merge(row), False)):
            try:
                with cursor.connection.transaction(force_rollback=True):
                    cursor.execute(statement)
            except psycopg.Error as error:
                if classify_error(error, reading=reading) is not ErrorOrigin.ROW:
                    raise
                return

    def _search(self, read: str, count: int) -> str:
        part = self._rows(read, "holded_place >= holded_start AND holded_place < holded_end")
        return _SEARCH.format(
            quote=f"${self.name}$",
            rows=count,
            trial=f"{self.merge(part)} INTO holded_made, holded_touched",
            good=_GOOD,
            classes=_array(ROW_CLASSES),
            codes=_array(ROW_CODES),
            value_classes=_array(VALUE_CLASSES),
            others=_array(OTHERS_CLASSES),
            faults=self._faults,
            single_out=_SINGLE_OUT,
        )

    def _rows(self, read: str, condition: str) -> str:
        return f"(SELECT holded_place, {read} WHERE {condition}) AS staged"

    def _read(self, cursor: Cursor) -> str:
        """What selects the columns, read as COPY reads them: by the input functions of their types, with their lengths.

        A cast cuts text off at a length without a word, and some types have casts of their own. Where there is neither
        it costs less; and JSON would be taken for a string otherwise.
        """
        cursor.execute(_TYPES, {"table": self.target})
        known = {column: (key, kind, cast) for column, key, kind, cast in cursor.fetchall()}
        cast = [column for column in self.columns if known[column][2]]
        read = [column for column in self.columns if column not in cast]
        chosen = [f"{self.name}.{column}::{known[column][1]} AS {column}" for column in cast]
        if not read:
            return f"{', '.join(chosen)} FROM {self.name}"
        keys = ", ".join(known[column][0] for column in read)
        texts = ", ".join(f"{self.name}.{column}" for column in read)
        kinds = ", ".join(f"{column} {known[column][1]}" for column in read)
        return (
            f"{', '.join(chosen + [f'typed.{column}' for column in read])} FROM {self.name}, "
            f"json_to_record(json_object(ARRAY[{keys}], ARRAY[{texts}])) AS typed ({kinds})"
        )


def _array(codes: Sequence[str]) -> str:
    return f"{{{','.join(codes)}}}"
