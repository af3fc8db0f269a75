"""The rows of a batch that PostgreSQL rejects, found on the server, and the other rows loaded: in one transaction.

The lines are staged as text, so a bad number does not stop the COPY. Then the batch is bisected: each range of rows is
merged in a sub-transaction that is rolled back again, until the bad rows are single; at last the good ones are merged
together. A trial releases its locks at once, and the last merge takes its own in the order of their keys, so writers
cannot deadlock. What is stored, the summaries included, is what one merge of the good rows stores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter

import attrs
import psycopg

from holded_pipeline.postgres.copy_lines import copy_lines
from holded_pipeline.postgres.load_transaction import Cursor, FindChanged, FindConflicts, LoadResult
from holded_pipeline.postgres.row_errors import Diagnostic, rejection_of, row_errors
from holded_pipeline.postgres.sqlstate import ErrorOrigin, classes_of, classify_error, classify_sqlstate, codes_of
from holded_pipeline.postgres.staging_table import duplicate_positions

_SINGLE_ROWS = 8  # a rejected range of up to so many rows is tried row by row: where one is bad, others often are
_TRIAL_PASSED = "HP000"  # a SQLSTATE that nothing else uses: a trial that passed raises it to roll itself back

# A stack of ranges [start, end) of positions, the left half on top. A range known to be bad is split without a trial.
#
# 32 rows, of which 3 and 20 are bad:
#   [0, 32)   known to be bad, since the ordinary load rejected it          -> split
#   [0, 16)   tried, rejected                                               -> split
#   [0, 8)    tried, rejected, no more than 8 rows                          -> each row tried: 3 is recorded
#   [8, 16)   tried, passes
#   [16, 32)  tried, rejected (its left neighbour was rejected, so nothing was known of it)   -> split
#   [16, 24)  tried, rejected, no more than 8 rows                          -> each row tried: 20 is recorded
#   [24, 32)  tried, passes
# Had [0, 16) passed, [16, 32) would be known to be bad.
_SEARCH = """
DO {quote}
DECLARE
    hp$starts int[] := ARRAY[0];
    hp$ends int[] := ARRAY[{rows}];
    hp$lefts boolean[] := ARRAY[false];
    hp$top int := 1;
    hp$start int;
    hp$end int;
    hp$middle int;
    hp$left boolean;
    hp$bad boolean;
    hp$inserted bigint; hp$touched bigint;
    hp$known boolean := true; -- bad without a trial: the whole batch, or a right half whose left half passed
    hp$state text; hp$message text; hp$detail text;
    hp$table text; hp$column text; hp$constraint text;
    hp$where text;
BEGIN
    WHILE hp$top > 0 LOOP
        hp$start := hp$starts[hp$top];
        hp$end := hp$ends[hp$top];
        hp$left := hp$lefts[hp$top];
        hp$top := hp$top - 1;
        hp$bad := true;
        IF NOT hp$known OR hp$end - hp$start = 1 THEN
            BEGIN
                {trial};
                RAISE EXCEPTION USING ERRCODE = '{passed}';
            EXCEPTION WHEN OTHERS OR ASSERT_FAILURE THEN -- not QUERY_CANCELED, which OTHERS omits too
                GET STACKED DIAGNOSTICS
                    hp$state := RETURNED_SQLSTATE, hp$message := MESSAGE_TEXT,
                    hp$detail := PG_EXCEPTION_DETAIL, hp$table := TABLE_NAME,
                    hp$column := COLUMN_NAME, hp$constraint := CONSTRAINT_NAME,
                    hp$where := PG_EXCEPTION_CONTEXT;
                hp$where := split_part(hp$where, E'\\n', 1);
                IF hp$state = '{passed}' THEN
                    hp$bad := false;
                ELSIF NOT (
                    left(hp$state, 2) = ANY ('{row_classes}')
                    OR hp$state = ANY ('{row_codes}')
                    -- of a value: raised by the trial itself, not by a trigger
                    OR left(hp$state, 2) = ANY ('{maybe_classes}') AND hp$where LIKE '%WITH merged%'
                    -- of any code that is not listed: a trigger's RAISE
                    OR left(hp$state, 2) <> ALL ('{other_classes}') AND hp$where LIKE '%RAISE%'
                ) THEN
                    RAISE;
                ELSIF hp$end - hp$start = 1 THEN
                    INSERT INTO {rejected} VALUES (
                        hp$start, hp$state, hp$message, hp$detail,
                        hp$table, hp$column, hp$constraint
                    );
                END IF;
            END;
        END IF;
        hp$known := hp$left AND NOT hp$bad;
        IF hp$bad AND hp$end - hp$start > {single_rows} THEN
            hp$middle := (hp$start + hp$end) / 2;
            hp$starts[hp$top + 1] := hp$middle;
            hp$ends[hp$top + 1] := hp$end;
            hp$lefts[hp$top + 1] := false;
            hp$starts[hp$top + 2] := hp$start;
            hp$ends[hp$top + 2] := hp$middle;
            hp$lefts[hp$top + 2] := true;
            hp$top := hp$top + 2;
        ELSIF hp$bad AND hp$end - hp$start > 1 THEN
            FOR hp$single IN REVERSE hp$end - 1 .. hp$start LOOP
                hp$top := hp$top + 1;
                hp$starts[hp$top] := hp$single;
                hp$ends[hp$top] := hp$single + 1;
                hp$lefts[hp$top] := false;
            END LOOP;
        END IF;
    END LOOP;
END {quote}"""


# Of each column: its name quoted, its name as a literal, its type, and whether a cast reads text as the type's input
# function does. A cast does for a type without a length that is no domain (a domain may have a length) and has no cast
# from text of its own; and for JSON and domains over JSON, where json_to_record would take text for a JSON string.
_COLUMN_TYPES = """
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
class TextStagingTable:
    """Temporary tables: the lines as text, and the errors of the rejected ones.

    Attributes:
        name: of the table of lines; the name of the table of errors is made from it.
        target: the table that the rows are for, quoted.
        columns: those that the lines fill, quoted.
        merge: makes the merge statement from the FROM item that its rows come from.
        find_conflicts: among the rows that were merged.
        find_changed: the rows that were inserted or updated; None if nobody asks which are duplicates.
    """

    name: str
    target: str
    columns: tuple[str, ...]
    merge: Callable[[str], str]
    find_conflicts: FindConflicts
    find_changed: FindChanged | None = None

    @property
    def _rejected(self) -> str:
        return f"{self.name}_rejected"

    @property
    def creates(self) -> str:
        """The statements that create them, at the beginning of a transaction."""
        texts = ", ".join(f"{column} text" for column in self.columns)
        return (
            f"CREATE TEMPORARY TABLE {self.name} (hp$position int PRIMARY KEY, {texts}) ON COMMIT DROP; "
            f"CREATE TEMPORARY TABLE {self._rejected} (position int, state text, message text, "
            "detail text, at_table text, at_column text, at_constraint text) ON COMMIT DROP"
        )

    def load_good_rows(self, cursor: Cursor, lines: Sequence[bytes]) -> LoadResult:
        """Loads the rows that PostgreSQL accepts, and returns the rejections of the others.

        The tables were created in this transaction.

        Raises:
            RowRejectedError: the rows are good one by one but not together, or the COPY failed.
            psycopg.Error: an error that comes from no row.
        """
        with row_errors(len(lines)):
            copy_lines(cursor, self.name, self.columns, lines)
        typed = self._typed_columns(cursor)
        # EXPLAIN fails for what is missing, and takes no row.
        cursor.execute("EXPLAIN " + self.merge(self._select_rows(typed, "true")))
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(self._search(typed, len(lines)))
        cursor.execute(f"SELECT * FROM {self._rejected} ORDER BY position")
        diagnostics = {position: Diagnostic(*fields) for position, *fields in cursor.fetchall()}
        if len(diagnostics) == len(lines):
            self._raise_setting_error(cursor, typed, diagnostics)
        good = self._select_rows(typed, f"NOT EXISTS (SELECT FROM {self._rejected} WHERE position = hp$position)")
        with row_errors(len(lines)):
            cursor.execute(self.merge(good))
            inserted, touched = cursor.fetchone()
            count = len(lines) - len(diagnostics)
            conflicts = self.find_conflicts(cursor, good) if touched < count else ()
            changed: frozenset[int] = frozenset()
            if touched < count and self.find_changed is not None:
                changed = self.find_changed(cursor, good)
        rejected = {position: rejection_of(diagnostic) for position, diagnostic in diagnostics.items()} | dict(
            conflicts
        )
        duplicates = count - touched - len(conflicts)
        found = duplicate_positions(range(len(lines)), changed | rejected.keys(), duplicates)
        by_position = tuple(sorted(rejected.items(), key=itemgetter(0)))
        return LoadResult(inserted, touched - inserted, duplicates, by_position, found)

    def _raise_setting_error(self, cursor: Cursor, typed: str, diagnostics: Mapping[int, Diagnostic]) -> None:
        """Where no row is good: raises the error of a setting, which the search took for one of each row.

        An error that may be a setting's, and is the same for all rows that have one of this kind, is provoked once
        more by one row, because the client sees more of it than the search does. A missing grant of a column's
        default is found like this; a policy that lets none of the rows in rejects them.
        """
        doubtful = {
            position: diagnostic
            for position, diagnostic in diagnostics.items()
            if classify_sqlstate(diagnostic.sqlstate) is ErrorOrigin.MAYBE_ROW
        }
        if len({(diagnostic.sqlstate, diagnostic.message) for diagnostic in doubtful.values()}) != 1:
            return
        row = self._select_rows(typed, f"hp$position = {min(doubtful)}")
        for statement, reading in ((f"SELECT staged FROM {row}", True), (self.merge(row), False)):
            try:
                with cursor.connection.transaction(force_rollback=True):
                    cursor.execute(statement)
            except psycopg.Error as error:
                if classify_error(error, reading=reading) is not ErrorOrigin.ROW:
                    raise
                return

    def _search(self, typed: str, count: int) -> str:
        rows = self._select_rows(typed, "hp$position >= hp$start AND hp$position < hp$end")
        return _SEARCH.format(
            quote=f"${self.name}$",
            rows=count,
            trial=f"{self.merge(rows)} INTO hp$inserted, hp$touched",
            passed=_TRIAL_PASSED,
            row_classes=_array(classes_of(ErrorOrigin.ROW)),
            row_codes=_array(codes_of(ErrorOrigin.ROW)),
            maybe_classes=_array(classes_of(ErrorOrigin.MAYBE_ROW)),
            other_classes=_array(classes_of(*set(ErrorOrigin) - {ErrorOrigin.ROW})),
            rejected=self._rejected,
            single_rows=_SINGLE_ROWS,
        )

    def _select_rows(self, typed: str, condition: str) -> str:
        return f"(SELECT hp$position, {typed} WHERE {condition}) AS staged"

    def _typed_columns(self, cursor: Cursor) -> str:
        """The columns and the FROM clause that read the texts as COPY reads them: by the types' input functions.

        A cast cuts text at a column's length without an error, and some types have casts of their own. Where neither
        is so, a cast costs less; and JSON needs one.
        """
        # Columns k int, v varchar(3) of the table of lines "holded_texts_1":
        #
        #   holded_texts_1."k"::integer AS "k", typed."v" FROM holded_texts_1,
        #   json_to_record(json_object(ARRAY['v'], ARRAY[holded_texts_1."v"])) AS typed ("v" character varying(3))
        cursor.execute(_COLUMN_TYPES, {"table": self.target})
        known = {column: (key, kind, cast) for column, key, kind, cast in cursor.fetchall()}
        known["hp$filled"] = ("'hp$filled'", "varbit", True)
        cast = [column for column in self.columns if known[column][2]]
        read = [column for column in self.columns if column not in cast]
        selected = [f"{self.name}.{column}::{known[column][1]} AS {column}" for column in cast]
        if not read:
            return f"{', '.join(selected)} FROM {self.name}"
        keys = ", ".join(known[column][0] for column in read)
        texts = ", ".join(f"{self.name}.{column}" for column in read)
        kinds = ", ".join(f"{column} {known[column][1]}" for column in read)
        return (
            f"{', '.join(selected + [f'typed.{column}' for column in read])} FROM {self.name}, "
            f"json_to_record(json_object(ARRAY[{keys}], ARRAY[{texts}])) AS typed ({kinds})"
        )


def _array(codes: Sequence[str]) -> str:
    return f"{{{','.join(codes)}}}"
