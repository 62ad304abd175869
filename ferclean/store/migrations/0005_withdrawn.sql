-- What a later look at the source said about a sample, and which of several files it was read from.
ALTER TABLE sample ADD COLUMN withdrawn VARCHAR;
ALTER TABLE sample ADD COLUMN source VARCHAR;
