-- The whole P(true label) of a verdict, and the probability of what it suggests.
ALTER TABLE verdict ADD COLUMN p_suggested DOUBLE;
ALTER TABLE verdict ADD COLUMN p_true DOUBLE[];
