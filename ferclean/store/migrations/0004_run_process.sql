-- Which process computes a run, so that one that was killed is not taken to be under way.
ALTER TABLE run ADD COLUMN process VARCHAR;
