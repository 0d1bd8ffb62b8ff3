-- name: reserve
-- Set the worst case aside in every budget that is asked, and note it where all of them bear it: the
-- caller rolls back when no row returns. Its commit waits for no disk. In the order of the key, so
-- that two turns that share budgets wait for each other in one direction.
WITH today AS (
    SELECT CAST(now() AT TIME ZONE 'UTC' AS date) AS day,
           set_config('synchronous_commit', 'off', true) AS soon
), asked AS (
    SELECT kind, owner, limit_micro,
           CASE kind WHEN 'session' THEN CAST(:whole AS date) ELSE today.day END AS day
      FROM unnest(CAST(:kinds AS text[]), CAST(:owners AS uuid[]), CAST(:limits AS bigint[]))
           AS one (kind, owner, limit_micro), today
), borne AS (
    INSERT INTO budget AS known (kind, owner, day, limit_micro, reserved_micro)
    SELECT kind, owner, day, asked.limit_micro, CAST(:worst AS bigint)
      FROM asked LEFT JOIN budget USING (kind, owner, day)
     WHERE asked.limit_micro IS NULL
        OR CAST(:worst AS bigint) <= asked.limit_micro + coalesce(budget.extra_micro, 0)
     ORDER BY kind, owner, day
        ON CONFLICT (kind, owner, day) DO UPDATE
       SET limit_micro = excluded.limit_micro,
           reserved_micro = known.reserved_micro + excluded.reserved_micro
     WHERE excluded.limit_micro IS NULL
        OR known.spent_micro + known.reserved_micro + excluded.reserved_micro
           <= excluded.limit_micro + known.extra_micro
    RETURNING kind
)
INSERT INTO charge (id, turn_id, session_id, person_id, project_id, day, provider, model,
                    worst_micro)
SELECT CAST(:id AS uuid), CAST(:turn AS uuid), CAST(:session AS uuid), CAST(:person AS uuid),
       CAST(:project AS uuid), today.day, CAST(:provider AS text), CAST(:model AS text),
       CAST(:worst AS bigint)
  FROM today
 WHERE (SELECT count(*) FROM borne) = cardinality(CAST(:kinds AS text[]))
RETURNING id

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
