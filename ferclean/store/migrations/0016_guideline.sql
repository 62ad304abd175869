-- What the team means by each expression, with borderline faces; each writing is a row, and the last one of a class holds.
CREATE TABLE guideline (
    version BIGINT NOT NULL, label VARCHAR, text VARCHAR NOT NULL, examples VARCHAR NOT NULL,
    author VARCHAR NOT NULL, written_at TIMESTAMP NOT NULL
);
