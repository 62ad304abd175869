-- What a random draw brought in: rows of the queue, and the sample of an audit.
ALTER TABLE verdict ADD COLUMN drawn_at_random BOOLEAN DEFAULT false;
ALTER TABLE verdict ADD COLUMN inclusion_probability DOUBLE;
CREATE TABLE audit_item (
    run_id VARCHAR NOT NULL,
    sample_id VARCHAR NOT NULL,
    stratum INTEGER NOT NULL,
    inclusion_probability DOUBLE NOT NULL,
    position BIGINT
);
