-- The queue: a worker leases a session, not a prompt. Parameters are named as in bot/work/queue.py.
-- The database's clock alone decides about leases. A statement of a holder carries its token, or
-- runs after `hold` in the same transaction.
--
-- A statement sees what was committed before it began, not what was while it waited for a row. Who
-- enqueues therefore takes the session's row first. A holder's steps are one statement each: they
-- change the row only if nothing was appended to the session since they looked (`event_last` is as
-- `seen`), and are tried again otherwise.

-- name: lock
-- Take the session's row before anything is decided; enqueues of one session line up here.
SELECT id, state, agent, project_id, creator_id, stop, held_by
  FROM session WHERE id = :session FOR NO KEY UPDATE

-- name: hold
-- Take the row as the holder of the lease; no row: somebody else claimed the session since.
SELECT id, state, stop FROM session
 WHERE id = :session AND lease_token = :token AND lease_owner = :owner
   FOR NO KEY UPDATE

-- name: claim
-- Lease the session that is due first: people before automations, then who waited longest; of people
-- only, when the slots that are left are kept for them. Nobody waits for the disk here: a crash of
-- the database may forget a claim and give its token again. It is on the disk before anything is done
-- under it, because `hold` comes first and is waited for. What is halted is not handed out, unless it
-- has an open turn: that one is to be ended. The rule is that of `bot.govern.halt`; here and in
-- `next_due`. A session whose machine is on another host is handed out once that is given up: whoever
-- takes it takes it over (bot/work/taking_over.py) before anything else.
WITH due AS (
    SELECT id FROM session
     WHERE state IN ('queued', 'running')
       AND (lease_until IS NULL OR lease_until < clock_timestamp())
       AND (host_id IS NULL OR host_id = :host
            OR host_id IN (SELECT id FROM host WHERE given_up_at IS NOT NULL))
       AND (priority <= 0 OR NOT CAST(:people_only AS boolean))
       AND (NOT EXISTS (SELECT FROM halt)
            OR EXISTS (SELECT FROM turn WHERE turn.session_id = session.id AND turn.state = 'running')
            OR NOT EXISTS (SELECT FROM halt
                            WHERE scope = 'all' OR halt.project_id = session.project_id
                               OR halt.person_id = (SELECT author_id FROM prompt
                                                     WHERE prompt.session_id = session.id
                                                       AND prompt.state = 'queued'
                                                     ORDER BY position LIMIT 1)))
     ORDER BY priority, ready_at
     LIMIT 1
       FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE session
   SET state = 'running',
       lease_owner = :owner,
       lease_token = lease_token + 1,
       lease_until = clock_timestamp() + make_interval(secs => :lease_seconds)
  FROM due
 WHERE session.id = due.id
RETURNING session.id, session.short, session.lease_token AS token, session.project_id,
          session.agent, session.model, session.branch, session.base_branch, session.host_id,
          extract(epoch FROM clock_timestamp() - session.ready_at) AS waited_seconds,
          set_config('synchronous_commit', 'off', true)

-- name: renew
-- Keep the leases that nobody took meanwhile, even if they ran out; note how long turns ran.
WITH held AS (
    SELECT * FROM unnest(CAST(:sessions AS uuid[]), CAST(:tokens AS bigint[]),
                         CAST(:turns AS uuid[]), CAST(:ran AS double precision[]))
               AS held (id, token, turn, ran_seconds)
), kept AS (
    UPDATE session
       SET lease_until = clock_timestamp() + make_interval(secs => :lease_seconds)
      FROM held
     WHERE session.id = held.id AND session.lease_token = held.token
       AND session.lease_owner = :owner
    RETURNING session.id, held.turn, held.ran_seconds
), clocked AS (
    UPDATE turn SET ran_seconds = kept.ran_seconds FROM kept WHERE turn.id = kept.turn
)
SELECT id FROM kept

-- name: clock
-- Note how long a turn ran; whoever holds it next counts on.
UPDATE turn SET ran_seconds = :ran WHERE id = :turn

-- name: next_due
-- Seconds until something can be claimed: at once if a session is queued whose row an enqueue had
-- locked while we claimed (its hint is spent), else when a lease of another worker runs out.
SELECT extract(epoch FROM min(coalesce(lease_until, clock_timestamp())) - clock_timestamp())
  FROM session
 WHERE state IN ('queued', 'running') AND lease_owner IS DISTINCT FROM :owner
   AND (host_id IS NULL OR host_id = :host
        OR host_id IN (SELECT id FROM host WHERE given_up_at IS NOT NULL))
   AND (priority <= 0 OR NOT CAST(:people_only AS boolean))
   AND (NOT EXISTS (SELECT FROM halt)
        OR EXISTS (SELECT FROM turn WHERE turn.session_id = session.id AND turn.state = 'running')
        OR NOT EXISTS (SELECT FROM halt
                        WHERE scope = 'all' OR halt.project_id = session.project_id
                           OR halt.person_id = (SELECT author_id FROM prompt
                                                 WHERE prompt.session_id = session.id
                                                   AND prompt.state = 'queued'
                                                 ORDER BY position LIMIT 1)))

-- name: asked
-- What people asked of a session under this lease: to stop, and whose prompt is next or runs, by
-- which it is told whether it is halted. No row: the lease is lost. It is asked again and again, so
-- the row is not taken: that would wait for the disk each time.
SELECT session.stop, session.project_id,
       (SELECT author_id FROM prompt
         WHERE prompt.session_id = session.id AND prompt.state IN ('queued', 'running')
         ORDER BY prompt.state = 'running' DESC, position LIMIT 1) AS author_id,
       EXISTS (SELECT FROM halt) AS some_halt
  FROM session
 WHERE session.id = :session AND session.lease_token = :token AND session.lease_owner = :owner

-- name: look
-- Take the row as its new holder: what a person asked for, the turn that an earlier holder left
-- open, and whether a prompt waits.
SELECT session.stop, turn.id, turn.prompt_id, turn.machine_id, turn.cursor, turn.batches,
       turn.unreached, turn.ran_seconds, prompt.kind, coalesce(prompt.kept_back, false) AS kept_back,
       (SELECT coalesce(string_agg(delivery.text, E'\n' ORDER BY delivery.event), '')
          FROM delivery WHERE delivery.prompt_id = turn.prompt_id) AS text,
       (SELECT coalesce(jsonb_agg(one.value ORDER BY delivery.event, one.place), '[]')
          FROM delivery, jsonb_array_elements(delivery.quoted)
               WITH ORDINALITY AS one (value, place)
         WHERE delivery.prompt_id = turn.prompt_id) AS quoted,
       (SELECT count(*) FROM attachment JOIN delivery ON delivery.id = attachment.delivery_id
         WHERE delivery.prompt_id = turn.prompt_id) AS files,
       EXISTS (SELECT FROM prompt AS next
                WHERE next.session_id = session.id AND next.state = 'queued') AS prompt_waits
  FROM session
  LEFT JOIN turn ON turn.session_id = session.id AND turn.state = 'running'
  LEFT JOIN prompt ON prompt.id = turn.prompt_id
 WHERE session.id = :session AND session.lease_token = :token AND session.lease_owner = :owner
   FOR NO KEY UPDATE OF session

-- name: begin_turn
-- Start the turn of the next prompt, with everything that was said in it, in the order in which it
-- came in. A prompt that names an agent or a model changes those of its session: nothing else does,
-- so that whoever goes on with the turn finds in the session what it was begun with. Where a prompt
-- is named, it begins that one or none. No row: the lease is lost; no number: try again.
WITH seen AS MATERIALIZED (
    SELECT id, event_last, stop FROM session
     WHERE id = :session AND lease_token = :token AND lease_owner = :owner
), first AS MATERIALIZED (
    SELECT prompt.id, prompt.kind, prompt.kept_back, prompt.author_id, prompt.thread_id,
           prompt.asker, prompt.language, prompt.agent, prompt.model, person.name, thread.surface
      FROM prompt JOIN seen ON prompt.session_id = seen.id
      JOIN person ON person.id = prompt.author_id
      LEFT JOIN thread ON thread.id = prompt.thread_id
     WHERE prompt.state = 'queued' AND seen.stop IS NULL
     ORDER BY prompt.position LIMIT 1
), next AS MATERIALIZED (
    SELECT * FROM first WHERE CAST(:prompt AS uuid) IS NULL OR id = :prompt
), said AS (
    SELECT coalesce(string_agg(delivery.text, E'\n' ORDER BY delivery.event), '') AS text
      FROM delivery JOIN next ON delivery.prompt_id = next.id
), came AS (
    SELECT count(*) AS files
      FROM attachment JOIN delivery ON delivery.id = attachment.delivery_id
      JOIN next ON delivery.prompt_id = next.id
), before AS (
    SELECT coalesce(jsonb_agg(one.value ORDER BY delivery.event, one.place), '[]') AS quoted
      FROM delivery JOIN next ON delivery.prompt_id = next.id
     CROSS JOIN jsonb_array_elements(delivery.quoted) WITH ORDINALITY AS one (value, place)
), numbered AS (
    UPDATE session
       SET event_last = session.event_last + 1,
           agent = coalesce(next.agent, session.agent),
           model = CASE WHEN next.agent IS NULL AND next.model IS NULL THEN session.model
                        ELSE next.model END
      FROM seen, next
     WHERE session.id = seen.id AND session.event_last = seen.event_last
       AND session.lease_token = :token AND session.lease_owner = :owner AND session.stop IS NULL
    RETURNING session.event_last AS number, session.agent, session.model
), taken AS (
    UPDATE prompt SET state = 'running' FROM next, numbered WHERE prompt.id = next.id
), begun AS (
    INSERT INTO turn (id, session_id, prompt_id, machine_id)
    SELECT :turn, :session, next.id, :machine FROM next, numbered
), logged AS (
    INSERT INTO turn_event (session_id, number, turn_id, kind, body)
    SELECT :session, numbered.number, :turn, 'turn.started',
           jsonb_build_object('prompt', next.id, 'author', next.author_id, 'text', said.text,
                              'asked_in', next.thread_id, 'asker', next.asker,
                              'language', next.language, 'agent', numbered.agent,
                              'name', next.name, 'surface', next.surface)
      FROM numbered, next, said
)
SELECT next.id AS prompt_id, next.kind, next.kept_back, said.text, before.quoted, came.files,
       numbered.number, numbered.agent, numbered.model
  FROM seen CROSS JOIN said CROSS JOIN before CROSS JOIN came LEFT JOIN next ON true LEFT JOIN numbered ON true

-- name: append
-- Number events under the session's row lock, without gaps, for whoever holds the lease.
WITH numbered AS (
    UPDATE session SET event_last = event_last + cardinality(CAST(:kinds AS text[]))
     WHERE id = :session
       AND (CAST(:token AS bigint) IS NULL OR lease_token = :token AND lease_owner = :owner)
    RETURNING event_last - cardinality(CAST(:kinds AS text[])) AS before
)
INSERT INTO turn_event (session_id, number, turn_id, kind, body)
SELECT :session, numbered.before + event.ordinal, :turn, event.kind, CAST(event.body AS jsonb)
  FROM numbered,
       unnest(CAST(:kinds AS text[]), CAST(:bodies AS text[]))
           WITH ORDINALITY AS event (kind, body, ordinal)
RETURNING number

-- name: record
-- Append what a turn's job did and remember how far its spool was read; a batch that was written
-- before is not written again: the answer to its commit was lost. No row: the lease is lost;
-- neither known nor written: try again.
WITH seen AS MATERIALIZED (
    SELECT session.id, session.event_last, turn.batches >= :batch AS known
      FROM session JOIN turn ON turn.session_id = session.id AND turn.id = :turn
     WHERE session.id = :session
       AND session.lease_token = :token AND session.lease_owner = :owner
), numbered AS (
    UPDATE session
       SET event_last = session.event_last + cardinality(CAST(:kinds AS text[]))
      FROM seen
     WHERE session.id = seen.id AND session.event_last = seen.event_last AND NOT seen.known
       AND session.lease_token = :token AND session.lease_owner = :owner
    RETURNING seen.event_last AS before
), moved AS (
    UPDATE turn
       SET batches = :batch, cursor = coalesce(CAST(:cursor AS jsonb), turn.cursor), unreached = 0
      FROM numbered WHERE turn.id = :turn
), logged AS (
    INSERT INTO turn_event (session_id, number, turn_id, kind, body)
    SELECT :session, numbered.before + event.ordinal, :turn, event.kind,
           CAST(event.body AS jsonb)
      FROM numbered,
           unnest(CAST(:kinds AS text[]), CAST(:bodies AS text[]))
               WITH ORDINALITY AS event (kind, body, ordinal)
)
SELECT seen.known, numbered.before IS NOT NULL AS written
  FROM seen LEFT JOIN numbered ON true

-- name: finish
-- Store a turn's outcome, once, with its last events, and give the lease back: to the end of the
-- line if prompts are open, held if a person asked for it. No turn: only give it back. No row: the
-- lease is lost; no state: try again.
WITH seen AS MATERIALIZED (
    SELECT session.id, session.event_last, turn.id AS turn_id, turn.prompt_id,
           EXISTS (SELECT FROM prompt
                    WHERE prompt.session_id = session.id AND prompt.state = 'queued') AS waits,
           CASE WHEN turn.id IS NULL THEN 0
                ELSE cardinality(CAST(:kinds AS text[])) END AS count
      FROM session
      LEFT JOIN turn ON turn.id = CAST(:turn AS uuid) AND turn.state = 'running'
     WHERE session.id = :session
       AND session.lease_token = :token AND session.lease_owner = :owner
), released AS (
    UPDATE session
       SET state = CASE
               WHEN session.state <> 'running' THEN session.state
               WHEN (session.stop ->> 'hold')::boolean THEN 'held'
               WHEN seen.waits THEN 'queued'
               ELSE 'idle' END,
           held_by = CASE WHEN (session.stop ->> 'hold')::boolean
                         THEN (session.stop ->> 'by')::uuid ELSE session.held_by END,
           lease_owner = NULL, lease_until = NULL, stop = NULL,
           ready_at = clock_timestamp(), active_at = now(),
           event_last = session.event_last + seen.count
      FROM seen
     WHERE session.id = seen.id AND session.event_last = seen.event_last
       AND session.lease_token = :token AND session.lease_owner = :owner
    RETURNING session.state, seen.event_last AS before, seen.turn_id, seen.prompt_id
), ended AS (
    UPDATE turn SET state = :state, outcome = CAST(:outcome AS jsonb), ended_at = now(),
           ran_seconds = coalesce(CAST(:ran AS double precision), turn.ran_seconds)
      FROM released WHERE turn.id = released.turn_id
), withdrawn AS (
    UPDATE question SET state = 'withdrawn'
      FROM released WHERE question.turn_id = CAST(:turn AS uuid) AND question.state = 'open'
), done AS (
    UPDATE prompt SET state = 'done' FROM released WHERE prompt.id = released.prompt_id
), logged AS (
    INSERT INTO turn_event (session_id, number, turn_id, kind, body)
    SELECT :session, released.before + event.ordinal, released.turn_id, event.kind,
           CAST(event.body AS jsonb)
      FROM released,
           unnest(CAST(:kinds AS text[]), CAST(:bodies AS text[]))
               WITH ORDINALITY AS event (kind, body, ordinal)
     WHERE released.turn_id IS NOT NULL
)
SELECT released.state FROM seen LEFT JOIN released ON true

-- name: hand_back
-- Give the lease back with the turn still open: the next process goes on with it at once.
UPDATE session
   SET state = 'queued', lease_owner = NULL, lease_until = NULL
 WHERE id = :session AND lease_token = :token AND lease_owner = :owner AND state = 'running'
RETURNING host_id

-- name: defer
-- Give the lease back until there may be capacity. All who wait come back at the same moment, so
-- that who waits longest is first.
UPDATE session
   SET state = 'queued', lease_owner = NULL,
       lease_until = date_trunc('second', clock_timestamp()) + make_interval(secs => :seconds)
 WHERE id = :session AND lease_token = :token AND lease_owner = :owner AND state = 'running'
RETURNING id

-- name: pause
-- Give the lease back with the turn still open, and count that its machine could not be reached.
-- The next process goes on with it after a while; at once if a person asked to stop meanwhile.
WITH released AS (
    UPDATE session
       SET state = 'queued', lease_owner = NULL,
           lease_until = clock_timestamp()
                       + make_interval(secs => CASE WHEN stop IS NULL THEN :seconds ELSE 0 END)
     WHERE id = :session AND lease_token = :token AND lease_owner = :owner AND state = 'running'
    RETURNING id
)
UPDATE turn SET unreached = unreached + 1 FROM released WHERE turn.id = :turn
RETURNING released.id

-- name: suspend
-- Give the lease back while a question is open.
UPDATE session
   SET state = 'waiting', lease_owner = NULL, lease_until = NULL
 WHERE id = :session AND state = 'running'
RETURNING id

-- name: ready
-- Offer the session to workers.
UPDATE session
   SET state = 'queued', ready_at = clock_timestamp(), held_by = NULL
 WHERE id = :session AND state IN ('idle', 'held', 'waiting')
RETURNING host_id

-- name: position_front
-- The place before every open prompt.
SELECT min(position) - 1 FROM prompt WHERE session_id = :session AND state = 'queued'

-- name: insert_prompt
-- A prompt gets its position while its session's row is locked: positions are commit order.
INSERT INTO prompt (id, session_id, position, kind, author_id, thread_id, asker,
                    language, kept_back, read_only, agent, model, repeats)
VALUES (:prompt, :session, :position, :kind, :author, :thread, :asker, :language, :kept_back,
        :read_only, :agent, :model, :repeats)

-- name: take_position
-- The next position at the end, with room left for `now:` in front of it.
UPDATE session SET position_last = position_last + :step, active_at = now()
 WHERE id = :session RETURNING position_last

-- name: joinable
-- The author's last prompt that has not started, if it is a text with room for more and with the
-- rights of its author.
SELECT id, position
  FROM (SELECT id, position, kind, read_only FROM prompt
         WHERE session_id = :session AND author_id = :author AND state = 'queued'
         ORDER BY position DESC LIMIT 1) AS last
 WHERE kind = 'text' AND NOT read_only
   AND :more_bytes + (SELECT coalesce(sum(octet_length(text) + 1), 0) FROM delivery
                       WHERE prompt_id = last.id) <= :bytes_max

-- name: queue_place
-- How many sessions a worker takes before this one, of those that it may take as well.
SELECT count(*) FROM session AS other, session AS mine
 WHERE mine.id = :session AND mine.state = 'queued' AND other.state = 'queued'
   AND (other.host_id IS NULL OR mine.host_id IS NULL OR other.host_id = mine.host_id)
   AND (other.priority, other.ready_at) < (mine.priority, mine.ready_at)
