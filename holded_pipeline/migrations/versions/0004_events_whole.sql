-- FROZEN: this file belongs to revision 0004, which is released; see 0004_events_by_month.sql.
--
-- One table again.

LOCK TABLE business_events IN ACCESS EXCLUSIVE MODE;

SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

ALTER TABLE business_events RENAME TO holded_events_before;

CREATE TABLE business_events (LIKE holded_events_before INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING COMMENTS);

INSERT INTO business_events SELECT * FROM holded_events_before;

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
    END LOOP;
END $$;

DROP TABLE holded_events_before;
DROP TABLE business_event_ids;
DROP FUNCTION holded_event_ids_inserted();
DROP FUNCTION holded_event_ids_updated();
DROP FUNCTION holded_event_ids_deleted();
DROP FUNCTION holded_event_ids_truncated();
DROP FUNCTION holded_refuse_event_id(text);
DROP FUNCTION holded_add_months(regclass);
DROP FUNCTION holded_add_month(timestamptz);
DROP FUNCTION holded_partition_written();

ALTER TABLE business_events ADD CONSTRAINT business_events_pkey PRIMARY KEY (event_id);
CREATE INDEX ix_business_events_company_id ON business_events (company_id, occurred_at);
CREATE INDEX ix_business_events_occurred_at ON business_events (occurred_at);
CREATE INDEX ix_business_events_business_context ON business_events (business_context);
CREATE INDEX ix_business_events_data_quality_score ON business_events (data_quality_score);

CREATE TRIGGER holded_events_inserted AFTER INSERT ON business_events REFERENCING NEW TABLE AS came
FOR EACH STATEMENT EXECUTE FUNCTION holded_events_inserted();

CREATE TRIGGER holded_events_updated AFTER UPDATE ON business_events REFERENCING OLD TABLE AS went NEW TABLE AS came
FOR EACH STATEMENT EXECUTE FUNCTION holded_events_updated();

CREATE TRIGGER holded_events_deleted AFTER DELETE ON business_events REFERENCING OLD TABLE AS went
FOR EACH STATEMENT EXECUTE FUNCTION holded_events_deleted();

CREATE TRIGGER holded_events_truncated AFTER TRUNCATE ON business_events
FOR EACH STATEMENT EXECUTE FUNCTION holded_events_truncated();
