-- Firings of reminders as they are acted on; see bot/automate/reminders/firings.py.

-- name: take
SELECT firing.id AS firing_id, firing.due_at AS fired_for, firing.missed, firing.attempts,
       reminder.id, reminder.short, reminder.creator_id, reminder.project_id,
       reminder.session_id, reminder.what, reminder.is_prompt, reminder.said,
       reminder.targets, reminder.quiet, reminder.language, reminder.schedule_id,
       reminder.only_changed, reminder.by_agent, reminder.last_answer, reminder.answered_at,
       reminder.thread_id, firing.prompt_id, firing.fired_at,
       firing.why, schedule.zone, schedule.state, person.name AS creator,
       schedule.state = 'active' AND schedule.due_at <= clock_timestamp()
       OR EXISTS (SELECT FROM firing AS later
                   WHERE later.schedule_id = firing.schedule_id AND later.state = 'due'
                     AND later.due_at > firing.due_at) AS comes_again,
       person.deactivated_at IS NULL AS creator_active,
       project.removed_at IS NULL AS project_there, clock_timestamp() AS now
  FROM firing JOIN reminder ON reminder.schedule_id = firing.schedule_id
  JOIN schedule ON schedule.id = firing.schedule_id
  JOIN person ON person.id = reminder.creator_id
  JOIN project ON project.id = reminder.project_id
 WHERE firing.state = 'due' AND firing.act_at <= clock_timestamp()
 ORDER BY firing.act_at LIMIT 1 FOR UPDATE OF firing SKIP LOCKED

-- name: hold
-- What is asked for is not passed over any more.
UPDATE firing
   SET why = '', attempts = attempts + 1, act_at = clock_timestamp() + make_interval(secs => :seconds)
 WHERE id = :id

-- name: put_off
-- What has been taken again since is somebody else's.
UPDATE firing
   SET attempts = :attempts, act_at = clock_timestamp() + make_interval(secs => :seconds)
 WHERE id = :id AND state = 'due' AND attempts <= :attempts

-- name: wait
UPDATE firing SET act_at = :until, why = :why WHERE id = :id

-- name: passed_over
WITH passed AS (
    UPDATE firing SET state = 'skipped', why = 'quiet', ended_at = clock_timestamp()
     WHERE schedule_id = :schedule AND state = 'due' AND why = 'quiet' AND due_at < :due
    RETURNING missed + 1 AS missed)
UPDATE firing SET missed = missed + (SELECT coalesce(sum(missed), 0) FROM passed)
 WHERE id = :id

-- name: has_place
SELECT EXISTS (SELECT FROM thread WHERE id = ANY(:threads))

-- name: stands
SELECT schedule.state FROM firing JOIN schedule ON schedule.id = firing.schedule_id
 WHERE firing.id = :id AND firing.state = 'due' FOR UPDATE OF firing

-- name: asked
UPDATE firing
   SET prompt_id = :prompt, attempts = 0,
       act_at = clock_timestamp() + make_interval(secs => :seconds)
 WHERE id = :id AND state = 'due'

-- name: end
UPDATE firing SET state = :state, why = :why, ended_at = clock_timestamp()
 WHERE id = :id AND state = 'due'
