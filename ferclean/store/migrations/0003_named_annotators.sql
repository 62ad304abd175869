-- Votes may tell who gave them.
ALTER TABLE vote ADD COLUMN annotator VARCHAR;
