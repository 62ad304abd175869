-- Nothing read it: near copies are found by their thumbnails.
ALTER TABLE sample DROP COLUMN phash;
