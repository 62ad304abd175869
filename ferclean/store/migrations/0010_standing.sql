-- What stands of all that people decided. Every room, and whoever opens the database with plain duckdb, reads these views.

-- Not undone. An undo may take back any row, and what was said before it is live still.
CREATE VIEW live_decision AS
    SELECT * FROM decision WHERE action <> 'undo'
    AND decision_id NOT IN (SELECT undo_of FROM decision WHERE undo_of IS NOT NULL);

-- What stands of each reviewer about a sample: the last row that decides something, which a skip does not. An
-- adjudication settles everything that came before it and is everybody's: whoever says otherwise after it, also who
-- adjudicated, objects and stands beside it. When it is undone, the old disagreement stands again.
CREATE VIEW standing_decision AS
    SELECT live.* FROM live_decision live LEFT JOIN (
        SELECT sample_id, max(decision_id) AS since FROM live_decision WHERE source = 'adjudication' GROUP BY sample_id
    ) settled USING (sample_id)
    WHERE live.action <> 'skip' AND live.decision_id >= coalesce(settled.since, 0)
    QUALIFY row_number() OVER (
        PARTITION BY live.sample_id, CASE WHEN live.source <> 'adjudication' THEN live.reviewer END
        ORDER BY live.decision_id DESC
    ) = 1;

-- What stands of each sample: the latest of them. Reviewers disagree (conflict) while what stands of two of them says
-- different things; to relabel with the given label says the same as to keep it.
CREATE VIEW current_decision AS
    SELECT
        stands.sample_id,
        arg_max(stands.action, stands.decision_id) AS action,
        -- wrapped, because arg_max would skip the NULL label of the latest row and take an older one
        arg_max({'label': stands.label}, stands.decision_id).label AS label,
        arg_max(stands.reviewer, stands.decision_id) AS reviewer,
        max(stands.decided_at) AS decided_at,
        any_value(spoke.n_reviewers) AS n_reviewers,
        count(
            DISTINCT CASE WHEN stands.action = 'relabel' AND stands.label IS NOT DISTINCT FROM sample.given_label
            THEN 'keep:' ELSE stands.action || ':' || coalesce(stands.label, '') END
        ) > 1 AS conflict
    FROM standing_decision stands LEFT JOIN sample USING (sample_id) LEFT JOIN (
        SELECT sample_id, count(DISTINCT reviewer) AS n_reviewers FROM live_decision WHERE action <> 'skip'
        GROUP BY sample_id
    ) spoke USING (sample_id)
    GROUP BY stands.sample_id;

-- Who put which sample off: their last act about it is a skip; an earlier word stands all the same.
CREATE VIEW skipped_sample AS
    SELECT sample_id, reviewer FROM live_decision
    QUALIFY action = 'skip' AND row_number() OVER (PARTITION BY sample_id, reviewer ORDER BY decision_id DESC) = 1;
