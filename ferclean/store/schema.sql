-- Today's shape of a workspace's database, to be read; databases are made by running migrations/ in order,
-- and a test asserts that both give the same tables. Times are UTC. JSON is kept as text.

-- Irreplaceable: what was given and what people decided. Rows are added, never changed or removed.

CREATE TABLE dataset (                -- one row: the data set that this workspace is about
    name VARCHAR NOT NULL,            -- the card's name, for example rafdb
    classes VARCHAR[] NOT NULL,       -- canonical class names in the card's order: the column order of every pred_probs
    root VARCHAR NOT NULL,            -- absolute folder (or file) that was ingested; the one value that may follow a move
    card VARCHAR NOT NULL,            -- JSON: the card as it was read at ingest
    licence VARCHAR NOT NULL,         -- as the card names it
    redistributable BOOLEAN NOT NULL  -- true: the licence allows pixels to be passed on
);

CREATE TABLE sample (             -- one row per row of the source, unreadable ones too
    sample_id VARCHAR NOT NULL,   -- 20 hex digits: digest of data set, source key and content hash; unique
    dataset VARCHAR NOT NULL,     -- dataset.name
    source_key VARCHAR NOT NULL,  -- the row's or file's name in the source; unique among rows that it still holds
    split VARCHAR NOT NULL,       -- published split: train, validation or test
    given_label VARCHAR,          -- canonical class name, immutable; NULL: the source's label is unknown
    location VARCHAR NOT NULL,    -- source: the file lies below dataset.root; workspace: below images/
    relative_path VARCHAR,        -- below that folder; NULL: there is no file
    content_hash VARCHAR,         -- SHA-256 hex of the file's bytes, or of shape and pixels; shared by exact duplicates
    width INTEGER,                -- pixels
    height INTEGER,               -- pixels
    contrast DOUBLE,              -- spread of the grey values; 0 = a blank image
    attributes VARCHAR NOT NULL,  -- JSON object: whatever else the source says (age, gender, landmarks ...)
    quarantine_reason VARCHAR,    -- why the row takes no part in scoring; NULL: it takes part
    position BIGINT NOT NULL,     -- order of arrival, from 0
    withdrawn VARCHAR,            -- why it takes no part any longer: its file or row changed or vanished; may return to NULL
    source VARCHAR                -- name of the file that the row was read from last; NULL: a folder
);

CREATE TABLE vote (              -- votes that came with the data set
    sample_id VARCHAR NOT NULL,  -- who was voted on
    label VARCHAR NOT NULL,      -- canonical class name, 'unknown' or 'not_a_face'
    count INTEGER NOT NULL,      -- annotators who chose it, 1 or more
    annotator VARCHAR            -- who chose it, count is 1; NULL: people without names
);

CREATE TABLE decision (            -- append-only: an undo is a row of its own
    decision_id BIGINT NOT NULL,   -- 1, 2, 3 ... in order of time
    sample_id VARCHAR NOT NULL,    -- what it is about
    action VARCHAR NOT NULL,       -- keep, relabel, ambiguous, exclude, skip; undo for a row that takes one back
    label VARCHAR,                 -- canonical class name; set exactly when the action is relabel
    reviewer VARCHAR NOT NULL,     -- who decided
    note VARCHAR NOT NULL,         -- free text, may be empty
    seconds DOUBLE,                -- time that the person took; NULL: not measured
    shown VARCHAR,                 -- JSON: what the model showed (suggestion, probabilities); NULL: nothing, blind
    source VARCHAR NOT NULL,       -- review, cli, file, fiftyone, api; adjudication settles what came before it; repeat
                                   -- and honeypot measure the reviewer and stand for nothing
    inclusion_probability DOUBLE,  -- chance in (0, 1] with which a random draw chose the sample; NULL: not drawn
    bulk_id VARCHAR,               -- shared by the rows of one bulk act; of a release's revert it begins with revert-
    undo_of BIGINT,                -- decision_id that this row takes back
    decided_at TIMESTAMP NOT NULL, -- UTC
    shares DOUBLE[]                -- of an ambiguous face how much the person sees of each class in the card's order; sums to 1
);

CREATE TABLE answer (              -- append-only: what a screen sent and was recorded; sent again it is known by its name
    answer_id VARCHAR NOT NULL,    -- the sender's name of it; unique
    decision_id BIGINT NOT NULL    -- the row of decision that it became; the first of a bulk that it took back
);

CREATE TABLE team_plan (           -- append-only: who reviews with whom; the last row holds, no row means no plan
    plan BIGINT NOT NULL,          -- 1, 2, 3 ... in order of time
    reviewers VARCHAR[] NOT NULL,  -- each once; whose face it is follows from them and sample_id, never from a row
    overlap DOUBLE NOT NULL,       -- share in [0, 1] of the faces that two of them answer, each without the other
    repeats DOUBLE NOT NULL,       -- share in [0, 1] of further faces that a reviewer is asked about a second time
    honeypots DOUBLE NOT NULL,     -- share in [0, 1] of further faces about which people are unanimous already
    seed BIGINT NOT NULL,          -- of every such choice
    made_by VARCHAR NOT NULL,      -- who made the plan
    made_at TIMESTAMP NOT NULL     -- UTC
);

CREATE TABLE guideline (             -- append-only: what the team means by each class; the last row of a class holds
    version BIGINT NOT NULL,         -- 1, 2, 3 ... in order of time
    label VARCHAR,                   -- canonical class name; NULL: about all of them
    text VARCHAR NOT NULL,           -- plain text, may be empty: then it takes back what held
    examples VARCHAR NOT NULL,       -- JSON list of borderline faces: {"sample_id": ..., "words": ...}
    author VARCHAR NOT NULL,         -- who wrote it
    written_at TIMESTAMP NOT NULL    -- UTC
);

CREATE TABLE release (               -- frozen curated splits
    name VARCHAR NOT NULL,           -- unique
    policy VARCHAR NOT NULL,         -- decisions or auto
    threshold DOUBLE,                -- least P(suggested label) of an automatic correction; NULL: none were made
    created_at VARCHAR NOT NULL,     -- ISO 8601, UTC
    fingerprint VARCHAR NOT NULL,    -- digest of the ids and given labels that it was made from
    config VARCHAR NOT NULL,         -- JSON: every other option
    counts VARCHAR NOT NULL,         -- JSON: what changed, per split, class and reason
    content_digest VARCHAR NOT NULL  -- SHA-256 of what it says about each sample (of all but the time in earlier versions)
);

CREATE TABLE release_item (      -- one row per sample of a release, left-out ones too
    name VARCHAR NOT NULL,       -- release.name
    sample_id VARCHAR NOT NULL,  -- part of the release or left out of it
    split VARCHAR NOT NULL,      -- train, validation or test, as published
    given_label VARCHAR,         -- canonical class name
    label VARCHAR,               -- canonical class name in this release; NULL: none
    included BOOLEAN NOT NULL,   -- false: left out
    reason VARCHAR,              -- why the label changed or the sample was left out
    soft_label DOUBLE[],         -- the training target: probability per class in the card's order; NULL: the label alone
    weight DOUBLE                -- 0 to 1: what the label counts for in training; NULL: 1
);

-- Draws: decisions rest on the chance with which they chose a sample.

CREATE TABLE audit_item (                  -- one row per sample that an audit could have drawn
    run_id VARCHAR NOT NULL,               -- the audit run
    sample_id VARCHAR NOT NULL,            -- nobody had decided about it when the sample was drawn
    stratum INTEGER NOT NULL,              -- from 0 = least likely mislabelled; each is a simple random sample
    inclusion_probability DOUBLE NOT NULL, -- chance in (0, 1] with which the draw chose it
    position BIGINT                        -- 1 = ask about it first; a random order; NULL: not drawn
);

CREATE TABLE drawn_item (                 -- one row per sample that the queue of a triage drew at random
    run_id VARCHAR NOT NULL,              -- the triage run; of earlier ones the samples that were decided about alone
    sample_id VARCHAR NOT NULL,           -- what it is about
    inclusion_probability DOUBLE NOT NULL -- chance in (0, 1] with which the draw chose it
);

-- What was computed: the list of it, and the small results. The rest lies in files of each run, see below.

CREATE TABLE run (                  -- method + config + seed + data
    run_id VARCHAR NOT NULL,        -- kind-method-digest; unique
    kind VARCHAR NOT NULL,          -- score, triage, retrain, pairs, demo ...
    method VARCHAR NOT NULL,        -- what computed it: a recognizer, a way to fuse signals
    config VARCHAR NOT NULL,        -- JSON
    seed BIGINT NOT NULL,           -- of every random choice
    fingerprint VARCHAR NOT NULL,   -- of the samples and given labels that it read
    code_version VARCHAR NOT NULL,  -- ferclean's version, with the commit where it runs from a checkout
    state VARCHAR NOT NULL,         -- running, done, failed, interrupted; files of a done one may be deleted
    started_at TIMESTAMP NOT NULL,  -- UTC
    finished_at TIMESTAMP,          -- UTC; NULL while running
    metrics VARCHAR NOT NULL,       -- JSON
    process VARCHAR                 -- JSON: host, pid, beginning of each process that computes it; NULL: none does
);

CREATE TABLE ensemble (          -- a named set of runs that are read together; frozen
    name VARCHAR NOT NULL,       -- shared by its rows
    position INTEGER NOT NULL,   -- from 0, in the order given
    run_id VARCHAR NOT NULL,     -- a member: the run whose probabilities are read
    made_at TIMESTAMP NOT NULL   -- UTC
);

CREATE TABLE result (         -- what retraining measured
    run_id VARCHAR NOT NULL,  -- the retrain run
    arm VARCHAR NOT NULL,     -- raw, cleaned or a control
    seed BIGINT NOT NULL,     -- arms with the same seed are a pair
    split VARCHAR NOT NULL,   -- where it was measured
    metric VARCHAR NOT NULL,  -- accuracy, macro_f1 ...; high = good
    value DOUBLE NOT NULL     -- the measurement, in the metric's unit
);

CREATE TABLE schema_version (       -- one row per migration that ran
    version INTEGER NOT NULL,       -- 1, 2, 3 ...
    applied_at TIMESTAMP NOT NULL,  -- UTC
    code_version VARCHAR NOT NULL   -- the ferclean that ran it
);

-- What stands of all that people decided. Every room, and whoever opens the database with plain duckdb, reads these views;
-- what makes them is migrations/0015_shares.sql, here is what they hold:

CREATE VIEW live_decision AS SELECT * FROM decision WHERE false;      -- what was not undone, checks apart

CREATE VIEW standing_decision AS SELECT * FROM decision WHERE false;  -- what stands of each reviewer about a sample

CREATE VIEW current_decision AS SELECT  -- what stands of each sample: the latest of those
    NULL::VARCHAR AS sample_id,         -- what it is about
    NULL::VARCHAR AS action,            -- decision.action, never skip or undo
    NULL::VARCHAR AS label,             -- canonical class name; NULL: the action is not relabel
    NULL::VARCHAR AS reviewer,          -- who decided last
    NULL::TIMESTAMP AS decided_at,      -- UTC; when
    NULL::BIGINT AS n_reviewers,        -- people who said anything about it but skip
    NULL::BOOLEAN AS conflict,          -- true: what stands of two of them says different things
    NULL::DOUBLE[] AS shares            -- of an ambiguous one the mean of what stands, as decision.shares; NULL: nobody said
WHERE false;

CREATE VIEW skipped_sample AS SELECT    -- who put which sample off: their last act about it is a skip
    NULL::VARCHAR AS sample_id,         -- what they skipped
    NULL::VARCHAR AS reviewer           -- who did; an earlier word of theirs stands all the same
WHERE false;

-- What can be computed again lies in Parquet files, runs/<run_id>/scores.parquet, flips.parquet, verdicts.parquet and
-- pairs.parquet, and may be deleted. These views show them to plain duckdb; ferclean makes them anew whenever other
-- files are to be shown, and does not read them. Before there is any, they have no row:

CREATE VIEW score AS SELECT            -- of all finished scorings
    NULL::VARCHAR AS run_id,           -- the score run; of what was seen in the image itself, the run that found pairs
    NULL::BIGINT AS position,          -- sample.position
    NULL::VARCHAR AS sample_id,        -- what was predicted
    NULL::INTEGER AS fold,             -- the held-out fold, from 0; NULL: nothing was predicted
    NULL::FLOAT[] AS pred_probs        -- out-of-fold probability per class in the card's order; sums to 1
                                       -- and one DOUBLE per signal, ferclean.evidence.signals says each one's direction
WHERE false;

CREATE VIEW flip AS SELECT             -- labels that a recognizer changed while it trained, of all finished scorings
    NULL::VARCHAR AS run_id,           -- the score run
    NULL::VARCHAR AS sample_id,        -- whose training label changed
    NULL::INTEGER AS fold,             -- the fold held out in that training
    NULL::INTEGER AS epoch,            -- from 0
    NULL::VARCHAR AS from_label,       -- canonical class name
    NULL::VARCHAR AS to_label,         -- canonical class name
    NULL::DOUBLE AS p                  -- probability of to_label, as the recognizer saw it then
WHERE false;

CREATE VIEW verdict AS SELECT          -- what the latest triage thinks of a sample; the four p_ sum to 1
    NULL::VARCHAR AS run_id,           -- the triage run
    NULL::BIGINT AS position,          -- sample.position
    NULL::VARCHAR AS sample_id,        -- what it is about
    NULL::VARCHAR AS kind,             -- mislabelled, ambiguous, unusable, duplicate, leak, clean
    NULL::DOUBLE AS label_quality,     -- 0 to 1, LOW = likely mislabelled
    NULL::DOUBLE AS p_mislabelled,     -- 0 to 1, high = a panel would clearly agree on another expression
    NULL::DOUBLE AS p_ambiguous,       -- 0 to 1, high = a panel would not agree
    NULL::DOUBLE AS p_unusable,        -- 0 to 1, high = no readable face
    NULL::DOUBLE AS p_clean,           -- 0 to 1, high = the given label stands
    NULL::VARCHAR AS suggested_label,  -- canonical class name; a proposal
    NULL::BIGINT AS rank,              -- 1 = look here first
    NULL::VARCHAR[] AS reasons,        -- the evidence: of each reason the kind and what stands in its sentence, as a list in
                                       -- JSON (ferclean.store.reasons has the words), or the sentence itself
    NULL::DOUBLE[] AS soft_label,      -- calibrated probability per class in the card's order
    NULL::BOOLEAN AS drawn_at_random,  -- true: a random draw brought it to its rank, not its score
    NULL::DOUBLE AS inclusion_probability, -- chance in (0, 1] of that draw; NULL: it is there for its rank
    NULL::DOUBLE AS p_suggested,       -- 0 to 1: chance that suggested_label is the true one, where there is one
    NULL::DOUBLE[] AS p_true           -- chance of each true label in the card's order, sums to 1; NULL: not known
WHERE false;

CREATE VIEW pair AS SELECT             -- two samples that show the same picture, of the latest look
    NULL::VARCHAR AS run_id,           -- the run that looked for them
    NULL::VARCHAR AS sample_a,         -- the one that arrived first
    NULL::VARCHAR AS sample_b,         -- the other one
    NULL::VARCHAR AS kind,             -- exact (same content hash), near, or mirrored (near once flipped)
    NULL::DOUBLE AS similarity         -- cosine, -1 to 1, high = alike
WHERE false;
