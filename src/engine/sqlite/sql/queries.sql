-- SPDX-License-Identifier: Apache-2.0
-- Every query of the engine. ?1 … ?n are bound in order; where a row carries a checksum, the columns of
-- the table come first, in its order, and the checksum follows them.

-- name: begin
BEGIN IMMEDIATE
-- name: begin_read
BEGIN
-- name: commit
COMMIT
-- name: rollback
ROLLBACK

-- name: writer_facts
SELECT c.id, c.phase, c.newest, c.unswept, c.sum, s.sweeps, s.generation,
    (SELECT count(*) FROM host WHERE state = 1) FROM store s, collection c

-- The store ---------------------------------------------------------------------------------------

-- name: store_read
SELECT id, schema, uuid, chunk_min, chunk_avg, chunk_max, strict, key, created, next_sid, next_host,
    generation, sweeps, sessions, next_rescue, sum FROM store
-- name: store_write
INSERT OR REPLACE INTO store VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
-- name: used_bytes
SELECT (p.page_count - f.freelist_count) * s.page_size FROM pragma_page_count p, pragma_freelist_count f,
    pragma_page_size s
-- name: setting_all
SELECT name, text, sum FROM setting
-- name: setting_write
INSERT OR REPLACE INTO setting VALUES (?1, ?2, ?3)
-- name: setting_delete
DELETE FROM setting WHERE name = ?1

-- Objects -----------------------------------------------------------------------------------------

-- Rows of objects with the key ?1: those that object_key leads to, and either ?2 and ?3 if they are such (fresh.h) or
-- whatever comes after ?2. A row may be given twice.
-- name: object_seek
SELECT o.seq, o.rest, o.kind FROM object_key k CROSS JOIN object o ON o.seq = k.seq WHERE k.key = ?1
    UNION ALL SELECT seq, rest, kind FROM object WHERE seq = ?2 AND key = ?1
    UNION ALL SELECT seq, rest, kind FROM object WHERE seq = ?3 AND key = ?1
-- name: object_seek_slowly
SELECT o.seq, o.rest, o.kind FROM object_key k CROSS JOIN object o ON o.seq = k.seq WHERE k.key = ?1
    UNION ALL SELECT seq, rest, kind FROM object WHERE seq > ?2 AND key = ?1
-- name: object_get
SELECT o.seq, o.key, o.rest, o.kind, o.encoding, o.size, o.base, o.generation, o.sum, o.packed
    FROM object_key k CROSS JOIN object o ON o.seq = k.seq WHERE k.key = ?1
    UNION ALL SELECT seq, key, rest, kind, encoding, size, base, generation, sum, packed FROM object
    WHERE seq = ?2 AND key = ?1
    UNION ALL SELECT seq, key, rest, kind, encoding, size, base, generation, sum, packed FROM object
    WHERE seq = ?3 AND key = ?1
-- name: object_get_slowly
SELECT o.seq, o.key, o.rest, o.kind, o.encoding, o.size, o.base, o.generation, o.sum, o.packed
    FROM object_key k CROSS JOIN object o ON o.seq = k.seq WHERE k.key = ?1
    UNION ALL SELECT seq, key, rest, kind, encoding, size, base, generation, sum, packed FROM object
    WHERE seq > ?2 AND key = ?1
-- name: object_keys
SELECT seq, key FROM object WHERE seq > ?1 ORDER BY seq
-- name: object_key_settle
INSERT OR IGNORE INTO object_key SELECT key, seq FROM object WHERE seq > ?1 ORDER BY key, seq
-- name: indexed_read
SELECT id, seq, sum, (SELECT coalesce(max(seq), 0) FROM object) FROM indexed
-- name: indexed_write
INSERT OR REPLACE INTO indexed VALUES (?1, ?2, ?3)
-- name: object_get_seq
SELECT seq, key, rest, kind, encoding, size, base, generation, sum, packed FROM object WHERE seq = ?1
-- name: object_of_root
SELECT seq, key, rest, kind, encoding, size, base, generation, sum, packed FROM object WHERE seq = ?1
-- name: object_at
SELECT key, rest FROM object WHERE seq = ?1
-- name: object_insert
INSERT INTO object (seq, key, rest, kind, encoding, size, base, generation, sum, packed)
    VALUES (?9, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?10, ?8)
-- name: object_all
SELECT seq, key, rest, kind, encoding, size, base, generation, sum, packed FROM object
    WHERE seq > ?1 ORDER BY seq LIMIT ?2
-- name: object_totals
SELECT count(*) FILTER (WHERE kind > 0), coalesce(sum(size) FILTER (WHERE kind > 0), 0),
    coalesce(sum(length(packed)), 0) FROM object
-- name: object_newest
SELECT coalesce(max(seq), 0) FROM object
-- name: object_count
SELECT (SELECT count(*) FROM object_key) +
    (SELECT count(*) FROM object WHERE seq > (SELECT seq FROM indexed))
-- name: object_downward
SELECT seq, kind, length(packed) FROM object WHERE seq <= ?1 ORDER BY seq DESC LIMIT ?2
-- name: object_delete
DELETE FROM object WHERE seq = ?1
-- name: object_of_mend
SELECT seq, key, rest, kind, encoding, size, base, generation, sum, packed FROM object WHERE seq = ?1
-- name: object_rewrite
UPDATE object SET kind = ?3, encoding = ?4, size = ?5, base = ?6, generation = ?7, sum = ?9 WHERE seq = ?8
-- name: object_repack
UPDATE object SET packed = ?2 WHERE seq = ?1
-- name: object_hide
UPDATE object SET kind = ?3, sum = ?9 WHERE seq = ?8

-- Collections -------------------------------------------------------------------------------------

-- name: collection_read
SELECT id, phase, newest, unswept, sum FROM collection
-- name: collection_write
INSERT OR REPLACE INTO collection VALUES (?1, ?2, ?3, ?4, ?5)
-- name: mark_read
SELECT page, reached, leaned, sum FROM mark WHERE page = ?1
-- name: mark_all
SELECT page, reached, leaned, sum FROM mark ORDER BY page
-- name: mark_write
INSERT OR REPLACE INTO mark VALUES (?1, ?2, ?3, ?4)
-- name: mark_trim
DELETE FROM mark WHERE page > ?1
-- name: mark_count
SELECT count(*) FROM mark
-- name: mark_last
SELECT coalesce((SELECT page FROM mark ORDER BY page DESC LIMIT 1 OFFSET ?1), -1)
-- name: found_insert
INSERT OR IGNORE INTO found VALUES (?1, ?2, ?3)
-- name: found_some
SELECT seq, base, sum FROM found ORDER BY seq, base LIMIT ?1
-- name: found_count
SELECT count(*) FROM (SELECT 1 FROM found LIMIT ?1)
-- name: found_all
SELECT seq, base, sum FROM found ORDER BY seq, base
-- name: found_trim
DELETE FROM found WHERE (seq, base) IN (SELECT seq, base FROM found LIMIT ?1)
-- name: found_delete
DELETE FROM found WHERE seq = ?1 AND base = ?2
-- name: loose_insert
INSERT OR REPLACE INTO loose VALUES (?1, ?2, ?3, ?4)
-- name: loose_after
SELECT host, seq, time, sum FROM loose WHERE (host, seq) > (?1, ?2) ORDER BY host, seq LIMIT ?3
-- name: loose_all
SELECT host, seq, time, sum FROM loose ORDER BY host, seq
-- name: loose_next_host
SELECT coalesce(min(host), 0) FROM loose WHERE host > ?1
-- name: loose_delete
DELETE FROM loose WHERE host = ?1 AND seq = ?2 AND time = ?3
-- name: loose_host_read
SELECT host, gone, sum FROM loose_host WHERE host = ?1
-- name: loose_host_all
SELECT host, gone, sum FROM loose_host ORDER BY host
-- name: loose_host_write
INSERT OR REPLACE INTO loose_host VALUES (?1, ?2, ?3)
-- name: loose_host_trim
DELETE FROM loose_host WHERE NOT EXISTS (SELECT 1 FROM loose WHERE loose.host = loose_host.host)
-- name: space
SELECT (SELECT freelist_count FROM pragma_freelist_count), (SELECT page_size FROM pragma_page_size),
    (SELECT auto_vacuum FROM pragma_auto_vacuum)
-- name: loose_host_delete
DELETE FROM loose_host WHERE host = ?1

-- Sessions ----------------------------------------------------------------------------------------

-- name: session_load
SELECT sid, name, state, created, version, root, time, hour, bytes, files, versions, token, lease,
    holder, since, refused, pinned_by, trashed, sum FROM session WHERE sid = ?1
-- name: session_find
SELECT sid, name, state, created, version, root, time, hour, bytes, files, versions, token, lease,
    holder, since, refused, pinned_by, trashed, sum FROM session WHERE name = ?1 AND state = 1 AND sid <> 0
-- name: session_insert
INSERT INTO session VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16,
    ?17, ?18, ?19)
-- name: session_move
UPDATE session SET version = ?5, root = ?6, time = ?7, bytes = ?9, files = ?10, versions = ?11,
    sum = ?19 WHERE sid = ?1
-- name: session_move_hour
UPDATE session SET version = ?5, root = ?6, time = ?7, hour = ?8, bytes = ?9, files = ?10,
    versions = ?11, sum = ?19 WHERE sid = ?1
-- name: session_update
UPDATE session SET name = ?2, state = ?3, token = ?12, lease = ?13, holder = ?14, since = ?15,
    refused = ?16, pinned_by = ?17, trashed = ?18, sum = ?19 WHERE sid = ?1
-- name: session_lease
UPDATE session SET token = ?12, lease = ?13, holder = ?14, since = ?15, refused = ?16,
    pinned_by = ?17, sum = ?19 WHERE sid = ?1
-- name: session_replace
UPDATE session SET name = ?2, state = ?3, created = ?4, version = ?5, root = ?6, time = ?7, hour = ?8, bytes = ?9,
    files = ?10, versions = ?11, token = ?12, lease = ?13, holder = ?14, since = ?15, refused = ?16,
    pinned_by = ?17, trashed = ?18, sum = ?19 WHERE sid = ?1
-- name: session_all
SELECT sid, name, state, created, version, root, time, hour, bytes, files, versions, token, lease,
    holder, since, refused, pinned_by, trashed, sum FROM session ORDER BY sid
-- name: session_held_by
SELECT sid, name, state, created, version, root, time, hour, bytes, files, versions, token, lease,
    holder, since, refused, pinned_by, trashed, sum FROM session WHERE holder = ?1 AND holder <> 0
    AND sid > ?2 ORDER BY sid LIMIT 1
-- name: session_leased
SELECT sid, name, state, created, version, root, time, hour, bytes, files, versions, token, lease,
    holder, since, refused, pinned_by, trashed, sum FROM session WHERE holder <> 0
    ORDER BY sid
-- name: session_counts
SELECT count(*) FILTER (WHERE state = 1 AND sid <> 0), count(*) FILTER (WHERE state = 2),
    coalesce(sum(versions), 0), coalesce(sum(bytes) FILTER (WHERE state = 1), 0), coalesce(sum(version), 0),
    count(*) FILTER (WHERE holder <> 0), (SELECT count(*) FROM waiter WHERE granted = 0) FROM session

-- name: meta_write
INSERT OR REPLACE INTO session_meta VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
-- name: meta_delete
DELETE FROM session_meta WHERE sid = ?1
-- name: meta_all
SELECT sid, cwd, git_root, repository, branch, name, created_at, updated_at, sum
    FROM session_meta ORDER BY sid

-- Lists of sessions with their index rows: ?1 the state, ?2 the name to begin after, ?3 what to look for.
-- name: list_all
SELECT s.sid, s.name, s.state, s.created, s.version, s.root, s.time, s.hour, s.bytes, s.files,
    s.versions, s.token, s.lease, s.holder, s.since, s.refused, s.pinned_by, s.trashed, s.sum, m.sid, m.cwd,
    m.git_root, m.repository, m.branch, m.name, m.created_at, m.updated_at, m.sum
    FROM session s LEFT JOIN session_meta m ON m.sid = s.sid
    WHERE s.state = ?1 AND s.name > ?2 AND s.sid <> 0 ORDER BY s.state, s.name, s.sid
-- name: list_by_hour
SELECT s.sid, s.name, s.state, s.created, s.version, s.root, s.time, s.hour, s.bytes, s.files,
    s.versions, s.token, s.lease, s.holder, s.since, s.refused, s.pinned_by, s.trashed, s.sum, m.sid, m.cwd,
    m.git_root, m.repository, m.branch, m.name, m.created_at, m.updated_at, m.sum
    FROM session s INDEXED BY session_by_hour LEFT JOIN session_meta m ON m.sid = s.sid
    WHERE s.hour >= ?3 AND s.state = ?1 AND s.name > ?2 AND s.sid <> 0 ORDER BY s.name, s.sid
-- name: list_by_sid
SELECT s.sid, s.name, s.state, s.created, s.version, s.root, s.time, s.hour, s.bytes, s.files,
    s.versions, s.token, s.lease, s.holder, s.since, s.refused, s.pinned_by, s.trashed, s.sum, m.sid, m.cwd,
    m.git_root, m.repository, m.branch, m.name, m.created_at, m.updated_at, m.sum
    FROM session s LEFT JOIN session_meta m ON m.sid = s.sid
    WHERE s.sid = ?3 AND s.state = ?1 AND s.name > ?2 AND s.sid <> 0
-- name: list_by_repository
SELECT s.sid, s.name, s.state, s.created, s.version, s.root, s.time, s.hour, s.bytes, s.files,
    s.versions, s.token, s.lease, s.holder, s.since, s.refused, s.pinned_by, s.trashed, s.sum, m.sid, m.cwd,
    m.git_root, m.repository, m.branch, m.name, m.created_at, m.updated_at, m.sum
    FROM session_meta m JOIN session s ON s.sid = m.sid
    WHERE m.repository = ?3 AND s.state = ?1 AND s.name > ?2 AND s.sid <> 0 ORDER BY s.name, s.sid
-- name: list_by_branch
SELECT s.sid, s.name, s.state, s.created, s.version, s.root, s.time, s.hour, s.bytes, s.files,
    s.versions, s.token, s.lease, s.holder, s.since, s.refused, s.pinned_by, s.trashed, s.sum, m.sid, m.cwd,
    m.git_root, m.repository, m.branch, m.name, m.created_at, m.updated_at, m.sum
    FROM session_meta m JOIN session s ON s.sid = m.sid
    WHERE m.branch = ?3 AND s.state = ?1 AND s.name > ?2 AND s.sid <> 0 ORDER BY s.name, s.sid
-- name: list_by_cwd
SELECT s.sid, s.name, s.state, s.created, s.version, s.root, s.time, s.hour, s.bytes, s.files,
    s.versions, s.token, s.lease, s.holder, s.since, s.refused, s.pinned_by, s.trashed, s.sum, m.sid, m.cwd,
    m.git_root, m.repository, m.branch, m.name, m.created_at, m.updated_at, m.sum
    FROM session_meta m JOIN session s ON s.sid = m.sid
    WHERE m.cwd = ?3 AND s.state = ?1 AND s.name > ?2 AND s.sid <> 0 ORDER BY s.name, s.sid
-- name: list_by_git_root
SELECT s.sid, s.name, s.state, s.created, s.version, s.root, s.time, s.hour, s.bytes, s.files,
    s.versions, s.token, s.lease, s.holder, s.since, s.refused, s.pinned_by, s.trashed, s.sum, m.sid, m.cwd,
    m.git_root, m.repository, m.branch, m.name, m.created_at, m.updated_at, m.sum
    FROM session_meta m JOIN session s ON s.sid = m.sid
    WHERE m.git_root = ?3 AND s.state = ?1 AND s.name > ?2 AND s.sid <> 0 ORDER BY s.name, s.sid

-- History and rescues -------------------------------------------------------------------------------

-- name: history_insert
INSERT INTO history VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
-- name: history_read
SELECT sid, version, root, time, host, token, bytes, files, sum FROM history
    WHERE sid = ?1 AND version <= ?2 ORDER BY version DESC LIMIT ?3
-- name: history_all
SELECT sid, version, root, time, host, token, bytes, files, sum FROM history ORDER BY sid, version
-- name: session_count
SELECT count(*) FROM session WHERE sid = ?1
-- name: meta_count
SELECT count(*) FROM session_meta WHERE sid = ?1
-- name: history_count
SELECT count(*) FROM history WHERE sid = ?1
-- name: history_delete
DELETE FROM history WHERE sid = ?1 AND version = ?2
-- name: history_delete_all
DELETE FROM history WHERE sid = ?1
-- name: rescue_insert
INSERT INTO rescue VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
-- name: rescue_find
SELECT id, sid, version, root, time, host, token, bytes, files, reason, sum FROM rescue
    WHERE sid = ?1 AND host = ?2 AND token = ?3 AND root = ?4 ORDER BY id LIMIT 1
-- name: rescue_of
SELECT id, sid, version, root, time, host, token, bytes, files, reason, sum FROM rescue
    WHERE sid = ?1 ORDER BY id
-- name: rescue_load
SELECT id, sid, version, root, time, host, token, bytes, files, reason, sum FROM rescue WHERE id = ?1
-- name: rescue_delete
DELETE FROM rescue WHERE id = ?2 AND sid = ?1
-- name: rescue_delete_all
DELETE FROM rescue WHERE sid = ?1
-- name: rescue_all
SELECT id, sid, version, root, time, host, token, bytes, files, reason, sum FROM rescue ORDER BY id

-- Host sessions, events, audit ------------------------------------------------------------------------

-- name: host_insert
INSERT INTO host VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
-- name: host_update
UPDATE host SET ttl_ms = ?10, resumed = ?11, state = ?12, sum = ?14 WHERE host = ?1
-- name: host_load
SELECT host, host_id, boot_id, mount_id, incarnation, pid, name, mount_point, principal, ttl_ms, resumed,
    state, registered, sum FROM host WHERE host = ?1
-- name: host_alive
SELECT host, host_id, boot_id, mount_id, incarnation, pid, name, mount_point, principal, ttl_ms, resumed,
    state, registered, sum FROM host WHERE state = 1 ORDER BY host
-- name: host_of_mount
SELECT host, host_id, boot_id, mount_id, incarnation, pid, name, mount_point, principal, ttl_ms, resumed,
    state, registered, sum FROM host WHERE mount_id = ?1 AND state = 1 ORDER BY host
-- name: host_all
SELECT host, host_id, boot_id, mount_id, incarnation, pid, name, mount_point, principal, ttl_ms, resumed,
    state, registered, sum FROM host ORDER BY host
-- name: host_of_copy
SELECT host FROM host WHERE incarnation = ?1 AND mount_id = ?2 AND name = ?3 AND state = 2 AND pid = 0 LIMIT 1
-- name: host_count
SELECT count(*) FROM host WHERE state = 1

-- name: waiter_insert
INSERT INTO waiter VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
-- name: waiter_update
UPDATE waiter SET granted = ?4, token = ?5, started = ?6, asked = ?7, wait_ms = ?8, sum = ?9 WHERE id = ?1
-- name: waiter_last
SELECT coalesce(max(id), 0) FROM waiter
-- name: waiter_load
SELECT id, sid, host, granted, token, started, asked, wait_ms, sum FROM waiter WHERE sid = ?1 AND host = ?2
-- name: waiter_after
SELECT id, sid, host, granted, token, started, asked, wait_ms, sum FROM waiter
    WHERE sid = ?1 AND id > ?2 ORDER BY id LIMIT 1
-- name: waiter_all
SELECT id, sid, host, granted, token, started, asked, wait_ms, sum FROM waiter ORDER BY id
-- name: waiter_delete
DELETE FROM waiter WHERE id = ?1
-- name: waiter_clear_host
DELETE FROM waiter WHERE host = ?1
-- name: waiter_clear_session
DELETE FROM waiter WHERE sid = ?1

-- name: event_insert
INSERT INTO event VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
-- name: event_last
SELECT coalesce(max(id), 0) FROM event
-- name: event_after
SELECT id, kind, sid, version, token, origin, target, sum FROM event WHERE id > ?1 ORDER BY id LIMIT ?2
-- name: event_all
SELECT id, kind, sid, version, token, origin, target, sum FROM event ORDER BY id
-- name: event_trim
DELETE FROM event WHERE id <= ?1

-- name: audit_insert
INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
-- name: audit_last
SELECT coalesce(max(id), 0) FROM audit
-- name: audit_trim
DELETE FROM audit WHERE id <= ?1
-- name: audit_all
SELECT id, time, event, sid, host, token, detail, sum FROM audit WHERE id >= ?1 ORDER BY id
-- name: audit_check
SELECT id, time, event, sid, host, token, detail, sum FROM audit ORDER BY id
-- name: audit_of
SELECT id, time, event, sid, host, token, detail, sum FROM audit WHERE sid = ?2 AND id >= ?1 ORDER BY id

-- Locks -------------------------------------------------------------------------------------------

-- name: lock_insert
INSERT INTO lock VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
-- name: lock_of_file
SELECT ino, kind, host, owner, start, end, type, pid, sum FROM lock WHERE ino = ?1 AND kind = ?2
-- name: lock_all
SELECT ino, kind, host, owner, start, end, type, pid, sum FROM lock
-- name: lock_clear_owner
DELETE FROM lock WHERE ino = ?1 AND kind = ?2 AND host = ?3 AND owner = ?4
-- name: lock_clear_host
DELETE FROM lock WHERE host = ?1

-- Snapshots ---------------------------------------------------------------------------------------

-- name: snapshot_last
SELECT coalesce(max(id), 0) FROM snapshot
-- name: snapshot_insert
INSERT INTO snapshot VALUES (?1, ?2, ?3, ?4, ?5, ?6)
-- name: snapshot_root_insert
INSERT INTO snapshot_root VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
-- name: snapshot_find
SELECT id, name, time, sessions, roots, sum FROM snapshot WHERE name = ?1
-- name: snapshot_all
SELECT id, name, time, sessions, roots, sum FROM snapshot ORDER BY name
-- name: snapshot_roots
SELECT snapshot, sid, version, root, time, bytes, files, name, sum FROM snapshot_root
    WHERE snapshot = ?1 ORDER BY sid
-- name: snapshot_roots_all
SELECT snapshot, sid, version, root, time, bytes, files, name, sum FROM snapshot_root
-- name: snapshot_count
SELECT count(*) FROM snapshot_root WHERE snapshot = ?1
-- name: snapshot_delete
DELETE FROM snapshot WHERE id = ?1
-- name: snapshot_roots_delete
DELETE FROM snapshot_root WHERE snapshot = ?1

-- Damaged objects --------------------------------------------------------------------------------------

-- name: quarantine_last
SELECT coalesce(max(id), 0) FROM quarantine
-- name: quarantine_insert
INSERT INTO quarantine VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
-- name: quarantine_all
SELECT id, time, object, kind, encoding, size, base, packed, sum FROM quarantine ORDER BY id

-- Checks ------------------------------------------------------------------------------------------

-- name: schema_text
SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name
-- name: integrity
SELECT integrity_check FROM pragma_integrity_check(100)
