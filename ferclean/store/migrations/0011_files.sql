-- What can be computed again lies in the files of its run (run_files.py), which views show to plain duckdb (views.py).
-- Who was drawn at random by the queue is as little to be found again as an audit's draw.
CREATE TABLE drawn_item (
    run_id VARCHAR NOT NULL,
    sample_id VARCHAR NOT NULL,
    inclusion_probability DOUBLE NOT NULL
);
INSERT INTO drawn_item SELECT run_id, sample_id, inclusion_probability FROM verdict WHERE drawn_at_random;
DROP TABLE prediction;
DROP TABLE signal;
DROP TABLE flip;
DROP TABLE verdict;
DROP TABLE pair;
CREATE VIEW score AS SELECT
    NULL::VARCHAR AS run_id,
    NULL::BIGINT AS position,
    NULL::VARCHAR AS sample_id,
    NULL::INTEGER AS fold,
    NULL::FLOAT[] AS pred_probs
WHERE false;
CREATE VIEW flip AS SELECT
    NULL::VARCHAR AS run_id,
    NULL::VARCHAR AS sample_id,
    NULL::INTEGER AS fold,
    NULL::INTEGER AS epoch,
    NULL::VARCHAR AS from_label,
    NULL::VARCHAR AS to_label,
    NULL::DOUBLE AS p
WHERE false;
CREATE VIEW verdict AS SELECT
    NULL::VARCHAR AS run_id,
    NULL::BIGINT AS position,
    NULL::VARCHAR AS sample_id,
    NULL::VARCHAR AS kind,
    NULL::DOUBLE AS label_quality,
    NULL::DOUBLE AS p_mislabelled,
    NULL::DOUBLE AS p_ambiguous,
    NULL::DOUBLE AS p_unusable,
    NULL::DOUBLE AS p_clean,
    NULL::VARCHAR AS suggested_label,
    NULL::BIGINT AS rank,
    NULL::VARCHAR[] AS reasons,
    NULL::DOUBLE[] AS soft_label,
    NULL::BOOLEAN AS drawn_at_random,
    NULL::DOUBLE AS inclusion_probability,
    NULL::DOUBLE AS p_suggested,
    NULL::DOUBLE[] AS p_true
WHERE false;
CREATE VIEW pair AS SELECT
    NULL::VARCHAR AS run_id,
    NULL::VARCHAR AS sample_a,
    NULL::VARCHAR AS sample_b,
    NULL::VARCHAR AS kind,
    NULL::DOUBLE AS similarity
WHERE false;
