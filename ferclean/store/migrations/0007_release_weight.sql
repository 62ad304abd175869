-- What a released label counts for in training, where it was doubted and not mended.
ALTER TABLE release_item ADD COLUMN weight DOUBLE;
