-- A screen sends its answers in order and again until it hears that they are recorded: each is recorded once.
CREATE TABLE answer (answer_id VARCHAR NOT NULL, decision_id BIGINT NOT NULL);
