-- Deleting a session, step by step; see bot/work/deleting.py.

-- name: bury
-- What stays: which session, who, when.
INSERT INTO tombstone (id, session_id, short, by_id, name)
SELECT :id, id, short, :by, :name FROM session WHERE id = :session

-- name: remember_threads
-- Whoever writes there later is told; where it was shown what goes on, that ends.
INSERT INTO tombstone_thread (surface, place, tombstone_id, shown)
SELECT surface, place, :id,
       EXISTS (SELECT FROM reply WHERE reply.thread_id = thread.id AND kind = 'phase'
                  AND (posted_ref IS NOT NULL OR state = 'sending'))
  FROM thread WHERE session_id = :session
    ON CONFLICT (surface, place) DO UPDATE
   SET tombstone_id = excluded.tombstone_id, shown = excluded.shown

-- name: remember_posts
-- What still says there that it works or waits: live messages that were not ended, with their
-- buttons, and signs. A post under way has no ref yet.
INSERT INTO tombstone_post (id, surface, place, tombstone_id, kind, ref, language)
SELECT reply.id, thread.surface, thread.place, :id, reply.kind,
       CASE reply.kind WHEN 'reaction' THEN substring(reply.key FROM '^[^:]*:[^:]*:(.*)$')
                       ELSE reply.posted_ref END,
       reply.language
  FROM reply JOIN thread ON thread.id = reply.thread_id
 WHERE thread.session_id = :session
   AND (reply.posted_ref IS NOT NULL OR reply.state = 'sending')
   AND (reply.kind = 'live' AND NOT (reply.final AND reply.state = 'sent')
        OR reply.kind = 'reaction' AND reply.body IN ('seen', 'waiting', '')
           AND NOT (reply.body = '' AND reply.state = 'sent'))

-- name: withdraw
-- Nobody's answer counts any more.
UPDATE question SET state = 'withdrawn' WHERE session_id = :session AND state = 'open'

-- name: fence
-- Whoever holds the lease writes nothing more, and nobody claims it again.
UPDATE session
   SET state = 'deleting', lease_owner = NULL, lease_until = NULL, lease_token = lease_token + 1,
       stop = NULL, held_by = NULL
 WHERE id = :session

-- name: drop_threads
-- With what was still to be posted there, and what was asked there.
DELETE FROM thread WHERE session_id = :session

-- name: of_thread
SELECT tombstone.short, tombstone.name, tombstone.at
  FROM tombstone_thread JOIN tombstone ON tombstone.id = tombstone_thread.tombstone_id
 WHERE surface = :surface AND place = :place

-- name: of_short
SELECT short, name, at FROM tombstone WHERE short = :short

-- name: begun
SELECT id FROM session WHERE state = 'deleting' ORDER BY id LIMIT 100

-- name: take
-- Another host may be at it.
SELECT id FROM session WHERE id = :session AND state = 'deleting' FOR UPDATE SKIP LOCKED

-- name: whose
-- Who asked for it and when, for the audit.
SELECT tombstone.short, tombstone.by_id, tombstone.name, tombstone.at, session.project_id
  FROM tombstone JOIN session ON session.id = tombstone.session_id
 WHERE tombstone.session_id = :session

-- name: ask_machines
-- Every machine that is not gone is to be destroyed; a lost one is removed without being asked.
WITH asked AS (
    UPDATE machine SET request = 'destroy'
     WHERE session_id = :session AND state IN ('running', 'paused', 'resting')
       AND request IS DISTINCT FROM 'destroy'
)
SELECT host_id FROM machine WHERE session_id = :session AND state <> 'gone'

-- name: drop_checkpoints
-- The blobs that no other session refers to: one that began from here has a row of its own.
WITH dropped AS (
    DELETE FROM checkpoint WHERE session_id = :session RETURNING id, blob
)
SELECT DISTINCT blob FROM dropped
 WHERE blob IS NOT NULL
   AND NOT EXISTS (SELECT FROM checkpoint WHERE checkpoint.blob = dropped.blob
                      AND checkpoint.session_id <> :session)

-- name: orphan
-- Sessions that began from its checkpoint go on without it.
UPDATE session SET parent_id = NULL WHERE parent_id = :session

-- name: drop_events
DELETE FROM turn_event WHERE session_id = :session

-- name: drop_session
-- Its prompts, turns, questions, deliveries and their files go with it.
DELETE FROM session WHERE id = :session

-- name: drop_machines
DELETE FROM machine WHERE session_id = :session AND state = 'gone'

-- name: finish
UPDATE tombstone SET finished_at = now() WHERE session_id = :session

-- name: policies
-- The newest one of each project.
SELECT DISTINCT ON (project_id) project_id, version, name, source
  FROM policy_version ORDER BY project_id, version DESC

-- name: unused
-- Who is at one of them now uses it.
SELECT id, short FROM session
 WHERE project_id = :project AND state IN ('idle', 'held')
   AND active_at < now() - make_interval(days => :days)
   AND NOT EXISTS (SELECT FROM machine
                    WHERE machine.session_id = session.id AND machine.state = 'running')
 ORDER BY active_at LIMIT :most
   FOR UPDATE SKIP LOCKED
