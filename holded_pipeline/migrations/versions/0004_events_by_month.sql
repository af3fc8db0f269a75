-- FROZEN: this file belongs to revision 0004, which is released. Databases out there were made by it, so it is never
-- edited. To change a trigger or a function, add a new migration to this folder.
--
-- business_events as a table that is partitioned by the month of occurred_at, in UTC.
--
-- A unique index of a partitioned table has the partition key in it. So the primary key is (event_id, occurred_at), and
-- it does not keep an id from being stored in two months. business_event_ids does: one row for each id, written by
-- triggers in the transaction of the statement that writes the events, whoever runs it. The same event always has the
-- same time, so a repeated event meets the primary key; another event with a known id meets business_event_ids.
--
-- Locks are taken in one order: rows of business_events, rows of business_event_ids, then the summaries. Triggers run in
-- the order of their names, and holded_event_ids_... comes before holded_events_...

-- Readers wait, too: a weaker lock that becomes this one later may deadlock after all the rows are copied.
LOCK TABLE business_events IN ACCESS EXCLUSIVE MODE;

SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

ALTER TABLE business_events RENAME TO holded_events_before;

CREATE TABLE business_events (LIKE holded_events_before INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING COMMENTS)
PARTITION BY RANGE (occurred_at);

-- What belongs to no month that has a partition: events of long ago and of a far future. Nothing is refused for its time.
CREATE TABLE business_events_other PARTITION OF business_events DEFAULT;

-- A statement that names a partition runs no trigger of business_events: it is refused, so that ids and summaries stay
-- right. Rows that are routed to a partition are not concerned.
CREATE FUNCTION holded_partition_written() RETURNS trigger
LANGUAGE plpgsql AS $$ BEGIN
    IF current_setting('holded_pipeline.moves_rows', true) IS DISTINCT FROM 'on' THEN
        RAISE EXCEPTION '% is a partition of business_events, and is not written directly', TG_TABLE_NAME
            USING ERRCODE = 'object_not_in_prerequisite_state',
                HINT = 'Write to business_events: its triggers keep the ids unique and the summaries right.';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER holded_partition_written BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON business_events_other
FOR EACH STATEMENT EXECUTE FUNCTION holded_partition_written();

-- Makes the partition of a month if there is none, and moves its rows there from business_events_other.
-- Writers and readers of business_events go on; those of business_events_other wait.
CREATE FUNCTION holded_add_month(month timestamptz) RETURNS boolean
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
        'CREATE TABLE %I (LIKE business_events INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)', part
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

-- Makes the partitions of this month and of the next three; with "stored", also those of the months of the rows in a
-- table, from ten years ago to a year from now. So no time that somebody sends makes thousands of partitions.
CREATE FUNCTION holded_add_months(stored regclass DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql SET search_path FROM CURRENT SET timezone TO 'UTC' SET datestyle TO 'ISO, YMD' AS $$
DECLARE
    this_month timestamptz := date_trunc('month', now());
    month timestamptz;
    made integer := 0;
BEGIN
    FOR month IN SELECT generate_series(this_month, this_month + interval '3 months', interval '1 month') LOOP
        made := made + holded_add_month(month)::int;
    END LOOP;
    IF stored IS NOT NULL THEN
        FOR month IN EXECUTE format(
            'SELECT DISTINCT date_trunc(''month'', occurred_at) FROM %s WHERE occurred_at >= %L AND occurred_at < %L '
            'ORDER BY 1', stored, this_month - interval '10 years', this_month + interval '13 months'
        ) LOOP
            made := made + holded_add_month(month)::int;
        END LOOP;
    END IF;
    RETURN made;
END $$;

SELECT holded_add_months('holded_events_before');

INSERT INTO business_events SELECT * FROM holded_events_before;

-- Who may do what to the table stays; who may read it may read the ids, which a load does.
CREATE TABLE business_event_ids (event_id text NOT NULL, occurred_at timestamptz NOT NULL);
DO $$
DECLARE
    grants record;
BEGIN
    FOR grants IN
        SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END AS name, privilege_type AS privilege,
            CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END AS options
        FROM pg_class CROSS JOIN LATERAL aclexplode(relacl)
        WHERE oid = 'holded_events_before'::regclass AND grantee <> relowner
    LOOP
        EXECUTE format('GRANT %s ON business_events TO %s%s', grants.privilege, grants.name, grants.options);
        IF grants.privilege = 'SELECT' THEN
            EXECUTE format('GRANT SELECT ON business_event_ids TO %s%s', grants.name, grants.options);
        END IF;
    END LOOP;
END $$;

DROP TABLE holded_events_before;

ALTER TABLE business_events ADD CONSTRAINT business_events_pkey PRIMARY KEY (event_id, occurred_at);
CREATE INDEX ix_business_events_company_id ON business_events (company_id, occurred_at);
CREATE INDEX ix_business_events_occurred_at ON business_events (occurred_at);
CREATE INDEX ix_business_events_business_context ON business_events (business_context);
CREATE INDEX ix_business_events_data_quality_score ON business_events (data_quality_score);

INSERT INTO business_event_ids SELECT event_id, occurred_at FROM business_events;
ALTER TABLE business_event_ids ADD CONSTRAINT business_event_ids_pkey PRIMARY KEY (event_id);

ANALYZE business_events, business_event_ids;

-- An id that is there already has the row's own time where a partition was dropped without its ids. With another time it
-- is the id of another row. What others have committed meanwhile is seen by the second statement of a function.
CREATE FUNCTION holded_refuse_event_id(taken text) RETURNS void
LANGUAGE plpgsql AS $$ BEGIN
    RAISE unique_violation USING
        MESSAGE = 'duplicate key value violates unique constraint "business_event_ids_pkey"',
        DETAIL = format('Key (event_id)=(%s) already exists.', taken),
        TABLE = 'business_events', CONSTRAINT = 'business_event_ids_pkey';
END $$;

CREATE FUNCTION holded_event_ids_inserted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    added bigint;
BEGIN
    INSERT INTO business_event_ids (event_id, occurred_at)
    SELECT event_id, occurred_at FROM came ORDER BY event_id
    ON CONFLICT (event_id) DO NOTHING;
    GET DIAGNOSTICS added = ROW_COUNT;
    IF added < (SELECT count(*) FROM came) THEN
        PERFORM holded_refuse_event_id(min(event_id))
        FROM came LEFT JOIN business_event_ids AS known USING (event_id, occurred_at)
        WHERE known.event_id IS NULL HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION holded_event_ids_updated() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$ BEGIN
    DELETE FROM business_event_ids AS known
    USING (SELECT event_id, occurred_at FROM went EXCEPT SELECT event_id, occurred_at FROM came) AS gone
    WHERE known.event_id = gone.event_id AND known.occurred_at = gone.occurred_at;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO business_event_ids (event_id, occurred_at)
    SELECT event_id, occurred_at FROM came EXCEPT SELECT event_id, occurred_at FROM went ORDER BY event_id
    ON CONFLICT (event_id) DO NOTHING;
    PERFORM holded_refuse_event_id(min(event_id))
    FROM came LEFT JOIN business_event_ids AS known USING (event_id, occurred_at)
    WHERE known.event_id IS NULL HAVING count(*) > 0;
    RETURN NULL;
END $$;

CREATE FUNCTION holded_event_ids_deleted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$ BEGIN
    DELETE FROM business_event_ids AS known USING went
    WHERE known.event_id = went.event_id AND known.occurred_at = went.occurred_at;
    RETURN NULL;
END $$;

-- TRUNCATE business_events runs the triggers of the partitions, too.
CREATE FUNCTION holded_event_ids_truncated() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$ BEGIN
    IF TG_WHEN = 'BEFORE' THEN
        PERFORM set_config('holded_pipeline.moves_rows', 'on', true);
    ELSE
        PERFORM set_config('holded_pipeline.moves_rows', 'off', true);
        TRUNCATE business_event_ids;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER holded_event_ids_inserted AFTER INSERT ON business_events REFERENCING NEW TABLE AS came
FOR EACH STATEMENT EXECUTE FUNCTION holded_event_ids_inserted();

CREATE TRIGGER holded_event_ids_updated AFTER UPDATE ON business_events REFERENCING OLD TABLE AS went NEW TABLE AS came
FOR EACH STATEMENT EXECUTE FUNCTION holded_event_ids_updated();

CREATE TRIGGER holded_event_ids_deleted AFTER DELETE ON business_events REFERENCING OLD TABLE AS went
FOR EACH STATEMENT EXECUTE FUNCTION holded_event_ids_deleted();

CREATE TRIGGER holded_event_ids_truncates BEFORE TRUNCATE ON business_events
FOR EACH STATEMENT EXECUTE FUNCTION holded_event_ids_truncated();

CREATE TRIGGER holded_event_ids_truncated AFTER TRUNCATE ON business_events
FOR EACH STATEMENT EXECUTE FUNCTION holded_event_ids_truncated();

-- The triggers of revision 0001, which the old table had.
CREATE TRIGGER holded_events_inserted AFTER INSERT ON business_events REFERENCING NEW TABLE AS came
FOR EACH STATEMENT EXECUTE FUNCTION holded_events_inserted();

CREATE TRIGGER holded_events_updated AFTER UPDATE ON business_events REFERENCING OLD TABLE AS went NEW TABLE AS came
FOR EACH STATEMENT EXECUTE FUNCTION holded_events_updated();

CREATE TRIGGER holded_events_deleted AFTER DELETE ON business_events REFERENCING OLD TABLE AS went
FOR EACH STATEMENT EXECUTE FUNCTION holded_events_deleted();

CREATE TRIGGER holded_events_truncated AFTER TRUNCATE ON business_events
FOR EACH STATEMENT EXECUTE FUNCTION holded_events_truncated();
