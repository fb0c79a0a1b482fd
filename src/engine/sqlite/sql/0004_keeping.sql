-- SPDX-License-Identifier: Apache-2.0
-- What is kept, and for how long: the trash, names in snapshots, settings, copies of another store, damaged objects.
-- Of rows that are written anew, one that does not fit its checksum goes on not to.

ALTER TABLE store RENAME TO store_3;

-- What is true of the whole store; exactly one row.
CREATE TABLE store (
    id INTEGER PRIMARY KEY,     -- 1
    schema INTEGER NOT NULL,    -- number of the newest migration, as in user_version
    uuid BLOB NOT NULL,
    chunk_min INTEGER NOT NULL,
    chunk_avg INTEGER NOT NULL,
    chunk_max INTEGER NOT NULL,
    strict INTEGER NOT NULL,    -- 1: close(2) waits for the medium
    key BLOB,                   -- of HMAC ids, or NULL
    created INTEGER NOT NULL,
    next_sid INTEGER NOT NULL,
    next_host INTEGER NOT NULL,
    generation INTEGER NOT NULL, -- new objects belong to it
    sweeps INTEGER NOT NULL,     -- grows with every transaction that removes objects
    sessions INTEGER NOT NULL,   -- rows of session; some numbers below next_sid may have none, in a copy
    next_rescue INTEGER NOT NULL,
    sum INTEGER NOT NULL
);
INSERT INTO store SELECT id, schema, uuid, chunk_min, chunk_avg, chunk_max, strict, key, created, next_sid,
    next_host, generation, sweeps, next_sid, (SELECT coalesce(max(id), 0) + 1 FROM rescue),
    CASE WHEN sum = row_sum('store', id, schema, uuid, chunk_min, chunk_avg, chunk_max, strict, key, created,
        next_sid, next_host, generation, sweeps)
    THEN row_sum('store', id, schema, uuid, chunk_min, chunk_avg, chunk_max, strict, key, created,
        next_sid, next_host, generation, sweeps, next_sid, (SELECT coalesce(max(id), 0) + 1 FROM rescue))
    ELSE sum END FROM store_3;
DROP TABLE store_3;

ALTER TABLE session RENAME TO session_3;

-- Sessions, live (state 1) and trashed (2), each with its head and its lease. Session 0 is the shared tree. Of one
-- that was forgotten (3) the row keeps the number and the token from being used again.
CREATE TABLE session (
    sid INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    state INTEGER NOT NULL,
    created INTEGER NOT NULL,
    version INTEGER NOT NULL,
    root BLOB NOT NULL,          -- empty: none yet, or no more
    time INTEGER NOT NULL,       -- of the version
    hour INTEGER NOT NULL,       -- the same in whole hours: coarse, so that its index seldom changes
    bytes INTEGER NOT NULL,
    files INTEGER NOT NULL,
    versions INTEGER NOT NULL,   -- rows of history
    token INTEGER NOT NULL,      -- the newest one granted; only grows
    lease INTEGER NOT NULL,      -- enum lease_state
    holder INTEGER NOT NULL,     -- host session, or 0
    since INTEGER NOT NULL,      -- of the grant
    refused INTEGER NOT NULL,    -- 1: the holder has said no under this token
    pinned_by TEXT,              -- and why
    trashed INTEGER NOT NULL,    -- when it was moved to the trash, or 0
    sum INTEGER NOT NULL
);
-- Of the trash so far the audit trail says since when.
INSERT INTO session SELECT o.sid, o.name, o.state, o.created, o.version, o.root, o.time, o.hour, o.bytes, o.files,
    o.versions, o.token, o.lease, o.holder, o.since, o.refused, o.pinned_by, o.trashed,
    CASE WHEN o.sum = row_sum('session', o.sid, o.name, o.state, o.created, o.version, o.root, o.time, o.hour,
        o.bytes, o.files, o.versions, o.token, o.lease, o.holder, o.since, o.refused, o.pinned_by)
    THEN row_sum('session', o.sid, o.name, o.state, o.created, o.version, o.root, o.time, o.hour,
        o.bytes, o.files, o.versions, o.token, o.lease, o.holder, o.since, o.refused, o.pinned_by, o.trashed)
    ELSE o.sum END
    FROM (SELECT s.*, CASE WHEN s.state = 2 THEN coalesce((SELECT max(a.time) FROM audit a
        WHERE a.sid = s.sid AND a.event = 9), s.time) ELSE 0 END AS trashed FROM session_3 s) o;
DROP TABLE session_3;
CREATE UNIQUE INDEX session_by_name ON session (name) WHERE state = 1;
CREATE INDEX session_by_state ON session (state, name);
CREATE INDEX session_by_hour ON session (hour);
CREATE INDEX session_by_holder ON session (holder) WHERE holder <> 0;

ALTER TABLE snapshot_root RENAME TO snapshot_root_3;

CREATE TABLE snapshot_root (
    snapshot INTEGER NOT NULL,
    sid INTEGER NOT NULL,
    version INTEGER NOT NULL,
    root BLOB NOT NULL,
    time INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    files INTEGER NOT NULL,
    name TEXT NOT NULL,          -- of the session, as it was then
    sum INTEGER NOT NULL,
    PRIMARY KEY (snapshot, sid)
) WITHOUT ROWID;
INSERT INTO snapshot_root SELECT o.snapshot, o.sid, o.version, o.root, o.time, o.bytes, o.files, o.name,
    CASE WHEN o.sum = row_sum('snapshot_root', o.snapshot, o.sid, o.version, o.root, o.time, o.bytes, o.files)
    THEN row_sum('snapshot_root', o.snapshot, o.sid, o.version, o.root, o.time, o.bytes, o.files, o.name)
    ELSE o.sum END
    FROM (SELECT r.*, coalesce((SELECT s.name FROM session s WHERE s.sid = r.sid), '') AS name
        FROM snapshot_root_3 r) o;
DROP TABLE snapshot_root_3;

-- Named texts: the policy of retention, and as "origin" the UUID of the store that sessions are copies from.
CREATE TABLE setting (
    name TEXT PRIMARY KEY,
    text BLOB NOT NULL,
    sum INTEGER NOT NULL
) WITHOUT ROWID;

-- Hosts of other stores as they are named in copies, by their number there; the mount is the other store.
CREATE INDEX host_of_copy ON host (incarnation, mount_id) WHERE state = 2 AND pid = 0;

-- Rows of objects that were damaged, as they were found.
CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,       -- when it was taken out
    object BLOB NOT NULL,        -- its id
    kind INTEGER NOT NULL,
    encoding INTEGER NOT NULL,
    size INTEGER NOT NULL,
    base INTEGER,
    packed BLOB NOT NULL,
    sum INTEGER NOT NULL
);
