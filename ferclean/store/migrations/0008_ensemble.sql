-- An ensemble is an object that names its members: the runs whose probabilities are read together.
CREATE TABLE ensemble (
    name VARCHAR NOT NULL,
    position INTEGER NOT NULL,
    run_id VARCHAR NOT NULL,
    made_at TIMESTAMP NOT NULL
);
