-- Some answers measure only who gives them: a face that is asked about a second time, and one about which people are
-- unanimous already. They are rows of the log, say what they are, and stand for nothing.
CREATE OR REPLACE VIEW live_decision AS
    SELECT * FROM decision WHERE action <> 'undo' AND source NOT IN ('repeat', 'honeypot')
    AND decision_id NOT IN (SELECT undo_of FROM decision WHERE undo_of IS NOT NULL);
