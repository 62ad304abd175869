-- Of an ambiguous face a person may say which expressions they see, and how much of each. The views read what they name
-- with *, so they are made anew; current_decision tells the mean of what those say who stand.
ALTER TABLE decision ADD COLUMN shares DOUBLE[];

CREATE OR REPLACE VIEW live_decision AS
    SELECT * FROM decision WHERE action <> 'undo'
    AND decision_id NOT IN (SELECT undo_of FROM decision WHERE undo_of IS NOT NULL);

CREATE OR REPLACE VIEW standing_decision AS
    SELECT live.* FROM live_decision live LEFT JOIN (
        SELECT sample_id, max(decision_id) AS since FROM live_decision WHERE source = 'adjudication' GROUP BY sample_id
    ) settled USING (sample_id)
    WHERE live.action <> 'skip' AND live.decision_id >= coalesce(settled.since, 0)
    QUALIFY row_number() OVER (
        PARTITION BY live.sample_id, CASE WHEN live.source <> 'adjudication' THEN live.reviewer END
        ORDER BY live.decision_id DESC
    ) = 1;

CREATE OR REPLACE VIEW current_decision AS
    SELECT
        sample_id, action, label, reviewer, decided_at, n_reviewers, conflict,
        CASE WHEN action = 'ambiguous' AND said IS NOT NULL
        THEN [list_avg([one[place] FOR one IN said]) FOR place IN range(1, len(said[1]) + 1)] END AS shares
    FROM (
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
            ) > 1 AS conflict,
            list(stands.shares ORDER BY stands.decision_id) FILTER (stands.shares IS NOT NULL) AS said
        FROM standing_decision stands LEFT JOIN sample USING (sample_id) LEFT JOIN (
            SELECT sample_id, count(DISTINCT reviewer) AS n_reviewers FROM live_decision WHERE action <> 'skip'
            GROUP BY sample_id
        ) spoke USING (sample_id)
        GROUP BY stands.sample_id
    );
