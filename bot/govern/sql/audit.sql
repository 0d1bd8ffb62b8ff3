-- The chain over the audit. Parameters are named as in bot/govern/sealing.py and verifying.py.

-- name: last_number
-- The number that was given out last; 0 before the first. Who has one also has a transaction id.
SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM audit_event_number

-- name: own_transaction
-- Younger than every transaction that has an id by now, if this one had none yet.
SELECT CAST(pg_current_xact_id() AS text)

-- name: oldest_transaction
-- The oldest transaction that is under way, this one included.
SELECT CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text)

-- name: last_batch
SELECT number, digest, audit_last FROM audit_batch ORDER BY number DESC LIMIT 1

-- name: audit_rows
-- Audit events in their order.
SELECT number, at, kind, person_id, who, surface, place, session_id, project_id, outcome, body
  FROM audit_event WHERE number > :after AND number <= :through ORDER BY number LIMIT :limit

-- name: unsealed_sessions
-- Sessions with events that are not sealed. Those of one session become visible in their order:
-- who appends holds the session's row until it has committed.
SELECT session.id, coalesce(seal.number, 0) AS after, session.event_last AS through
  FROM session LEFT JOIN audit_seal AS seal ON seal.session_id = session.id
 WHERE session.event_last > coalesce(seal.number, 0) ORDER BY session.id LIMIT :limit

-- name: session_rows
-- Events of one session in their order.
SELECT number, turn_id AS turn, kind, body, at FROM turn_event
 WHERE session_id = :session AND number > :after AND number <= :through
 ORDER BY number LIMIT :limit

-- name: add_batch
INSERT INTO audit_batch (number, sealed_at, previous, digest, audit_last)
VALUES (:number, :sealed_at, :previous, :digest, :audit_last)

-- name: add_part
INSERT INTO audit_part (batch, place, session_id, first, last, entries)
VALUES (:batch, :place, :session, :first, :last, :entries)

-- name: seal
-- Note how far a session is sealed; nothing for one that was deleted meanwhile.
INSERT INTO audit_seal (session_id, number)
SELECT id, :number FROM session WHERE id = :session
ON CONFLICT (session_id) DO UPDATE SET number = excluded.number

-- name: batches
SELECT number, sealed_at, previous, digest, audit_last FROM audit_batch
 WHERE number > :after AND removed_at IS NULL ORDER BY number LIMIT :limit

-- name: known_batch
-- A batch, also one whose rows were removed.
SELECT number, digest, audit_last, removed_at FROM audit_batch WHERE number = :number

-- name: first_batch
-- The oldest batch that is known: the one up to which the audit was removed, or the first.
SELECT number, digest, audit_last, removed_at FROM audit_batch ORDER BY number LIMIT 1

-- name: stray
-- An audit event that is there although everything up to it was removed.
SELECT audit_event.number FROM audit_batch JOIN audit_event ON audit_event.number <= audit_last
 WHERE removed_at IS NOT NULL ORDER BY audit_event.number LIMIT 1

-- name: parts
SELECT session_id, first, last, entries FROM audit_part WHERE batch = :batch ORDER BY place

-- name: whose
-- What a session is called; none: it is gone. `deleted`: somebody deleted it, says the audit.
SELECT (SELECT short FROM session WHERE id = :session) AS short,
       EXISTS (SELECT FROM audit_event
                WHERE session_id = :session AND kind = 'session.deleted') AS deleted

-- name: unsealed
-- What no batch has yet: audit events, and events of sessions.
SELECT (SELECT count(*) FROM audit_event
         WHERE number > coalesce((SELECT max(audit_last) FROM audit_batch), 0))
     + (SELECT coalesce(sum(session.event_last - coalesce(seal.number, 0)), 0)
          FROM session LEFT JOIN audit_seal AS seal ON seal.session_id = session.id
         WHERE session.event_last > coalesce(seal.number, 0)) AS rows

-- name: removable
-- The newest batch that is older than so many seconds, as are all before it, if its rows are still
-- there: one that was sealed while the clock stood in the past takes no younger ones with it.
SELECT number, digest FROM audit_batch
 WHERE removed_at IS NULL AND sealed_at < now() - make_interval(secs => :seconds)
   AND number < ALL (SELECT number FROM audit_batch
                      WHERE removed_at IS NULL
                        AND sealed_at BETWEEN now() - make_interval(secs => :seconds) AND now())
 ORDER BY number DESC LIMIT 1

-- name: policies
-- The newest one of each project.
SELECT DISTINCT ON (project_id) project_id, version, name, source
  FROM policy_version ORDER BY project_id, version DESC

-- name: over
-- Sealed events of a project that are older than so many days, but for what verifying relies on.
SELECT number FROM audit_event
 WHERE project_id = :project AND at < now() - make_interval(days => :days)
   AND number <= (SELECT max(audit_last) FROM audit_batch)
   AND kind NOT IN ('audit.removed', 'session.deleted')
 ORDER BY number LIMIT :most

-- name: remove_rows
SELECT remove_audit_events(:numbers) AS events

-- name: removed_rows
-- Numbers from `first` to `last` that the audit says a project keeps no longer, as spans.
SELECT CAST(span ->> 0 AS bigint) AS first, CAST(span ->> 1 AS bigint) AS last
  FROM audit_event, jsonb_array_elements(body -> 'numbers') AS span
 WHERE kind = 'audit.removed' AND body ? 'numbers'
   AND CAST(span ->> 1 AS bigint) >= :first AND CAST(span ->> 0 AS bigint) <= :last

-- name: remove
SELECT remove_audit_batches(:through) AS events
