-- FROZEN: this file belongs to revision 0001, which is released. Databases out there were made by it, so it is never
-- edited; lines and spaces within the functions are part of what the databases hold. To change a trigger, add a new
-- migration to this folder.
--
-- The triggers that keep company_analytics and event_type_summaries right.
--
-- They run once per statement, over all its rows, in its transaction. Each takes the rows that the statement removed
-- (went) and the rows that it added (came) as deltas with a sign, so a statement costs what it changes and not what is
-- stored. Summary rows are locked in the order of their keys, companies first, so two writers cannot deadlock.
--
-- Example: an UPDATE that changes company_id of one event of type t from c1 to c2 makes two deltas, (t, c1, -1) and
-- (t, c2, +1). company_analytics: c1 loses an event, c2 gains one. event_type_summaries: the count of t stays.
--
-- The earliest and the latest time cannot be computed from deltas when the row that held them is removed. Only then are
-- they read from business_events again, by a statement of its own after the summary row is locked. By then any other
-- writer of that company has either committed, and is seen, or waits for the lock and applies its own times afterwards.

-- The search path of this transaction, and thereby of the functions: the tables of a writer's own session (pg_temp)
-- come last.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- Adds counts by context: {"wallet": 2, "other": 1} + {"wallet": -2, "loans": 1} = {"other": 1, "loans": 1}.
CREATE FUNCTION holded_add_contexts(stored jsonb, change jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(jsonb_object_agg(context, events), '{}'::jsonb)
    FROM (
        SELECT key AS context, sum(value::bigint) AS events
        FROM (SELECT * FROM jsonb_each_text(stored) UNION ALL SELECT * FROM jsonb_each_text(change)) AS counts
        GROUP BY key
        HAVING sum(value::bigint) <> 0
    ) AS added
$$;

-- SET search_path FROM CURRENT keeps the search path of the migration, so writers with another one find the tables.
-- SECURITY DEFINER: a user who may write events need not be granted the summaries.
-- A company is new to a type when its count was 0 before, and gone from it when its count is 0 afterwards.
CREATE FUNCTION holded_events_inserted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$ BEGIN 
    WITH deltas AS (SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, 1 AS sign FROM came),
    by_context AS (
        SELECT company_id, business_context, sum(sign) AS events FROM deltas GROUP BY company_id, business_context
    ),
    contexts AS (
        SELECT company_id, jsonb_object_agg(business_context, events) AS change FROM by_context GROUP BY company_id
    ),
    change AS (SELECT company_id, 
        sum(sign) AS events,
        coalesce(sum(sign) FILTER (WHERE score IS NOT NULL), 0) AS scored,
        coalesce(sum(sign * score), 0) AS quality,
        min(occurred_at) FILTER (WHERE sign > 0) AS first_came,
        max(occurred_at) FILTER (WHERE sign > 0) AS last_came FROM deltas GROUP BY company_id)
    INSERT INTO company_analytics AS stored (
        company_id, total_events, first_event_at, last_event_at, business_contexts, scored_events, quality_sum
    )
    SELECT company_id, events, first_came, last_came, contexts.change, scored, quality
    FROM change JOIN contexts USING (company_id)
    ORDER BY company_id
    ON CONFLICT (company_id) DO UPDATE SET
        total_events = stored.total_events + excluded.total_events,
        first_event_at = least(stored.first_event_at, excluded.first_event_at),
        last_event_at = greatest(stored.last_event_at, excluded.last_event_at),
        business_contexts = holded_add_contexts(stored.business_contexts, excluded.business_contexts),
        scored_events = stored.scored_events + excluded.scored_events,
        quality_sum = stored.quality_sum + excluded.quality_sum,
        updated_at = clock_timestamp();
    WITH deltas AS (SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, 1 AS sign FROM came),
    change AS (SELECT event_type, 
        sum(sign) AS events,
        coalesce(sum(sign) FILTER (WHERE score IS NOT NULL), 0) AS scored,
        coalesce(sum(sign * score), 0) AS quality,
        min(occurred_at) FILTER (WHERE sign > 0) AS first_came,
        max(occurred_at) FILTER (WHERE sign > 0) AS last_came FROM deltas GROUP BY event_type)
    INSERT INTO event_type_summaries AS stored (
        event_type, total_count, unique_companies, last_occurrence, scored_events, quality_sum
    )
    SELECT event_type, events, 0, last_came, scored, quality FROM change ORDER BY event_type
    ON CONFLICT (event_type) DO UPDATE SET
        total_count = stored.total_count + excluded.total_count,
        last_occurrence = greatest(stored.last_occurrence, excluded.last_occurrence),
        scored_events = stored.scored_events + excluded.scored_events,
        quality_sum = stored.quality_sum + excluded.quality_sum,
        updated_at = clock_timestamp();
    WITH deltas AS (SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, 1 AS sign FROM came),
    change AS (
        SELECT event_type, company_id, sum(sign) AS events FROM deltas
        GROUP BY event_type, company_id HAVING sum(sign) <> 0
    ),
    counted AS (
        INSERT INTO event_type_companies AS stored (event_type, company_id, events)
        SELECT event_type, company_id, events FROM change ORDER BY event_type, company_id
        ON CONFLICT (event_type, company_id) DO UPDATE SET events = stored.events + excluded.events
        RETURNING stored.event_type, stored.company_id, stored.events
    ),
    companies AS (
        SELECT event_type,
            count(*) FILTER (WHERE counted.events = change.events) - count(*) FILTER (WHERE counted.events = 0) AS more
        FROM counted JOIN change USING (event_type, company_id)
        GROUP BY event_type
    )
    UPDATE event_type_summaries AS stored SET unique_companies = stored.unique_companies + more
    FROM companies WHERE stored.event_type = companies.event_type AND more <> 0; RETURN NULL; END $$;

-- EXCEPT ALL: rows whose summarised columns the update did not change cancel out.
CREATE FUNCTION holded_events_updated() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$ BEGIN 
    WITH deltas AS (
    (SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, 1 AS sign FROM came EXCEPT ALL SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, 1 FROM went)
    UNION ALL
    (SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, -1 AS sign FROM went EXCEPT ALL SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, -1 FROM came)),
    by_context AS (
        SELECT company_id, business_context, sum(sign) AS events FROM deltas GROUP BY company_id, business_context
    ),
    contexts AS (
        SELECT company_id, jsonb_object_agg(business_context, events) AS change FROM by_context GROUP BY company_id
    ),
    change AS (SELECT company_id, 
        sum(sign) AS events,
        coalesce(sum(sign) FILTER (WHERE score IS NOT NULL), 0) AS scored,
        coalesce(sum(sign * score), 0) AS quality,
        min(occurred_at) FILTER (WHERE sign > 0) AS first_came,
        max(occurred_at) FILTER (WHERE sign > 0) AS last_came FROM deltas GROUP BY company_id)
    INSERT INTO company_analytics AS stored (
        company_id, total_events, first_event_at, last_event_at, business_contexts, scored_events, quality_sum
    )
    SELECT company_id, events, first_came, last_came, contexts.change, scored, quality
    FROM change JOIN contexts USING (company_id)
    ORDER BY company_id
    ON CONFLICT (company_id) DO UPDATE SET
        total_events = stored.total_events + excluded.total_events,
        first_event_at = least(stored.first_event_at, excluded.first_event_at),
        last_event_at = greatest(stored.last_event_at, excluded.last_event_at),
        business_contexts = holded_add_contexts(stored.business_contexts, excluded.business_contexts),
        scored_events = stored.scored_events + excluded.scored_events,
        quality_sum = stored.quality_sum + excluded.quality_sum,
        updated_at = clock_timestamp();
    WITH deltas AS (
    (SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, 1 AS sign FROM came EXCEPT ALL SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, 1 FROM went)
    UNION ALL
    (SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, -1 AS sign FROM went EXCEPT ALL SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, -1 FROM came)),
    gone AS (
        SELECT company_id, min(occurred_at) AS first_went, max(occurred_at) AS last_went
        FROM deltas WHERE sign < 0 GROUP BY company_id
    ),
    affected AS (
        SELECT company_id FROM company_analytics JOIN gone USING (company_id)
        WHERE total_events > 0 AND (first_went <= first_event_at OR last_went >= last_event_at)
    ),
    times AS (
        SELECT company_id, min(occurred_at) AS first_at, max(occurred_at) AS last_at
        FROM business_events JOIN affected USING (company_id) GROUP BY company_id
    )
    UPDATE company_analytics AS stored SET first_event_at = first_at, last_event_at = last_at
    FROM times WHERE stored.company_id = times.company_id;

    WITH deltas AS (
    (SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, 1 AS sign FROM came EXCEPT ALL SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, 1 FROM went)
    UNION ALL
    (SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, -1 AS sign FROM went EXCEPT ALL SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, -1 FROM came))
    DELETE FROM company_analytics
    WHERE total_events = 0 AND company_id IN (SELECT company_id FROM deltas WHERE sign < 0);
    WITH deltas AS (
    (SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, 1 AS sign FROM came EXCEPT ALL SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, 1 FROM went)
    UNION ALL
    (SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, -1 AS sign FROM went EXCEPT ALL SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, -1 FROM came)),
    change AS (SELECT event_type, 
        sum(sign) AS events,
        coalesce(sum(sign) FILTER (WHERE score IS NOT NULL), 0) AS scored,
        coalesce(sum(sign * score), 0) AS quality,
        min(occurred_at) FILTER (WHERE sign > 0) AS first_came,
        max(occurred_at) FILTER (WHERE sign > 0) AS last_came FROM deltas GROUP BY event_type)
    INSERT INTO event_type_summaries AS stored (
        event_type, total_count, unique_companies, last_occurrence, scored_events, quality_sum
    )
    SELECT event_type, events, 0, last_came, scored, quality FROM change ORDER BY event_type
    ON CONFLICT (event_type) DO UPDATE SET
        total_count = stored.total_count + excluded.total_count,
        last_occurrence = greatest(stored.last_occurrence, excluded.last_occurrence),
        scored_events = stored.scored_events + excluded.scored_events,
        quality_sum = stored.quality_sum + excluded.quality_sum,
        updated_at = clock_timestamp();
    WITH deltas AS (
    (SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, 1 AS sign FROM came EXCEPT ALL SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, 1 FROM went)
    UNION ALL
    (SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, -1 AS sign FROM went EXCEPT ALL SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, -1 FROM came)),
    change AS (
        SELECT event_type, company_id, sum(sign) AS events FROM deltas
        GROUP BY event_type, company_id HAVING sum(sign) <> 0
    ),
    counted AS (
        INSERT INTO event_type_companies AS stored (event_type, company_id, events)
        SELECT event_type, company_id, events FROM change ORDER BY event_type, company_id
        ON CONFLICT (event_type, company_id) DO UPDATE SET events = stored.events + excluded.events
        RETURNING stored.event_type, stored.company_id, stored.events
    ),
    companies AS (
        SELECT event_type,
            count(*) FILTER (WHERE counted.events = change.events) - count(*) FILTER (WHERE counted.events = 0) AS more
        FROM counted JOIN change USING (event_type, company_id)
        GROUP BY event_type
    )
    UPDATE event_type_summaries AS stored SET unique_companies = stored.unique_companies + more
    FROM companies WHERE stored.event_type = companies.event_type AND more <> 0;
    WITH deltas AS (
    (SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, 1 AS sign FROM came EXCEPT ALL SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, 1 FROM went)
    UNION ALL
    (SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, -1 AS sign FROM went EXCEPT ALL SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, -1 FROM came))
    DELETE FROM event_type_companies AS stored
    USING (SELECT DISTINCT event_type, company_id FROM deltas WHERE sign < 0) AS gone
    WHERE stored.events = 0 AND stored.event_type = gone.event_type AND stored.company_id = gone.company_id;

    WITH deltas AS (
    (SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, 1 AS sign FROM came EXCEPT ALL SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, 1 FROM went)
    UNION ALL
    (SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, -1 AS sign FROM went EXCEPT ALL SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, -1 FROM came)),
    affected AS (
        SELECT event_type FROM event_type_summaries
        JOIN (SELECT event_type, max(occurred_at) AS last_went FROM deltas WHERE sign < 0 GROUP BY event_type) AS gone
        USING (event_type) WHERE total_count > 0 AND last_went >= last_occurrence
    ),
    times AS (
        SELECT event_type, max(occurred_at) AS last_at FROM business_events JOIN affected USING (event_type)
        GROUP BY event_type
    )
    UPDATE event_type_summaries AS stored SET last_occurrence = last_at
    FROM times WHERE stored.event_type = times.event_type;

    WITH deltas AS (
    (SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, 1 AS sign FROM came EXCEPT ALL SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, 1 FROM went)
    UNION ALL
    (SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, -1 AS sign FROM went EXCEPT ALL SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, -1 FROM came))
    DELETE FROM event_type_summaries
    WHERE total_count = 0 AND event_type IN (SELECT event_type FROM deltas WHERE sign < 0); RETURN NULL; END $$;

CREATE FUNCTION holded_events_deleted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$ BEGIN 
    WITH deltas AS (SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, -1 AS sign FROM went),
    by_context AS (
        SELECT company_id, business_context, sum(sign) AS events FROM deltas GROUP BY company_id, business_context
    ),
    contexts AS (
        SELECT company_id, jsonb_object_agg(business_context, events) AS change FROM by_context GROUP BY company_id
    ),
    change AS (SELECT company_id, 
        sum(sign) AS events,
        coalesce(sum(sign) FILTER (WHERE score IS NOT NULL), 0) AS scored,
        coalesce(sum(sign * score), 0) AS quality,
        min(occurred_at) FILTER (WHERE sign > 0) AS first_came,
        max(occurred_at) FILTER (WHERE sign > 0) AS last_came FROM deltas GROUP BY company_id)
    INSERT INTO company_analytics AS stored (
        company_id, total_events, first_event_at, last_event_at, business_contexts, scored_events, quality_sum
    )
    SELECT company_id, events, first_came, last_came, contexts.change, scored, quality
    FROM change JOIN contexts USING (company_id)
    ORDER BY company_id
    ON CONFLICT (company_id) DO UPDATE SET
        total_events = stored.total_events + excluded.total_events,
        first_event_at = least(stored.first_event_at, excluded.first_event_at),
        last_event_at = greatest(stored.last_event_at, excluded.last_event_at),
        business_contexts = holded_add_contexts(stored.business_contexts, excluded.business_contexts),
        scored_events = stored.scored_events + excluded.scored_events,
        quality_sum = stored.quality_sum + excluded.quality_sum,
        updated_at = clock_timestamp();
    WITH deltas AS (SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, -1 AS sign FROM went),
    gone AS (
        SELECT company_id, min(occurred_at) AS first_went, max(occurred_at) AS last_went
        FROM deltas WHERE sign < 0 GROUP BY company_id
    ),
    affected AS (
        SELECT company_id FROM company_analytics JOIN gone USING (company_id)
        WHERE total_events > 0 AND (first_went <= first_event_at OR last_went >= last_event_at)
    ),
    times AS (
        SELECT company_id, min(occurred_at) AS first_at, max(occurred_at) AS last_at
        FROM business_events JOIN affected USING (company_id) GROUP BY company_id
    )
    UPDATE company_analytics AS stored SET first_event_at = first_at, last_event_at = last_at
    FROM times WHERE stored.company_id = times.company_id;

    WITH deltas AS (SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, -1 AS sign FROM went)
    DELETE FROM company_analytics
    WHERE total_events = 0 AND company_id IN (SELECT company_id FROM deltas WHERE sign < 0);
    WITH deltas AS (SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, -1 AS sign FROM went),
    change AS (SELECT event_type, 
        sum(sign) AS events,
        coalesce(sum(sign) FILTER (WHERE score IS NOT NULL), 0) AS scored,
        coalesce(sum(sign * score), 0) AS quality,
        min(occurred_at) FILTER (WHERE sign > 0) AS first_came,
        max(occurred_at) FILTER (WHERE sign > 0) AS last_came FROM deltas GROUP BY event_type)
    INSERT INTO event_type_summaries AS stored (
        event_type, total_count, unique_companies, last_occurrence, scored_events, quality_sum
    )
    SELECT event_type, events, 0, last_came, scored, quality FROM change ORDER BY event_type
    ON CONFLICT (event_type) DO UPDATE SET
        total_count = stored.total_count + excluded.total_count,
        last_occurrence = greatest(stored.last_occurrence, excluded.last_occurrence),
        scored_events = stored.scored_events + excluded.scored_events,
        quality_sum = stored.quality_sum + excluded.quality_sum,
        updated_at = clock_timestamp();
    WITH deltas AS (SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, -1 AS sign FROM went),
    change AS (
        SELECT event_type, company_id, sum(sign) AS events FROM deltas
        GROUP BY event_type, company_id HAVING sum(sign) <> 0
    ),
    counted AS (
        INSERT INTO event_type_companies AS stored (event_type, company_id, events)
        SELECT event_type, company_id, events FROM change ORDER BY event_type, company_id
        ON CONFLICT (event_type, company_id) DO UPDATE SET events = stored.events + excluded.events
        RETURNING stored.event_type, stored.company_id, stored.events
    ),
    companies AS (
        SELECT event_type,
            count(*) FILTER (WHERE counted.events = change.events) - count(*) FILTER (WHERE counted.events = 0) AS more
        FROM counted JOIN change USING (event_type, company_id)
        GROUP BY event_type
    )
    UPDATE event_type_summaries AS stored SET unique_companies = stored.unique_companies + more
    FROM companies WHERE stored.event_type = companies.event_type AND more <> 0;
    WITH deltas AS (SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, -1 AS sign FROM went)
    DELETE FROM event_type_companies AS stored
    USING (SELECT DISTINCT event_type, company_id FROM deltas WHERE sign < 0) AS gone
    WHERE stored.events = 0 AND stored.event_type = gone.event_type AND stored.company_id = gone.company_id;

    WITH deltas AS (SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, -1 AS sign FROM went),
    affected AS (
        SELECT event_type FROM event_type_summaries
        JOIN (SELECT event_type, max(occurred_at) AS last_went FROM deltas WHERE sign < 0 GROUP BY event_type) AS gone
        USING (event_type) WHERE total_count > 0 AND last_went >= last_occurrence
    ),
    times AS (
        SELECT event_type, max(occurred_at) AS last_at FROM business_events JOIN affected USING (event_type)
        GROUP BY event_type
    )
    UPDATE event_type_summaries AS stored SET last_occurrence = last_at
    FROM times WHERE stored.event_type = times.event_type;

    WITH deltas AS (SELECT event_type, company_id, business_context, occurred_at, data_quality_score AS score, -1 AS sign FROM went)
    DELETE FROM event_type_summaries
    WHERE total_count = 0 AND event_type IN (SELECT event_type FROM deltas WHERE sign < 0); RETURN NULL; END $$;

CREATE FUNCTION holded_events_truncated() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$ BEGIN 
    DELETE FROM company_analytics;
    DELETE FROM event_type_summaries;
    DELETE FROM event_type_companies; RETURN NULL; END $$;

CREATE TRIGGER holded_events_inserted AFTER INSERT ON business_events REFERENCING NEW TABLE AS came
FOR EACH STATEMENT EXECUTE FUNCTION holded_events_inserted();

CREATE TRIGGER holded_events_updated AFTER UPDATE ON business_events REFERENCING OLD TABLE AS went NEW TABLE AS came
FOR EACH STATEMENT EXECUTE FUNCTION holded_events_updated();

CREATE TRIGGER holded_events_deleted AFTER DELETE ON business_events REFERENCING OLD TABLE AS went
FOR EACH STATEMENT EXECUTE FUNCTION holded_events_deleted();

CREATE TRIGGER holded_events_truncated AFTER TRUNCATE ON business_events
FOR EACH STATEMENT EXECUTE FUNCTION holded_events_truncated();
