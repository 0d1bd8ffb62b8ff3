-- The queue: a worker leases a session, not a prompt. Parameters are named as in bot/work/queue.py.
-- The database's clock alone decides about leases. A statement of a holder carries its token, or
-- runs after `hold` in the same transaction.

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
-- Lease the session that is due first: people before automations, then who waited longest. Nobody
-- waits for the disk here: a crash of the database may forget a claim and give its token again. It
-- is on the disk before anything is done under it, because `hold` comes first and is waited for.
WITH due AS (
    SELECT id FROM session
     WHERE state IN ('queued', 'running')
       AND (lease_until IS NULL OR lease_until < clock_timestamp())
       AND (host_id IS NULL OR host_id = :host)
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
   AND (host_id IS NULL OR host_id = :host)

-- name: open_turn
-- The turn that an earlier holder of the lease left open.
SELECT turn.id, turn.prompt_id, turn.machine_id, turn.cursor, turn.ran_seconds, prompt.kind
  FROM turn JOIN prompt ON prompt.id = turn.prompt_id
 WHERE turn.session_id = :session AND turn.state = 'running'

-- name: first_prompt
-- The prompt whose turn comes next.
SELECT id, kind, author_id FROM prompt
 WHERE session_id = :session AND state = 'queued' ORDER BY position LIMIT 1

-- name: prompt_text
-- Everything that was said in a prompt, in the order in which it came in.
SELECT coalesce(string_agg(text, E'\n' ORDER BY event), '') FROM delivery WHERE prompt_id = :prompt

-- name: begin_turn
-- Start the turn of a prompt that is still queued.
WITH taken AS (
    UPDATE prompt SET state = 'running' WHERE id = :prompt AND state = 'queued' RETURNING id
)
INSERT INTO turn (id, session_id, prompt_id, machine_id)
SELECT :turn, :session, taken.id, :machine FROM taken

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

-- name: move_cursor
-- Remember how far the job's spool was read; in the same transaction as the events from it.
UPDATE turn SET cursor = CAST(:cursor AS jsonb) WHERE id = :turn

-- name: end_turn
-- Store the outcome, once.
WITH ended AS (
    UPDATE turn SET state = :state, outcome = CAST(:outcome AS jsonb), ended_at = now()
     WHERE id = :turn AND state = 'running'
    RETURNING prompt_id
), withdrawn AS (
    UPDATE question SET state = 'withdrawn' WHERE turn_id = :turn AND state = 'open'
)
UPDATE prompt SET state = 'done' FROM ended WHERE prompt.id = ended.prompt_id
RETURNING prompt.id

-- name: release
-- Give the lease back: to the end of the line if prompts are open, held if a person asked for it.
UPDATE session
   SET state = CASE
           WHEN state <> 'running' THEN state
           WHEN :hold THEN 'held'
           WHEN EXISTS (SELECT 1 FROM prompt
                         WHERE prompt.session_id = session.id AND prompt.state = 'queued')
               THEN 'queued'
           ELSE 'idle' END,
       held_by = CASE WHEN :hold THEN CAST(:held_by AS uuid) ELSE held_by END,
       lease_owner = NULL, lease_until = NULL, stop = NULL,
       ready_at = clock_timestamp(), active_at = now()
 WHERE id = :session
RETURNING state

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
INSERT INTO prompt (id, session_id, position, kind, author_id, thread_id)
VALUES (:prompt, :session, :position, :kind, :author, :thread)

-- name: take_position
-- The next position at the end, with room left for `now:` in front of it.
UPDATE session SET position_last = position_last + :step, active_at = now()
 WHERE id = :session RETURNING position_last

-- name: joinable
-- The author's last prompt that has not started, if it is a text with room for more.
SELECT id, position
  FROM (SELECT id, position, kind FROM prompt
         WHERE session_id = :session AND author_id = :author AND state = 'queued'
         ORDER BY position DESC LIMIT 1) AS last
 WHERE kind = 'text'
   AND :more_bytes + (SELECT coalesce(sum(octet_length(text) + 1), 0) FROM delivery
                       WHERE prompt_id = last.id) <= :bytes_max

-- name: queue_place
-- How many sessions a worker of this host takes before this one.
SELECT count(*) FROM session AS other, session AS mine
 WHERE mine.id = :session AND mine.state = 'queued' AND other.state = 'queued'
   AND (other.priority, other.ready_at) < (mine.priority, mine.ready_at)
