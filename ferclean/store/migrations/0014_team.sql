-- Who reviews with whom, each plan a row: the last one holds. Whose face it is follows from it and the sample's id.
CREATE TABLE team_plan (
    plan BIGINT NOT NULL, reviewers VARCHAR[] NOT NULL, overlap DOUBLE NOT NULL, repeats DOUBLE NOT NULL,
    honeypots DOUBLE NOT NULL, seed BIGINT NOT NULL, made_by VARCHAR NOT NULL, made_at TIMESTAMP NOT NULL
);
