-- The sender: replies become posts. Parameters are named as in outbox.py.
-- A `pending` row with no ref was certainly not posted; a `sending` row whose time has passed may
-- have been. The database's clock alone decides when that is.

-- name: due
-- The reply of a surface that goes next: what is final first, then what goes to the thread in which
-- its turn was asked for (what is of no turn was asked for everywhere), then what waited longest.
-- Posts keep their order within a thread; a live message stands in nobody's way.
WITH open AS MATERIALIZED (
    SELECT reply.id, reply.kind, reply.final, reply.due_at, reply.posted_ref,
           coalesce(prompt.thread_id = reply.thread_id, true) AS asked,
           CASE reply.state WHEN 'pending' THEN reply.due_at ELSE reply.sender_until END AS from_at,
           count(*) FILTER (WHERE reply.kind NOT IN ('live', 'reaction', 'title', 'phase')
                              AND reply.posted_ref IS NULL)
               OVER (PARTITION BY reply.thread_id ORDER BY reply.created_at, reply.id
                     ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS ahead
      FROM reply JOIN thread ON thread.id = reply.thread_id
      LEFT JOIN turn ON turn.id = reply.turn_id LEFT JOIN prompt ON prompt.id = turn.prompt_id
     WHERE thread.surface = :surface AND reply.state IN ('pending', 'sending')
), next AS MATERIALIZED (
    SELECT id, asked FROM open
     WHERE from_at < clock_timestamp()
       AND (posted_ref IS NOT NULL OR ahead = 0 OR kind IN ('reaction', 'title', 'phase'))
     ORDER BY final DESC, asked DESC, due_at LIMIT :window
)
SELECT reply.id, reply.kind, reply.key, reply.body, reply.buttons, reply.notify, reply.final, reply.live,
       reply.language,
       reply.wording, reply.posted_ref, reply.attempts, reply.state = 'sending' AS unfinished,
       extract(epoch FROM clock_timestamp() - reply.tried_at) AS tried_seconds,
       next.asked, thread.place, thread.muted,
       -- It is what was asked for first: others who read along are not told that.
       CASE WHEN coalesce((SELECT first.thread_id = thread.id FROM prompt AS first
                            WHERE first.session_id = session.id ORDER BY first.position LIMIT 1),
                          true) THEN session.title ELSE '' END AS title
  FROM next JOIN reply ON reply.id = next.id JOIN thread ON thread.id = reply.thread_id
  JOIN session ON session.id = thread.session_id
 WHERE (reply.state = 'pending' AND reply.due_at <= clock_timestamp())
    OR (reply.state = 'sending' AND reply.sender_until < clock_timestamp())
 ORDER BY reply.final DESC, next.asked DESC, reply.due_at LIMIT 1
   FOR NO KEY UPDATE OF reply SKIP LOCKED

-- name: take
-- Hold the reply until a time; every later statement of the sender shows its name.
UPDATE reply
   SET state = 'sending', sender = :sender, attempts = attempts + 1,
       tried_at = coalesce(tried_at, clock_timestamp()),
       sender_until = clock_timestamp() + make_interval(secs => :lease_seconds)
 WHERE id = :id

-- name: postpone
-- Not enough tokens: leave it as it is, for later.
UPDATE reply
   SET due_at = clock_timestamp() + make_interval(secs => :seconds),
       sender_until = CASE state WHEN 'sending'
           THEN clock_timestamp() + make_interval(secs => :seconds) END
 WHERE id = :id

-- name: store_sent
-- The thread shows a wording; if the body changed meanwhile, that one is due. A live message keeps
-- a pause between two of its wordings; what a surface forgets is due again. A last wording that
-- stands there is audited, by its digest.
WITH stored AS (
    UPDATE reply
       SET state = CASE WHEN wording = :wording AND CAST(:again_seconds AS float8) IS NULL THEN 'sent'
                        ELSE 'pending' END,
           wording_sent = :wording, posted_ref = :ref, attempts = 0, tried_at = NULL, error = NULL,
           due_at = clock_timestamp()
                  + CASE WHEN wording = :wording AND :again_seconds > 0
                         THEN make_interval(secs => :again_seconds)
                         WHEN final THEN interval '0'
                         WHEN created_at < clock_timestamp()
                                         - make_interval(secs => CAST(:old_seconds AS float8))
                         THEN make_interval(secs => :old_pause_seconds)
                         ELSE make_interval(secs => :pause_seconds) END,
           sender = NULL, sender_until = NULL
     WHERE id = :id AND sender = :sender AND state = 'sending'
    RETURNING id, state, kind, key, final, body, wording, posted_ref, thread_id, turn_id
), noted AS (
    INSERT INTO audit_event (kind, who, surface, place, session_id, project_id, body)
    SELECT 'reply.posted', 'ona', thread.surface, left(thread.place, 500), session.id,
           session.project_id,
           jsonb_build_object('reply', stored.id, 'kind', stored.kind, 'ref', stored.posted_ref,
                              'turn', stored.turn_id, 'wording', stored.wording,
                              'sha256', encode(sha256(convert_to(stored.body, 'UTF8')), 'hex'))
      FROM stored JOIN thread ON thread.id = stored.thread_id
      JOIN session ON session.id = thread.session_id
     WHERE stored.state = 'sent' AND stored.final
       AND stored.kind NOT IN ('reaction', 'title', 'phase')
)
SELECT state FROM stored

-- name: store_found
-- An earlier attempt had posted it, in a wording nobody knows: its newest one is due.
UPDATE reply
   SET state = 'pending', posted_ref = :ref, error = NULL, due_at = clock_timestamp(),
       sender = NULL, sender_until = NULL
 WHERE id = :id AND sender = :sender AND state = 'sending'
RETURNING state

-- name: store_unsent
-- It certainly was not posted: again in a while.
UPDATE reply
   SET state = 'pending', error = :error, tried_at = NULL,
       due_at = clock_timestamp() + make_interval(secs => :seconds),
       attempts = attempts - CASE WHEN :counts THEN 0 ELSE 1 END,
       sender = NULL, sender_until = NULL
 WHERE id = :id AND sender = :sender AND state = 'sending'
RETURNING state

-- name: store_uncertain
-- It may have been posted: nobody touches it before the deadline of this attempt and the back-off
-- are over, and then looks it up first.
UPDATE reply
   SET error = :error,
       sender_until = greatest(sender_until,
                               clock_timestamp() + make_interval(secs => :seconds))
 WHERE id = :id AND sender = :sender AND state = 'sending'
RETURNING state

-- name: store_failed
-- Given up, with the reason. What somebody waits for may still reach them elsewhere.
UPDATE reply
   SET state = 'failed', error = :error,
       undelivered = :tell AND kind IN ('answer', 'question') AND posted_ref IS NULL, sender = NULL, sender_until = NULL
 WHERE id = :id AND sender = :sender AND state = 'sending'
RETURNING state

-- name: untold
-- The session that is to be told that a reply can't be posted in a thread; none when what went
-- before it there had failed for the same reason: that was told then.
SELECT coalesce(turn.session_id, thread.session_id) AS session, thread.id AS thread, thread.surface
  FROM reply JOIN thread ON thread.id = reply.thread_id
  LEFT JOIN turn ON turn.id = reply.turn_id
 WHERE reply.id = :id AND reply.kind NOT IN ('live', 'reaction', 'title', 'phase') AND reply.posted_ref IS NULL
   AND NOT coalesce((SELECT earlier.state = 'failed' AND earlier.error = :error
                       FROM reply AS earlier
                      WHERE earlier.thread_id = reply.thread_id
                        AND earlier.kind NOT IN ('live', 'reaction', 'title', 'phase')
                        AND (earlier.created_at, earlier.id) < (reply.created_at, reply.id)
                      ORDER BY earlier.created_at DESC, earlier.id DESC LIMIT 1), false)

-- name: picture
-- What stands beside a reply.
SELECT data, media_type, caption FROM picture WHERE id = :id

-- name: diff
-- The same.
SELECT name, data FROM turn_diff WHERE id = :id

-- name: age
-- For how many seconds the oldest reply of a surface that could be sent has waited.
SELECT greatest(0, extract(epoch FROM clock_timestamp() - min(
           CASE reply.wording_sent WHEN 0 THEN reply.created_at ELSE reply.due_at END)))
  FROM reply JOIN thread ON thread.id = reply.thread_id
 WHERE thread.surface = :surface AND reply.state IN ('pending', 'sending')

-- name: open_bucket
INSERT INTO bucket (surface, method, tokens) VALUES (:surface, :method, :tokens)
ON CONFLICT (surface, method) DO NOTHING

-- name: lock_bucket
-- What the bucket held, and how long ago.
SELECT tokens, extract(epoch FROM clock_timestamp() - filled_at) AS elapsed_seconds
  FROM bucket WHERE surface = :surface AND method = :method FOR UPDATE

-- name: fill_bucket
UPDATE bucket SET tokens = :tokens, filled_at = clock_timestamp()
 WHERE surface = :surface AND method = :method

-- name: next_due
-- Seconds until something can be sent on a surface; what waits for its turn in a thread is not
-- counted, it comes after something that is.
SELECT extract(epoch FROM min(from_at) - clock_timestamp())
  FROM (SELECT reply.posted_ref, reply.kind,
               CASE reply.state WHEN 'pending' THEN reply.due_at
                                ELSE reply.sender_until END AS from_at,
               count(*) FILTER (WHERE reply.kind NOT IN ('live', 'reaction', 'title', 'phase')
                                  AND reply.posted_ref IS NULL)
                   OVER (PARTITION BY reply.thread_id ORDER BY reply.created_at, reply.id
                         ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS ahead
          FROM reply JOIN thread ON thread.id = reply.thread_id
         WHERE thread.surface = :surface AND reply.state IN ('pending', 'sending')) AS open
 WHERE posted_ref IS NOT NULL OR ahead = 0 OR kind IN ('reaction', 'title', 'phase')
