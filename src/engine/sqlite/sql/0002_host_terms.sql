-- SPDX-License-Identifier: Apache-2.0
-- Host sessions that live by a clock, and the queues of leases.

ALTER TABLE host RENAME TO host_1;

-- Host sessions, alive (state 1) and gone (2). One that says it is alive is so while a process holds its lock
-- on the bell file, and if it has a TTL so long after that.
CREATE TABLE host (
    host INTEGER PRIMARY KEY,
    host_id BLOB NOT NULL,
    boot_id BLOB NOT NULL,
    mount_id BLOB NOT NULL,
    incarnation INTEGER NOT NULL,
    pid INTEGER NOT NULL,
    name TEXT NOT NULL,
    mount_point TEXT,
    principal TEXT,              -- who vouches for it, or NULL
    ttl_ms INTEGER NOT NULL,     -- 0: it ends with its lock
    resumed INTEGER NOT NULL,    -- how often another process has gone on with it
    state INTEGER NOT NULL,
    registered INTEGER NOT NULL,
    sum INTEGER NOT NULL
);

-- A row that does not fit its checksum goes on not to.
INSERT INTO host SELECT host, host_id, boot_id, mount_id, incarnation, pid, name, mount_point, NULL, 0, 0,
    state, registered, CASE WHEN sum = row_sum('host', host, host_id, boot_id, mount_id, incarnation, pid,
        name, mount_point, state, registered)
    THEN row_sum('host', host, host_id, boot_id, mount_id, incarnation, pid, name, mount_point, NULL, 0, 0,
        state, registered)
    ELSE sum END FROM host_1;

DROP TABLE host_1;
CREATE INDEX host_by_state ON host (state);
CREATE INDEX host_by_mount ON host (mount_id) WHERE state = 1;

-- Who waits for a session's lease, first come (smallest id) first. Times are of the machine's steady clock, and
-- mean something only until it boots again.
CREATE TABLE waiter (
    id INTEGER PRIMARY KEY,
    sid INTEGER NOT NULL,
    host INTEGER NOT NULL,
    granted INTEGER NOT NULL,    -- the token that it inherited and has not been told, or 0
    token INTEGER NOT NULL,      -- of the holder that was recalled for it, or 0
    started INTEGER NOT NULL,    -- when it first asked
    asked INTEGER NOT NULL,      -- when the holder was last recalled for it
    wait_ms INTEGER NOT NULL,
    sum INTEGER NOT NULL
);
CREATE UNIQUE INDEX waiter_by_sid ON waiter (sid, host);
CREATE INDEX waiter_by_host ON waiter (host);
