-- Several processes may be at a run: `process` holds a list of them, which readers of version 11 took for one and failed.
-- Nor may these read what is triaged from now on: they would show people the reasons in verdicts.parquet as they are
-- stored, '["other","anger",29]' (reasons.py has the words). The sentences that they stored themselves stay readable.
UPDATE run SET process = '[' || process || ']' WHERE process LIKE '{%';
