-- name: running
-- The turn of a session, and whether it runs now or waits for something.
SELECT turn.id AS turn_id, session.id AS session_id, prompt.author_id AS person_id,
       session.project_id, prompt.read_only, session.state = 'running' AS runs
  FROM session
  JOIN turn ON turn.session_id = session.id AND turn.state = 'running'
  JOIN prompt ON prompt.id = turn.prompt_id
 WHERE session.id = :session AND session.state IN ('running', 'waiting', 'queued')

-- name: reserve
-- Set the worst case aside in every budget of the turn that runs, and note it, where all of them
-- bear it: by what stands there now (else nothing is written), and once more as each is changed.
-- Where one was spent in between, the charge gets no worst case, which undoes the statement. Its
-- commit waits for no disk. In the order of the key, so that two turns that share budgets wait for
-- each other in one direction. Returns the turn, if one is under way.
WITH today AS (
    SELECT CAST(now() AT TIME ZONE 'UTC' AS date) AS day,
           set_config('synchronous_commit', 'off', true) AS soon
), payer AS (
    {running}
), asked AS (
    SELECT one.*
      FROM today, payer, LATERAL (VALUES
           ('person', person_id, today.day, CAST(:person_limit AS bigint)),
           ('project', project_id, today.day, CAST(:project_limit AS bigint)),
           ('session', session_id, CAST(:whole AS date), CAST(:session_limit AS bigint))
      ) AS one (kind, owner, day, limit_micro)
     WHERE runs AND turn_id = coalesce(CAST(:turn AS uuid), turn_id)
), fitting AS (
    SELECT bool_and(asked.limit_micro IS NULL
                    OR coalesce(spent_micro + reserved_micro, 0) + CAST(:worst AS bigint)
                       <= asked.limit_micro + coalesce(extra_micro, 0)) AS fits
      FROM asked LEFT JOIN budget USING (kind, owner, day)
), borne AS (
    INSERT INTO budget AS known (kind, owner, day, limit_micro, reserved_micro)
    SELECT kind, owner, day, limit_micro, CAST(:worst AS bigint)
      FROM asked, fitting
     WHERE fits
     ORDER BY kind, owner, day
        ON CONFLICT (kind, owner, day) DO UPDATE
       SET limit_micro = excluded.limit_micro,
           reserved_micro = known.reserved_micro + excluded.reserved_micro
     WHERE excluded.limit_micro IS NULL
        OR known.spent_micro + known.reserved_micro + excluded.reserved_micro
           <= excluded.limit_micro + known.extra_micro
    RETURNING kind
), made AS (
    INSERT INTO charge (id, turn_id, session_id, person_id, project_id, day, provider, model,
                        worst_micro)
    SELECT CAST(:id AS uuid), turn_id, session_id, person_id, project_id, today.day,
           CAST(:provider AS text), CAST(:model AS text),
           CASE WHEN (SELECT count(*) FROM borne) = (SELECT count(*) FROM asked)
                THEN CAST(:worst AS bigint) END
      FROM today, payer, fitting
     WHERE fits
    RETURNING id
)
SELECT payer.*, EXISTS (SELECT FROM made) AS is_borne FROM payer

-- name: left
-- What is left of each of these budgets: what a refusal tells.
SELECT asked.kind, asked.limit_micro + coalesce(known.extra_micro, 0) AS limit_micro,
       coalesce(known.spent_micro, 0) AS spent_micro,
       coalesce(known.reserved_micro, 0) AS reserved_micro
  FROM unnest(CAST(:kinds AS text[]), CAST(:owners AS uuid[]), CAST(:limits AS bigint[]))
           AS asked (kind, owner, limit_micro)
  LEFT JOIN budget AS known
    ON known.kind = asked.kind AND known.owner = asked.owner
   AND known.day = CASE asked.kind WHEN 'session' THEN CAST(:whole AS date)
                                   ELSE CAST(now() AT TIME ZONE 'UTC' AS date) END
 WHERE asked.limit_micro IS NOT NULL
 ORDER BY asked.kind

-- name: settle
-- Write what a request did cost, once; nothing returns where that was done before.
UPDATE charge
   SET state = :state, cost_micro = :cost, fault = :fault,
       input_tokens = :input, output_tokens = :output,
       cache_read_tokens = :cache_read, cache_write_tokens = :cache_write, settled_at = now()
 WHERE id = :id AND state = 'reserved'
RETURNING session_id, person_id, project_id, day, worst_micro

-- name: book
-- Take from its budgets what was set aside, and add what it did cost.
UPDATE budget
   SET reserved_micro = reserved_micro - :worst, spent_micro = spent_micro + :cost
  FROM (SELECT kind, owner, day FROM budget
         WHERE (kind, owner, day) IN (('session', CAST(:session AS uuid), :whole),
                                      ('person', CAST(:person AS uuid), :day),
                                      ('project', CAST(:project AS uuid), :day))
         ORDER BY kind, owner, day FOR UPDATE) AS mine
 WHERE (budget.kind, budget.owner, budget.day) = (mine.kind, mine.owner, mine.day)

-- name: stale
-- Requests whose end nobody has told: the process that carried them is gone.
SELECT id, worst_micro FROM charge
 WHERE state = 'reserved' AND created_at < now() - make_interval(secs => :seconds)
 ORDER BY created_at LIMIT 1000

-- name: left_by
-- Requests of the machines of a host, whose gateway has only just started: nobody carries them.
SELECT charge.id, charge.worst_micro FROM charge JOIN session ON session.id = charge.session_id
 WHERE charge.state = 'reserved' AND session.host_id = :host
 ORDER BY charge.created_at LIMIT 1000

-- name: extend
-- Let a session spend more.
INSERT INTO budget AS known (kind, owner, day, extra_micro)
VALUES ('session', :session, :whole, :extra)
    ON CONFLICT (kind, owner, day) DO UPDATE SET extra_micro = known.extra_micro + :extra

-- name: spent
-- What turns used, together: of a session, a turn, a person, a project, or since a day.
SELECT model, count(*) AS requests, sum(cost_micro) AS cost_micro,
       sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
       sum(cache_read_tokens) AS cache_read_tokens, sum(cache_write_tokens) AS cache_write_tokens,
       bool_or(state = 'estimated') AS is_estimated
  FROM charge
 WHERE state <> 'reserved'
   AND (CAST(:turn AS uuid) IS NULL OR turn_id = :turn)
   AND (CAST(:session AS uuid) IS NULL OR session_id = :session)
   AND (CAST(:person AS uuid) IS NULL OR person_id = :person)
   AND (CAST(:project AS uuid) IS NULL OR project_id = :project)
   AND (CAST(:since AS date) IS NULL OR day >= :since)
 GROUP BY model ORDER BY cost_micro DESC, model
