-- Events that wait for a run; see bot/automate/triggers/taking.py.

-- name: next
-- The automation whose event has been due for longest; whoever has its row decides about its events.
SELECT automation.id, automation.name, automation.state, automation.definition,
       automation.project_id, person.id AS owner_id, project.removed_at IS NULL AS project_there,
       coalesce(person.deactivated_at IS NULL AND person.id IS NOT NULL, false) AS has_owner,
       clock_timestamp() AS now
  FROM trigger_event AS event
  JOIN automation_trigger AS trigger ON trigger.id = event.trigger_id
  JOIN automation ON automation.id = trigger.automation_id
  JOIN project ON project.id = automation.project_id
  LEFT JOIN person ON person.id = coalesce(automation.runs_as_id, automation.approved_by,
                                           automation.creator_id)
 WHERE event.state = 'waiting' AND event.act_at <= clock_timestamp()
 ORDER BY event.act_at LIMIT 1 FOR NO KEY UPDATE OF automation SKIP LOCKED

-- name: waiting
SELECT event.id, event.trigger_id, trigger.kind, event.about, event.created_at AS at, event.act_at,
       coalesce(event.held_until > clock_timestamp(), false) AS held, event.attempts,
       event.cause_id IS NOT NULL AS is_caused
  FROM trigger_event AS event JOIN automation_trigger AS trigger ON trigger.id = event.trigger_id
 WHERE trigger.automation_id = :automation AND event.state = 'waiting'
 ORDER BY event.created_at, event.id LIMIT :limit

-- name: causes
-- The automations whose runs led to each event, and how far back: by whatever event became a run,
-- and by those that it stood for. Many of these have the same cause, which counts once.
WITH RECURSIVE chain (event_id, run_id, automation_id, depth) AS (
    SELECT event.id, run.id, run.automation_id, 1
      FROM trigger_event AS event JOIN run ON run.id = event.cause_id
     WHERE event.id = ANY(CAST(:events AS uuid[]))
     UNION
    SELECT chain.event_id, run.id, run.automation_id, chain.depth + 1
      FROM chain
      JOIN trigger_event AS earlier ON earlier.run_id = chain.run_id
      JOIN run ON run.id = earlier.cause_id
     WHERE chain.depth <= :depth)
SELECT event_id, automation_id, max(depth) AS depth FROM chain GROUP BY event_id, automation_id

-- name: busy
-- What the automation's runs that go on are about.
SELECT DISTINCT coalesce(event.about, '') AS about
  FROM run
  LEFT JOIN trigger_event AS event ON event.run_id = run.id AND event.state = 'taken'
 WHERE run.automation_id = :automation AND run.settled_at IS NULL AND run.stop_why = ''

-- name: lately
-- Runs within the last hour that nobody began by hand.
SELECT count(*) FROM run
 WHERE automation_id = :automation AND started_by IS NULL
   AND created_at > now() - interval '1 hour'

-- name: drop
UPDATE trigger_event
   SET state = 'dropped', why = one.why, into_id = one.into_id
  FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS one (id uuid, why text, into_id uuid)
 WHERE trigger_event.id = one.id AND trigger_event.state = 'waiting'

-- name: wait
UPDATE trigger_event
   SET act_at = one.until, why = one.why
  FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS one (id uuid, why text, until timestamptz)
 WHERE trigger_event.id = one.id AND trigger_event.state = 'waiting'

-- name: hold
-- Whoever ends before its run has begun leaves it to the next, after a while.
UPDATE trigger_event
   SET attempts = trigger_event.attempts + 1, why = '', facts = latest.facts,
       held_until = clock_timestamp() + make_interval(secs => :seconds),
       act_at = clock_timestamp() + make_interval(secs => :seconds)
  FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS one (id uuid, latest uuid)
  JOIN trigger_event AS latest ON latest.id = one.latest
  JOIN automation_trigger AS trigger ON trigger.id = latest.trigger_id
 WHERE trigger_event.id = one.id AND trigger_event.state = 'waiting'
RETURNING trigger_event.id, trigger_event.attempts, trigger_event.facts,
          trigger_event.repository, trigger.kind

-- name: not_taken
-- Only as long as nobody else has tried since.
UPDATE trigger_event
   SET state = :state, why = :why, held_until = NULL,
       act_at = clock_timestamp() + make_interval(secs => :seconds)
 WHERE id = :event AND state = 'waiting' AND attempts = :attempts

-- name: put_off
-- What is due of an automation about which nothing can be decided; the last try drops it.
UPDATE trigger_event
   SET attempts = attempts + 1,
       state = CASE WHEN attempts + 1 < :most THEN 'waiting' ELSE 'dropped' END,
       why = CASE WHEN attempts + 1 < :most THEN '' ELSE 'failed' END,
       act_at = clock_timestamp()
                + make_interval(secs => least(:seconds_max, :seconds * power(2, attempts)))
 WHERE state = 'waiting' AND act_at <= clock_timestamp()
   AND trigger_id IN (SELECT id FROM automation_trigger WHERE automation_id = :automation)
RETURNING state
