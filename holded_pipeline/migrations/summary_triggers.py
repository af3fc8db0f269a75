"""The triggers that keep `company_analytics` and `event_type_summaries` right, as revision 0001 makes them.

They run once a statement, over all its rows, in its transaction. Each takes the rows that went and the rows that
came as deltas, so a statement costs what it changes and not what is stored. Summary rows are locked in the order of
their keys, companies first, so that no two writers wait for each other in a circle.

Earliest and latest times cannot be had from deltas when the row that held them goes: then, and only then, they are
looked up again, in a statement of its own after the summary row is locked. By then whoever else changed the company
has either committed, and is seen, or waits for the lock, and applies its own times afterwards.
"""

_SUBJECT = "event_type, company_id, business_context, occurred_at, data_quality_score AS score"
_CAME = f"SELECT {_SUBJECT}, 1 AS sign FROM came"
_WENT = f"SELECT {_SUBJECT}, -1 AS sign FROM went"
# Rows that an update left alone in all that is summarised cancel out.
_CHANGED = f"""
    (SELECT {_SUBJECT}, 1 AS sign FROM came EXCEPT ALL SELECT {_SUBJECT}, 1 FROM went)
    UNION ALL
    (SELECT {_SUBJECT}, -1 AS sign FROM went EXCEPT ALL SELECT {_SUBJECT}, -1 FROM came)"""

_SUMS = """
        sum(sign) AS events,
        coalesce(sum(sign) FILTER (WHERE score IS NOT NULL), 0) AS scored,
        coalesce(sum(sign * score), 0) AS quality,
        min(occurred_at) FILTER (WHERE sign > 0) AS first_came,
        max(occurred_at) FILTER (WHERE sign > 0) AS last_came"""

_ADD_CONTEXTS = """
CREATE FUNCTION holded_add_contexts(stored jsonb, change jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(jsonb_object_agg(context, events), '{}'::jsonb)
    FROM (
        SELECT key AS context, sum(value::bigint) AS events
        FROM (SELECT * FROM jsonb_each_text(stored) UNION ALL SELECT * FROM jsonb_each_text(change)) AS counts
        GROUP BY key
        HAVING sum(value::bigint) <> 0
    ) AS added
$$"""

_COMPANIES = f"""
    WITH deltas AS ({{deltas}}),
    by_context AS (
        SELECT company_id, business_context, sum(sign) AS events FROM deltas GROUP BY company_id, business_context
    ),
    contexts AS (
        SELECT company_id, jsonb_object_agg(business_context, events) AS change FROM by_context GROUP BY company_id
    ),
    change AS (SELECT company_id, {_SUMS} FROM deltas GROUP BY company_id)
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
        updated_at = clock_timestamp();"""

_COMPANIES_AGAIN = """
    WITH deltas AS ({deltas}),
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

    WITH deltas AS ({deltas})
    DELETE FROM company_analytics
    WHERE total_events = 0 AND company_id IN (SELECT company_id FROM deltas WHERE sign < 0);"""

_TYPES = f"""
    WITH deltas AS ({{deltas}}),
    change AS (SELECT event_type, {_SUMS} FROM deltas GROUP BY event_type)
    INSERT INTO event_type_summaries AS stored (
        event_type, total_count, unique_companies, last_occurrence, scored_events, quality_sum
    )
    SELECT event_type, events, 0, last_came, scored, quality FROM change ORDER BY event_type
    ON CONFLICT (event_type) DO UPDATE SET
        total_count = stored.total_count + excluded.total_count,
        last_occurrence = greatest(stored.last_occurrence, excluded.last_occurrence),
        scored_events = stored.scored_events + excluded.scored_events,
        quality_sum = stored.quality_sum + excluded.quality_sum,
        updated_at = clock_timestamp();"""

# A company is new to a type when its count was nothing before, and gone when it is nothing after.
_TYPE_COMPANIES = """
    WITH deltas AS ({deltas}),
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
    FROM companies WHERE stored.event_type = companies.event_type AND more <> 0;"""

_TYPES_AGAIN = """
    WITH deltas AS ({deltas})
    DELETE FROM event_type_companies AS stored
    USING (SELECT DISTINCT event_type, company_id FROM deltas WHERE sign < 0) AS gone
    WHERE stored.events = 0 AND stored.event_type = gone.event_type AND stored.company_id = gone.company_id;

    WITH deltas AS ({deltas}),
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

    WITH deltas AS ({deltas})
    DELETE FROM event_type_summaries
    WHERE total_count = 0 AND event_type IN (SELECT event_type FROM deltas WHERE sign < 0);"""

_INSERTED = (_COMPANIES, _TYPES, _TYPE_COMPANIES)
_REMOVED = (_COMPANIES, _COMPANIES_AGAIN, _TYPES, _TYPE_COMPANIES, _TYPES_AGAIN)

_TRUNCATE = """
    DELETE FROM company_analytics;
    DELETE FROM event_type_summaries;
    DELETE FROM event_type_companies;"""


def _function(name: str, body: str) -> str:
    # The search path of the migration is kept, so that writers with another one find the tables. SECURITY DEFINER:
    # who may write events need not be able to write summaries.
    return (
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT "
        f"AS $$ BEGIN {body} RETURN NULL; END $$"
    )


def _body(parts: tuple[str, ...], deltas: str) -> str:
    return "".join(part.replace("{deltas}", deltas) for part in parts)


def _trigger(name: str, event: str, tables: str) -> str:
    return (
        f"CREATE TRIGGER {name} AFTER {event} ON business_events {tables} FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
    )


SEARCH_PATH = "SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true)"
"""Of the migration's transaction, and thereby of the functions: nobody's temporary table comes before ours."""

CREATE = (
    _ADD_CONTEXTS,
    _function("holded_events_inserted", _body(_INSERTED, _CAME)),
    _function("holded_events_updated", _body(_REMOVED, _CHANGED)),
    _function("holded_events_deleted", _body(_REMOVED, _WENT)),
    _function("holded_events_truncated", _TRUNCATE),
    _trigger("holded_events_inserted", "INSERT", "REFERENCING NEW TABLE AS came"),
    _trigger("holded_events_updated", "UPDATE", "REFERENCING OLD TABLE AS went NEW TABLE AS came"),
    _trigger("holded_events_deleted", "DELETE", "REFERENCING OLD TABLE AS went"),
    _trigger("holded_events_truncated", "TRUNCATE", ""),
)
DROP = (
    "DROP FUNCTION holded_events_inserted()",
    "DROP FUNCTION holded_events_updated()",
    "DROP FUNCTION holded_events_deleted()",
    "DROP FUNCTION holded_events_truncated()",
    "DROP FUNCTION holded_add_contexts(jsonb, jsonb)",
)
