-- FROZEN: this file belongs to revisions 0005 and 0006, which are released. Databases out there were made by it, so it
-- is never edited. To change the storage or the function again, add a new migration to this folder.
--
-- Rows of up to 4,080 bytes are stored as they are. Without this PostgreSQL compresses the documents of each row of more
-- than 2,040 bytes, which most events with their metadata have: a quarter of what it spends on a load, to make the table
-- a fifth smaller. Longer rows are compressed as before, and rows that are stored already stay as they are.
--
-- It may run twice: in the main line, and for events that are partitioned later.

SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- A value that somebody has set stays, and so do partitions of another owner.
DO $$
DECLARE
    part regclass;
BEGIN
    FOR part IN
        SELECT oid FROM pg_class
        WHERE oid IN (SELECT 'business_events'::regclass UNION SELECT relid FROM pg_partition_tree('business_events'))
            AND relkind = 'r' AND pg_has_role(relowner, 'USAGE')
            AND coalesce(array_to_string(reloptions, ','), '') NOT LIKE '%toast_tuple_target%'
    LOOP
        EXECUTE format('ALTER TABLE %s SET (toast_tuple_target = 4080)', part);
    END LOOP;
END $$;

-- holded_add_month of revision 0004, whose partitions now have the setting, too.
DO $outer$ BEGIN
IF to_regprocedure('holded_add_month(timestamptz)') IS NOT NULL THEN
CREATE OR REPLACE FUNCTION holded_add_month(month timestamptz) RETURNS boolean
LANGUAGE plpgsql SET search_path FROM CURRENT SET timezone TO 'UTC' SET datestyle TO 'ISO, YMD' AS $$
DECLARE
    first_day timestamptz := date_trunc('month', month);
    next_day timestamptz := date_trunc('month', month) + interval '1 month';
    part text := 'business_events_' || to_char(date_trunc('month', month), 'YYYY_MM');
BEGIN
    IF to_regclass(quote_ident(current_schema()) || '.' || part) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- In the order in which ATTACH takes them. The default partition may have rows of the month, and must get no more.
    LOCK TABLE ONLY business_events IN SHARE UPDATE EXCLUSIVE MODE;
    LOCK TABLE business_events_other IN ACCESS EXCLUSIVE MODE;
    EXECUTE format(
        'CREATE TABLE %I (LIKE business_events INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE) '
        'WITH (toast_tuple_target = 4080)', part
    );
    PERFORM set_config('holded_pipeline.moves_rows', 'on', true);
    EXECUTE format(
        'WITH moved AS (DELETE FROM business_events_other WHERE occurred_at >= %L AND occurred_at < %L RETURNING *) '
        'INSERT INTO %I SELECT * FROM moved', first_day, next_day, part
    );
    PERFORM set_config('holded_pipeline.moves_rows', 'off', true);
    EXECUTE format(
        'ALTER TABLE business_events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', part, first_day, next_day
    );
    EXECUTE format(
        'CREATE TRIGGER holded_partition_written BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %I '
        'FOR EACH STATEMENT EXECUTE FUNCTION holded_partition_written()', part
    );
    RETURN true;
END $$;
END IF;
END $outer$;
