-- Runs as they go on; see bot/automate/runs/running.py.

-- name: due
-- Runs that are to be looked at: their time has come, or something happened in a session of theirs.
-- One that is put off waits for its time, whatever happens: its tries would be over in no time.
-- What was seen later than now was seen before the clock was set back.
SELECT id FROM run
 WHERE settled_at IS NULL
   AND (look_at <= clock_timestamp()
        OR (tries = 0 AND (id = ANY(CAST(:hinted AS uuid[])) OR seen_at > clock_timestamp())))
 ORDER BY look_at LIMIT 100

-- name: take
-- Whoever has the row looks at it; others leave it alone meanwhile.
SELECT id, short, name, automation_id, project_id, runs_as_id, definition, trigger, session_id,
       reports, stop_why, started_by, tries
  FROM run WHERE id = :run AND settled_at IS NULL FOR NO KEY UPDATE SKIP LOCKED

-- name: again
UPDATE run
   SET look_at = clock_timestamp() + make_interval(secs => :seconds), seen_at = clock_timestamp(),
       seconds = seconds + least(CAST(:most AS float8), greatest(0,
           CAST(extract(epoch FROM clock_timestamp() - seen_at) AS float8)))
 WHERE id = :run
RETURNING seconds

-- name: begun
-- Targets whose first turn has begun since the last look.
UPDATE run_target SET begun_seconds = run.seconds
  FROM run
 WHERE run.id = :run AND run_target.run_id = run.id AND run_target.state = 'running'
   AND run_target.begun_seconds IS NULL
   AND EXISTS (SELECT FROM turn WHERE turn.session_id = run_target.session_id)

-- name: cost
-- What the models of its sessions cost so far, in micro-dollars.
SELECT coalesce(sum(CASE WHEN charge.state = 'reserved' THEN 0 ELSE charge.cost_micro END), 0)
  FROM charge
 WHERE charge.session_id IN (SELECT session_id FROM run_target WHERE run_id = :run
                             UNION ALL
                             SELECT CAST(jsonb_array_elements_text(earlier) AS uuid)
                               FROM run_target WHERE run_id = :run)

-- name: moving
SELECT run_target.id, run_target.step, run_target.session_id IS NOT NULL AS has_session,
       coalesce(run_target.try_at > clock_timestamp(), false) AS put_off,
       coalesce(run.seconds - run_target.begun_seconds, 0) AS seconds,
       run_target.session_id, coalesce(prompt.state, 'cancelled') AS prompt,
       coalesce(turn.state, '') AS outcome, coalesce(turn.outcome ->> 'summary', '') AS summary
  FROM run_target JOIN run ON run.id = run_target.run_id
  LEFT JOIN prompt ON prompt.id = run_target.prompt_id
  LEFT JOIN turn ON turn.prompt_id = prompt.id
 WHERE run_target.run_id = :run AND run_target.state = 'running'
 ORDER BY run_target.place

-- name: waiting
-- Those that are put off take nobody's place.
SELECT id, coalesce(try_at > clock_timestamp(), false) AS put_off FROM run_target
 WHERE run_id = :run AND state = 'waiting' ORDER BY put_off, place LIMIT :limit

-- name: target
-- One target, as long as it is where it was seen; whoever has it acts on it.
SELECT run_target.id, run_target.run_id, run_target.place, run_target.project_id,
       run_target.repository, run_target.url, run_target.state, run_target.attempt,
       run_target.session_id, run_target.prompt_id, run_target.step, run_target.results,
       run_target.report, run_target.tries, run.short AS run, run.name, run.definition, run.trigger,
       run.runs_as_id, run.automation_id, run.reports, run.stop_why,
       run.session_id AS run_session_id,
       (SELECT count(*) FROM run_target AS other
         WHERE other.run_id = run.id AND other.state = 'running') AS running,
       (SELECT count(*) FROM run_target AS other WHERE other.run_id = run.id) AS total
  FROM run_target JOIN run ON run.id = run_target.run_id
 WHERE run_target.id = :target AND run_target.state = :state
   FOR NO KEY UPDATE OF run, run_target

-- name: started
UPDATE run_target
   SET state = 'running', session_id = :session, project_id = :project, step = 0, prompt_id = NULL,
       results = '[]', report = '', why = '', started_at = clock_timestamp(), ended_at = NULL
 WHERE id = :target AND state = 'waiting'

-- name: stepped
UPDATE run_target
   SET step = :step, prompt_id = :prompt, results = CAST(:results AS jsonb), report = :report,
       tries = 0, try_at = NULL
 WHERE id = :target AND state = 'running'

-- name: put_off
UPDATE run_target
   SET tries = tries + 1, try_at = clock_timestamp() + make_interval(secs => :seconds)
 WHERE id = :target AND state IN ('waiting', 'running')

-- name: ended
UPDATE run_target
   SET state = :state, why = :why, ended_at = clock_timestamp(),
       started_at = coalesce(started_at, clock_timestamp())
 WHERE id = :target AND state IN ('waiting', 'running')

-- name: said
-- What the turn of a prompt said last: an agent after its last tool, or what a command wrote.
SELECT right(coalesce(nullif(agent.text, ''), command.text, ''), :most) AS text
  FROM turn
  LEFT JOIN LATERAL (
       SELECT string_agg(event.body ->> 'text', '' ORDER BY event.number) AS text
         FROM turn_event AS event
        WHERE event.turn_id = turn.id AND event.kind = 'text'
          AND event.number > coalesce(
                (SELECT max(tool.number) FROM turn_event AS tool
                  WHERE tool.turn_id = turn.id AND tool.kind = 'tool'
                    AND EXISTS (SELECT FROM turn_event AS after
                                 WHERE after.turn_id = turn.id AND after.kind = 'text'
                                   AND after.number > tool.number)), 0)) AS agent ON true
  LEFT JOIN LATERAL (
       SELECT string_agg(event.body ->> 'text', '' ORDER BY event.number) AS text
         FROM turn_event AS event
        WHERE event.turn_id = turn.id AND event.kind = 'output') AS command ON true
 WHERE turn.prompt_id = :prompt

-- name: counts
SELECT state, count(*) AS count FROM run_target WHERE run_id = :run GROUP BY state

-- name: of_run
-- The session of its only target, also of another attempt: replies go to the newest.
UPDATE run SET session_id = :session WHERE id = :run

-- name: settle
UPDATE run SET settled_at = clock_timestamp(), tries = 0
 WHERE id = :run AND settled_at IS NULL
   AND NOT EXISTS (SELECT FROM run_target
                    WHERE run_id = :run AND state IN ('waiting', 'running'))
RETURNING id

-- name: run_put_off
UPDATE run SET tries = tries + 1, look_at = clock_timestamp() + make_interval(secs => :seconds)
 WHERE id = :run AND settled_at IS NULL

-- name: came_off
UPDATE run SET tries = 0 WHERE id = :run AND tries > 0

-- name: give_up
UPDATE run_target
   SET state = 'failed', why = :why, ended_at = clock_timestamp(),
       started_at = coalesce(started_at, clock_timestamp())
 WHERE run_id = :run AND state IN ('waiting', 'running')
RETURNING session_id
