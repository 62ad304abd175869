-- The first shape of a workspace's database. Never edited; later shapes are later files.
CREATE TABLE dataset (
    name VARCHAR NOT NULL,
    classes VARCHAR[] NOT NULL,
    root VARCHAR NOT NULL,
    card VARCHAR NOT NULL,
    licence VARCHAR NOT NULL,
    redistributable BOOLEAN NOT NULL
);
CREATE TABLE sample (
    sample_id VARCHAR NOT NULL,
    dataset VARCHAR NOT NULL,
    source_key VARCHAR NOT NULL,
    split VARCHAR NOT NULL,
    given_label VARCHAR,
    location VARCHAR NOT NULL,
    relative_path VARCHAR,
    content_hash VARCHAR,
    width INTEGER,
    height INTEGER,
    phash VARCHAR,
    contrast DOUBLE,
    attributes VARCHAR NOT NULL,
    quarantine_reason VARCHAR,
    position BIGINT NOT NULL
);
CREATE TABLE vote (
    sample_id VARCHAR NOT NULL,
    label VARCHAR NOT NULL,
    count INTEGER NOT NULL
);
CREATE TABLE run (
    run_id VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    method VARCHAR NOT NULL,
    config VARCHAR NOT NULL,
    seed BIGINT NOT NULL,
    fingerprint VARCHAR NOT NULL,
    code_version VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    started_at TIMESTAMP NOT NULL,
    finished_at TIMESTAMP,
    metrics VARCHAR NOT NULL
);
CREATE TABLE prediction (
    run_id VARCHAR NOT NULL,
    sample_id VARCHAR NOT NULL,
    fold INTEGER NOT NULL,
    pred_probs FLOAT[] NOT NULL
);
CREATE TABLE signal (
    run_id VARCHAR NOT NULL,
    sample_id VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    value DOUBLE
);
CREATE TABLE flip (
    run_id VARCHAR NOT NULL,
    sample_id VARCHAR NOT NULL,
    fold INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    from_label VARCHAR NOT NULL,
    to_label VARCHAR NOT NULL,
    p DOUBLE NOT NULL
);
CREATE TABLE verdict (
    run_id VARCHAR NOT NULL,
    sample_id VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    label_quality DOUBLE,
    p_mislabelled DOUBLE,
    p_ambiguous DOUBLE,
    p_unusable DOUBLE,
    p_clean DOUBLE,
    suggested_label VARCHAR,
    rank BIGINT NOT NULL,
    reasons VARCHAR[] NOT NULL,
    soft_label DOUBLE[]
);
CREATE TABLE pair (
    run_id VARCHAR NOT NULL,
    sample_a VARCHAR NOT NULL,
    sample_b VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    similarity DOUBLE NOT NULL
);
CREATE TABLE decision (
    decision_id BIGINT NOT NULL,
    sample_id VARCHAR NOT NULL,
    action VARCHAR NOT NULL,
    label VARCHAR,
    reviewer VARCHAR NOT NULL,
    note VARCHAR NOT NULL,
    seconds DOUBLE,
    shown VARCHAR,
    source VARCHAR NOT NULL,
    inclusion_probability DOUBLE,
    bulk_id VARCHAR,
    undo_of BIGINT,
    decided_at TIMESTAMP NOT NULL
);
CREATE TABLE release (
    name VARCHAR NOT NULL,
    policy VARCHAR NOT NULL,
    threshold DOUBLE,
    created_at VARCHAR NOT NULL,
    fingerprint VARCHAR NOT NULL,
    config VARCHAR NOT NULL,
    counts VARCHAR NOT NULL,
    content_digest VARCHAR NOT NULL
);
CREATE TABLE release_item (
    name VARCHAR NOT NULL,
    sample_id VARCHAR NOT NULL,
    split VARCHAR NOT NULL,
    given_label VARCHAR,
    label VARCHAR,
    included BOOLEAN NOT NULL,
    reason VARCHAR,
    soft_label DOUBLE[]
);
CREATE TABLE result (
    run_id VARCHAR NOT NULL,
    arm VARCHAR NOT NULL,
    seed BIGINT NOT NULL,
    split VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,
    value DOUBLE NOT NULL
);
