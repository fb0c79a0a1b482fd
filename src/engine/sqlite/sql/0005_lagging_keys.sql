-- SPDX-License-Identifier: Apache-2.0
-- Ids lead to objects by a table that is brought up to date for thousands of objects at once.

-- One row for each object up to the number in `indexed`: where those are that have these first bytes of an id.
CREATE TABLE object_key (
    key INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (key, seq)
) WITHOUT ROWID;
INSERT INTO object_key SELECT key, seq FROM object ORDER BY key, seq;
DROP INDEX object_by_key;
CREATE TRIGGER object_gone BEFORE DELETE ON object BEGIN
    DELETE FROM object_key WHERE key = old.key AND seq = old.seq;
END;

-- Exactly one row.
CREATE TABLE indexed (
    id INTEGER PRIMARY KEY,      -- 1
    seq INTEGER NOT NULL,        -- objects up to this one are in object_key
    sum INTEGER NOT NULL
);
INSERT INTO indexed SELECT 1, n.seq, row_sum('indexed', 1, n.seq)
    FROM (SELECT coalesce(max(seq), 0) AS seq FROM object) n;
