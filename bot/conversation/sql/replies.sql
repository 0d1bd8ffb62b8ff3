-- The projector: events become rows of the outbox. Parameters are named as in replies.py.

-- name: due
-- The threads whose session has news for them, and in how many seconds it is their turn: at once if
-- something is to be told at once, or a prompt bears a sign there; else when the first of it is old
-- enough for another live edit. First the threads in which their next turn was asked for.
WITH behind AS MATERIALIZED (
    SELECT thread.id, thread.session_id, thread.replied_to,
           thread.surface = ANY(:reacting) AS reacts
      FROM thread JOIN session ON session.id = thread.session_id
     WHERE thread.surface = ANY(:surfaces) AND thread.replied_to < session.event_last
       AND (CAST(:sessions AS uuid[]) IS NULL OR thread.session_id = ANY(:sessions))
)
SELECT id, session_id, replied_to, in_seconds
  FROM behind
       CROSS JOIN LATERAL (
           SELECT CASE
               WHEN EXISTS (SELECT 1 FROM turn_event
                             WHERE session_id = behind.session_id AND number > behind.replied_to
                               AND (kind = ANY(:telling) OR (reacts AND kind = ANY(:queueing))))
               THEN 0.0
               ELSE (SELECT CAST(:live_seconds + extract(epoch FROM at - clock_timestamp()) AS float8)
                       FROM turn_event
                      WHERE session_id = behind.session_id AND number = behind.replied_to + 1)
               END AS in_seconds) AS turn
 WHERE in_seconds IS NOT NULL
 ORDER BY id = (SELECT prompt.thread_id
                  FROM turn_event JOIN turn ON turn.id = turn_event.turn_id
                  JOIN prompt ON prompt.id = turn.prompt_id
                 WHERE turn_event.session_id = behind.session_id
                   AND turn_event.number > behind.replied_to
                 ORDER BY turn_event.number LIMIT 1) DESC NULLS LAST

-- name: take
-- One of them, if no other projector has it or had it since.
SELECT id, session_id, surface, replied_to FROM thread
 WHERE id = :thread AND replied_to = :replied_to
   FOR NO KEY UPDATE SKIP LOCKED

-- name: bounds
-- The span that the next event belongs to: after the last end of a turn, up to the next one or now.
SELECT coalesce((SELECT number FROM turn_event
                  WHERE session_id = :session AND kind = 'turn.ended' AND number <= :after
                  ORDER BY number DESC LIMIT 1), 0) AS start,
       coalesce((SELECT number FROM turn_event
                  WHERE session_id = :session AND kind = 'turn.ended' AND number > :after
                  ORDER BY number LIMIT 1), event_last) AS through,
       EXISTS (SELECT 1 FROM turn_event
                WHERE session_id = :session AND kind = 'turn.ended' AND number > :after) AS ended,
       short
  FROM session WHERE id = :session

-- name: span
-- Its events: all that tell something, the newest of what the agent said and did, its newest plan,
-- the end of the output. No thread reads the diff of a tool, or what it wrote. `output_length` counts all output.
SELECT number, kind, turn_id, body - 'diff' - 'output' AS body, output_length,
       CAST(extract(epoch FROM at) AS float8) AS at
  FROM (SELECT number, kind, turn_id, body, at,
               CASE kind WHEN 'output' THEN length(body ->> 'text') ELSE 0 END AS length,
               sum(CASE kind WHEN 'output' THEN length(body ->> 'text') ELSE 0 END)
                   OVER (ORDER BY number DESC) AS length_from,
               sum(CASE kind WHEN 'output' THEN length(body ->> 'text') ELSE 0 END)
                   OVER () AS output_length,
               count(*) FILTER (WHERE kind <> 'output') OVER (ORDER BY number DESC) AS newer,
               max(number) FILTER (WHERE kind = 'plan') OVER () AS plan
          FROM turn_event
         WHERE session_id = :session AND number > :start AND number <= :through
           AND kind NOT IN ('thought', 'usage')) AS event
 WHERE kind = ANY(:telling) OR kind = 'turn.started'
    OR number = plan
    OR (kind = 'output' AND length_from - length < :output_length)
    OR (kind <> 'output' AND newer <= :talk)
 ORDER BY number

-- name: waiting
-- The prompts in its queue, the next first.
SELECT person.name, prompt.thread_id
  FROM prompt JOIN person ON person.id = prompt.author_id
 WHERE prompt.session_id = :session AND prompt.state = 'queued'
 ORDER BY prompt.position LIMIT :most

-- name: reader
-- In which language and zone a thread reads about a turn: its asker's, where they asked; else its own.
SELECT coalesce(nullif(prompt.language, ''), thread.language) AS language, prompt.zone
  FROM thread LEFT JOIN LATERAL (
      SELECT prompt.language, person.zone
        FROM prompt JOIN person ON person.id = prompt.author_id
       WHERE prompt.session_id = :session AND prompt.thread_id = thread.id
         AND CASE WHEN CAST(:prompt AS text) IS NULL THEN prompt.state IN ('queued', 'running')
                  ELSE CAST(prompt.id AS text) = :prompt END
       ORDER BY prompt.state = 'running' DESC, prompt.position LIMIT 1
  ) AS prompt ON true
 WHERE thread.id = :thread

-- name: put
-- Write a reply, or its new wording. A live one keeps its pace (due_at); what is final is due now.
-- A reply that failed stays so, but for the last wording of a post that stands, and what is set.
INSERT INTO reply (id, thread_id, turn_id, kind, key, body, buttons, notify, final, live, language,
                   wording, created_at)
VALUES (:id, :thread, :turn, :kind, :key, :body, CAST(:buttons AS jsonb), :notify, :final, :live,
        :language, 1,
        greatest(clock_timestamp(), (SELECT max(created_at) + interval '1 microsecond'
                                       FROM reply WHERE thread_id = :thread)))
ON CONFLICT (thread_id, key) DO UPDATE
   SET body = excluded.body, buttons = excluded.buttons, final = excluded.final, live = excluded.live,
       language = excluded.language,
       wording = reply.wording + 1,
       turn_id = coalesce(excluded.turn_id, reply.turn_id),
       state = CASE
           WHEN reply.state = 'sent' THEN 'pending'
           WHEN reply.state = 'failed' AND excluded.final
                AND (reply.posted_ref IS NOT NULL OR reply.kind IN ('title', 'phase')) THEN 'pending'
           ELSE reply.state END,
       attempts = CASE WHEN reply.state IN ('sent', 'failed') THEN 0 ELSE reply.attempts END,
       due_at = CASE WHEN excluded.final AND reply.attempts = 0 THEN clock_timestamp()
                     ELSE reply.due_at END
 WHERE (reply.body, reply.buttons, reply.final, reply.live)
       IS DISTINCT FROM (excluded.body, excluded.buttons, excluded.final, excluded.live)

-- name: known
-- The replies of a thread that exist, of those asked for, or whose posts are known to stand there.
SELECT key FROM reply
 WHERE thread_id = :thread AND key = ANY(:keys)
   AND (posted_ref IS NOT NULL AND state <> 'failed' OR NOT :stands)

-- name: drop_unsent
-- A live message that nobody has tried to post when its turn ends is not needed any more.
DELETE FROM reply
 WHERE thread_id = :thread AND key = :key AND kind = 'live' AND final IS FALSE
   AND state = 'pending' AND attempts = 0 AND posted_ref IS NULL

-- name: sign
-- Let the messages of a prompt bear another sign, or none.
UPDATE reply
   SET body = :sign, wording = wording + 1, due_at = clock_timestamp(),
       state = CASE state WHEN 'sent' THEN 'pending' ELSE state END,
       attempts = CASE state WHEN 'sent' THEN 0 ELSE attempts END
 WHERE thread_id = :thread AND kind = 'reaction' AND starts_with(key, :about) AND body <> :sign
   AND state <> 'failed'

-- name: advance
-- Everything up to here has its rows.
UPDATE thread SET replied_to = greatest(replied_to, :through) WHERE id = :thread
