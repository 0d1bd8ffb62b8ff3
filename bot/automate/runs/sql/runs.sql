-- Reading runs and their targets. Parameters are named as in run_rows.py.

-- name: find
-- One run.
SELECT run.id, run.short, run.name, run.automation_id, automation.short AS automation,
       run.project_id, project.name AS project, run.definition, run.trigger, run.reports,
       run.stop_why, stopper.name AS stopped_by, run.runs_as_id,
       runner.name AS runs_as, run.started_by AS started_by_id, starter.name AS started_by,
       run.session_id, CASE WHEN session.private_to IS NULL THEN session.short END AS session,
       run.created_at, run.settled_at, clock_timestamp() AS now
  FROM run JOIN project ON project.id = run.project_id
  JOIN person AS runner ON runner.id = run.runs_as_id
  LEFT JOIN person AS starter ON starter.id = run.started_by
  LEFT JOIN person AS stopper ON stopper.id = run.stopped_by
  LEFT JOIN automation ON automation.id = run.automation_id
  LEFT JOIN session ON session.id = run.session_id
 WHERE (CAST(:short AS text) IS NULL OR run.short = :short)
   AND (CAST(:run AS uuid) IS NULL OR run.id = :run)

-- name: lock
-- The same run's row, for who changes it.
SELECT id FROM run WHERE short = :short FOR UPDATE

-- name: listed
-- Runs, the newest first, each with how many of its targets are in which state.
SELECT run.id, run.short, run.name, automation.short AS automation, run.project_id,
       project.name AS project, run.trigger, run.stop_why, runner.name AS runs_as,
       starter.name AS started_by, run.created_at, run.settled_at, counted.states
  FROM run JOIN project ON project.id = run.project_id
  JOIN person AS runner ON runner.id = run.runs_as_id
  LEFT JOIN person AS starter ON starter.id = run.started_by
  LEFT JOIN automation ON automation.id = run.automation_id
 CROSS JOIN LATERAL (
       SELECT coalesce(jsonb_object_agg(state, targets), '{}') AS states
         FROM (SELECT state, count(*) AS targets FROM run_target
                WHERE run_id = run.id GROUP BY state) AS grouped) AS counted
 WHERE (CAST(:project AS text) IS NULL OR project.name = :project)
   AND (CAST(:automation AS text) IS NULL
        OR automation.short = :automation OR run.name = :automation)
   AND (CAST(:before AS timestamptz) IS NULL OR run.created_at < :before)
 ORDER BY run.created_at DESC, run.id DESC LIMIT :limit

-- name: tallied
-- What of each target counts.
SELECT target.state, target.started_at, target.ended_at, cost.micro AS cost_micro
  FROM run_target AS target
 CROSS JOIN LATERAL (
       SELECT CAST(coalesce(sum(charge.cost_micro), 0) AS bigint) AS micro FROM charge
        WHERE charge.session_id IN (SELECT target.session_id UNION ALL
                                    SELECT CAST(jsonb_array_elements_text(target.earlier) AS uuid))
          AND charge.state <> 'reserved') AS cost
 WHERE target.run_id = :run

-- name: targets
-- Targets in the order of their places.
SELECT target.place, target.repository, target.project_id, project.name AS project,
       target.state, target.why, target.attempt, target.step,
       CASE WHEN session.private_to IS NULL THEN session.short END AS session, session.branch,
       target.results -> -1 ->> 'outcome' AS outcome, target.report,
       left(target.results -> -1 ->> 'text', :text_length) AS answer,
       target.state IN ('done', 'failed', 'skipped', 'stopped')
       AND (target.project_id IS NOT NULL OR target.url <> '') AS can_rerun,
       target.started_at, target.ended_at, cost.micro AS cost_micro, opened.pulls,
       EXISTS (SELECT FROM question
                WHERE question.session_id = target.session_id AND question.state = 'open') AS asks
  FROM run_target AS target
  LEFT JOIN project ON project.id = target.project_id
  LEFT JOIN session ON session.id = target.session_id
 CROSS JOIN LATERAL (
       SELECT array_agg(id) AS ids
         FROM (SELECT target.session_id AS id UNION ALL
               SELECT CAST(jsonb_array_elements_text(target.earlier) AS uuid)) AS had) AS attempts
 CROSS JOIN LATERAL (
       SELECT CAST(coalesce(sum(charge.cost_micro), 0) AS bigint) AS micro FROM charge
        WHERE charge.session_id = ANY(attempts.ids) AND charge.state <> 'reserved') AS cost
 CROSS JOIN LATERAL (
       SELECT coalesce(jsonb_agg(jsonb_build_object(
                  'repository', repository, 'number', number, 'url', url, 'state', state,
                  'draft', draft) ORDER BY created_at), '[]') AS pulls
         FROM pull_request WHERE session_id = ANY(attempts.ids)) AS opened
 WHERE target.run_id = :run AND target.place > :after
   AND (CAST(:state AS text) IS NULL OR target.state = :state)
   AND (CAST(:places AS integer[]) IS NULL OR target.place = ANY(:places))
   AND (NOT :opened OR opened.pulls <> '[]')
 ORDER BY target.place LIMIT :limit

-- name: reports
-- The beginnings of what is reported of the targets of a run.
SELECT left(report, 100) FROM run_target WHERE run_id = :run AND report <> ''

-- name: undone
-- Targets that did not come to a good end, the first ones.
SELECT place, repository, why FROM run_target
 WHERE run_id = :run AND state IN ('failed', 'stopped')
 ORDER BY state, place LIMIT :limit

-- name: asking
-- Running targets whose agent waits for a person, the first ones.
SELECT target.place, target.repository,
       CASE WHEN session.private_to IS NULL THEN session.short END AS session
  FROM run_target AS target JOIN session ON session.id = target.session_id
 WHERE target.run_id = :run AND target.state = 'running'
   AND EXISTS (SELECT FROM question WHERE question.session_id = session.id AND state = 'open')
 ORDER BY target.place LIMIT :limit

-- name: pulls
-- The pull requests of a run, the open ones first.
SELECT target.place, pull.repository, pull.number, pull.url, pull.state, pull.draft
  FROM run_target AS target
  JOIN pull_request AS pull
    ON pull.session_id IN (SELECT target.session_id UNION ALL
                           SELECT CAST(jsonb_array_elements_text(target.earlier) AS uuid))
 WHERE target.run_id = :run
 ORDER BY array_position(ARRAY['open', 'merged', 'closed'], pull.state), target.place,
          pull.created_at LIMIT :limit

-- name: pull_counts
-- How many of them are in which state.
SELECT pull.state, count(*) AS pulls
  FROM run_target AS target
  JOIN pull_request AS pull
    ON pull.session_id IN (SELECT target.session_id UNION ALL
                           SELECT CAST(jsonb_array_elements_text(target.earlier) AS uuid))
 WHERE target.run_id = :run GROUP BY pull.state
