-- SPDX-License-Identifier: Apache-2.0
-- Collections of garbage, and what they must leave alone.

-- How far a collection is; exactly one row.
CREATE TABLE collection (
    id INTEGER PRIMARY KEY,      -- 1
    phase INTEGER NOT NULL,      -- enum collection_phase
    newest INTEGER NOT NULL,     -- the newest object that the latest collection judged; only grows, and no object
                                 -- that comes after it has its number, or one before
    unswept INTEGER NOT NULL,    -- SWEEPING: objects up to this one have not been swept yet; else 0
    sum INTEGER NOT NULL
);
INSERT INTO collection VALUES (1, 0, 0, 0, row_sum('collection', 1, 0, 0, 0));

-- SWEEPING: bit n of page p stands for the object p * 8192 + n. A page that is not there has no bit set.
CREATE TABLE mark (
    page INTEGER PRIMARY KEY,
    reached BLOB NOT NULL,       -- those that stay
    leaned BLOB NOT NULL,        -- those that others which stay are packed against
    sum INTEGER NOT NULL
);

-- MARKING: old objects that a change relied on meanwhile, and that are not known to be marked yet.
CREATE TABLE found (
    seq INTEGER NOT NULL,
    base INTEGER NOT NULL,       -- 1: to pack another against it; 0: as an object, with what hangs from it
    sum INTEGER NOT NULL,
    PRIMARY KEY (seq, base)
) WITHOUT ROWID;

-- Objects that host sessions have put or asked for, and that stay although no root may reach them yet.
CREATE TABLE loose (
    host INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    time INTEGER NOT NULL,
    sum INTEGER NOT NULL,
    PRIMARY KEY (host, seq)
) WITHOUT ROWID;

-- Host sessions with loose objects that have ended, as a collection has noticed.
CREATE TABLE loose_host (
    host INTEGER PRIMARY KEY,
    gone INTEGER NOT NULL,       -- when it was noticed
    sum INTEGER NOT NULL
);
