-- SPDX-License-Identifier: Apache-2.0
-- The schema of an embedded store. Migrations are append-only: a released one never changes.
--
-- A row that no content hash covers ends with `sum`: the checksum of its table's name and of the columns
-- before it, in this order (store/checksum.h).

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
    sum INTEGER NOT NULL
);

-- Objects in the order of their arrival. An id is key (its first 8 bytes, big-endian) and rest.
CREATE TABLE object (
    seq INTEGER PRIMARY KEY,
    key INTEGER NOT NULL,
    rest BLOB NOT NULL,
    kind INTEGER NOT NULL,
    encoding INTEGER NOT NULL,
    size INTEGER NOT NULL,       -- of the plain content
    base INTEGER,                -- seq of the object that this one is packed against
    generation INTEGER NOT NULL,
    sum INTEGER NOT NULL,           -- does not cover packed, which the id covers
    packed BLOB NOT NULL
);
CREATE INDEX object_by_key ON object (key);

-- Sessions, live (state 1) and trashed (2), each with its head and its lease. Session 0 is the shared tree.
CREATE TABLE session (
    sid INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    state INTEGER NOT NULL,
    created INTEGER NOT NULL,
    version INTEGER NOT NULL,
    root BLOB NOT NULL,          -- empty: none yet
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
    sum INTEGER NOT NULL
);
CREATE UNIQUE INDEX session_by_name ON session (name) WHERE state = 1;
CREATE INDEX session_by_state ON session (state, name);
CREATE INDEX session_by_hour ON session (hour);
CREATE INDEX session_by_holder ON session (holder) WHERE holder <> 0;

-- What a session's workspace.yaml says; one row for each session.
CREATE TABLE session_meta (
    sid INTEGER PRIMARY KEY,
    cwd TEXT,
    git_root TEXT,
    repository TEXT,
    branch TEXT,
    name TEXT,
    created_at TEXT,
    updated_at TEXT,
    sum INTEGER NOT NULL
);
CREATE INDEX session_meta_by_cwd ON session_meta (cwd);
CREATE INDEX session_meta_by_git_root ON session_meta (git_root) WHERE git_root IS NOT NULL;
CREATE INDEX session_meta_by_repository ON session_meta (repository) WHERE repository IS NOT NULL;
CREATE INDEX session_meta_by_branch ON session_meta (branch) WHERE branch IS NOT NULL;

CREATE TABLE history (
    sid INTEGER NOT NULL,
    version INTEGER NOT NULL,
    root BLOB NOT NULL,
    time INTEGER NOT NULL,
    host INTEGER NOT NULL,
    token INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    files INTEGER NOT NULL,
    sum INTEGER NOT NULL,
    PRIMARY KEY (sid, version)
) WITHOUT ROWID;

-- Host sessions, alive (state 1) and gone (2). One that says it is alive is so only while it holds its
-- lock on the bell file.
CREATE TABLE host (
    host INTEGER PRIMARY KEY,
    host_id BLOB NOT NULL,
    boot_id BLOB NOT NULL,
    mount_id BLOB NOT NULL,
    incarnation INTEGER NOT NULL,
    pid INTEGER NOT NULL,
    name TEXT NOT NULL,
    mount_point TEXT,
    state INTEGER NOT NULL,
    registered INTEGER NOT NULL,
    sum INTEGER NOT NULL
);
CREATE INDEX host_by_state ON host (state);

-- What host sessions must hear of. Old rows go; ids are never used twice.
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,       -- enum event_kind
    sid INTEGER NOT NULL,
    version INTEGER NOT NULL,
    token INTEGER NOT NULL,
    origin INTEGER NOT NULL,     -- the host session that need not hear of it
    target INTEGER NOT NULL,     -- the only one that must, or 0
    sum INTEGER NOT NULL
);

CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    event INTEGER NOT NULL,      -- enum audit_event
    sid INTEGER NOT NULL,
    host INTEGER NOT NULL,
    token INTEGER NOT NULL,
    detail TEXT,
    sum INTEGER NOT NULL
);
CREATE INDEX audit_by_sid ON audit (sid, id);

-- Locks in the shared tree.
CREATE TABLE lock (
    ino INTEGER NOT NULL,
    kind INTEGER NOT NULL,       -- enum lock_kind
    host INTEGER NOT NULL,
    owner INTEGER NOT NULL,
    start INTEGER NOT NULL,
    end INTEGER NOT NULL,
    type INTEGER NOT NULL,       -- enum lock_type
    pid INTEGER NOT NULL,
    sum INTEGER NOT NULL,
    PRIMARY KEY (ino, kind, host, owner, start)
) WITHOUT ROWID;
CREATE INDEX lock_by_host ON lock (host);

CREATE TABLE snapshot (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    time INTEGER NOT NULL,
    sessions INTEGER NOT NULL,   -- without the shared tree
    roots INTEGER NOT NULL,      -- rows of snapshot_root
    sum INTEGER NOT NULL
);
CREATE UNIQUE INDEX snapshot_by_name ON snapshot (name);

CREATE TABLE snapshot_root (
    snapshot INTEGER NOT NULL,
    sid INTEGER NOT NULL,
    version INTEGER NOT NULL,
    root BLOB NOT NULL,
    time INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    files INTEGER NOT NULL,
    sum INTEGER NOT NULL,
    PRIMARY KEY (snapshot, sid)
) WITHOUT ROWID;

-- Work that lost its lease.
CREATE TABLE rescue (
    id INTEGER PRIMARY KEY,
    sid INTEGER NOT NULL,
    version INTEGER NOT NULL,    -- that it is based on
    root BLOB NOT NULL,
    time INTEGER NOT NULL,
    host INTEGER NOT NULL,
    token INTEGER NOT NULL,      -- that it was written under
    bytes INTEGER NOT NULL,
    files INTEGER NOT NULL,
    reason TEXT NOT NULL,
    sum INTEGER NOT NULL
);
CREATE INDEX rescue_by_sid ON rescue (sid);
