-- Checkpoints: the newest row of a session counts, a few older ones stay in case it can't be read.

-- name: newest
-- The newest checkpoints of one of a session's repositories, without what they hold.
SELECT id, session_id, repository_id, base, head, tree, size, blob, left_out, created_at
  FROM checkpoint
 WHERE session_id = :session AND repository_id IS NOT DISTINCT FROM CAST(:repository AS uuid)
 ORDER BY created_at DESC, id DESC LIMIT :count

-- name: newest_of_each
-- The newest checkpoint of each of a session's repositories, as far as they are the project's still.
SELECT DISTINCT ON (repository_id)
       id, session_id, repository_id, base, head, tree, size, blob, left_out, created_at
  FROM checkpoint
 WHERE session_id = :session
   AND (repository_id IS NULL
        OR repository_id IN (SELECT id FROM project_repository WHERE removed_at IS NULL))
 ORDER BY repository_id NULLS FIRST, created_at DESC, checkpoint.id DESC

-- name: since
-- The prompt of the last turn that left what a checkpoint holds, and how many turns worked in a
-- machine after that one and have ended. No row: no turn of the session left it.
SELECT prompt.kind,
       (SELECT left(coalesce(string_agg(delivery.text, ' ' ORDER BY delivery.event), ''), 200)
          FROM delivery WHERE delivery.prompt_id = prompt.id) AS text,
       (SELECT count(*) FROM turn AS later JOIN prompt AS asked ON asked.id = later.prompt_id
         WHERE later.session_id = turn.session_id AND later.ended_at IS NOT NULL
           AND later.machine_id IS NOT NULL AND asked.kind <> 'deliver'
           AND (later.started_at, later.id) > (turn.started_at, turn.id)) AS later
  FROM turn JOIN prompt ON prompt.id = turn.prompt_id
 WHERE turn.session_id = :session
   AND (turn.checkpoint_id = :checkpoint
        OR turn.id = (SELECT turn_id FROM checkpoint WHERE id = :checkpoint)
        OR turn.id IN (SELECT turn_id FROM turn_checkpoint WHERE checkpoint_id = :checkpoint))
 ORDER BY turn.started_at DESC, turn.id DESC LIMIT 1

-- name: inline
-- What a small checkpoint holds.
SELECT inline FROM checkpoint WHERE id = :checkpoint

-- name: store
-- A checkpoint; again when the answer to the first commit was lost.
INSERT INTO checkpoint
       (id, session_id, turn_id, repository_id, base, head, tree, size, inline, blob, left_out,
        created_at)
VALUES (:id, :session, :turn_id, :repository_id, :base, :head, :tree, :size, :inline, :blob,
        CAST(:left_out AS jsonb), clock_timestamp())
    ON CONFLICT (id) DO NOTHING

-- name: ended_as
-- What the files of a turn were like at its end.
UPDATE turn SET checkpoint_id = :checkpoint WHERE id = :turn

-- name: ended_beside_as
-- The same of a repository beside the project's own.
INSERT INTO turn_checkpoint (turn_id, repository_id, checkpoint_id)
VALUES (:turn, :repository, :checkpoint)
    ON CONFLICT (turn_id, repository_id) DO UPDATE SET checkpoint_id = excluded.checkpoint_id

-- name: forget
-- Remove all but the newest, those that the last turns can be taken back to, and the one that a
-- private session began from, whose blob belongs to both; returns the blobs that nobody refers to
-- any more.
WITH forgotten AS (
    DELETE FROM checkpoint
     WHERE session_id = :session AND repository_id IS NOT DISTINCT FROM CAST(:repository AS uuid)
       AND id NOT IN (SELECT id FROM checkpoint
                       WHERE session_id = :session
                         AND repository_id IS NOT DISTINCT FROM CAST(:repository AS uuid)
                       ORDER BY created_at DESC, id DESC LIMIT :kept)
       AND id NOT IN (SELECT last.checkpoint_id
                        FROM (SELECT CASE WHEN CAST(:repository AS uuid) IS NULL
                                          THEN turn.checkpoint_id
                                          ELSE beside.checkpoint_id END AS checkpoint_id
                                FROM turn
                                JOIN prompt ON prompt.id = turn.prompt_id
                                LEFT JOIN turn_checkpoint AS beside
                                  ON beside.turn_id = turn.id
                                 AND beside.repository_id = CAST(:repository AS uuid)
                               WHERE turn.session_id = :session AND turn.undone_by IS NULL
                                 AND prompt.kind <> 'undo'
                               ORDER BY turn.started_at DESC, turn.id DESC LIMIT :turns) AS last
                       WHERE last.checkpoint_id IS NOT NULL)
       AND turn_id IS NOT NULL
    RETURNING id, blob
)
SELECT blob FROM forgotten
 WHERE NOT EXISTS (SELECT 1 FROM checkpoint
                    WHERE checkpoint.blob = forgotten.blob
                      AND checkpoint.id NOT IN (SELECT id FROM forgotten))

-- name: exists
-- Whether a checkpoint is stored.
SELECT true FROM checkpoint WHERE id = :checkpoint

-- name: referred
-- Which of these blobs are in use.
SELECT blob FROM checkpoint WHERE blob = ANY(CAST(:keys AS text[]))
