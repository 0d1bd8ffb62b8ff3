-- Taking turns back.

-- name: turns
-- The turns of a session that have ended, the newest first, with what one of its repositories was
-- like at their ends.
SELECT turn.id, prompt.kind, turn.state,
       -- In a repository that the project has had since later, it had nothing to change.
       turn.machine_id IS NOT NULL
       AND NOT EXISTS (SELECT FROM project_repository
                        WHERE id = CAST(:repository AS uuid) AND created_at > turn.started_at)
       AS worked,
       CASE WHEN CAST(:repository AS uuid) IS NULL THEN turn.checkpoint_id
            ELSE (SELECT checkpoint_id FROM turn_checkpoint
                   WHERE turn_id = turn.id AND repository_id = CAST(:repository AS uuid))
       END AS checkpoint_id,
       turn.undone_by IS NOT NULL AS undone,
       (SELECT left(coalesce(string_agg(delivery.text, ' ' ORDER BY delivery.event), ''), 200)
          FROM delivery WHERE delivery.prompt_id = prompt.id) AS text
  FROM turn JOIN prompt ON prompt.id = turn.prompt_id
 WHERE turn.session_id = :session AND turn.state <> 'running'
 ORDER BY turn.started_at DESC, turn.id DESC LIMIT :count

-- name: done
-- Whether a turn took another one back already.
SELECT EXISTS (SELECT FROM turn WHERE undone_by = :turn)

-- name: asker
-- Who asked for a turn.
SELECT prompt.author_id AS id, person.name
  FROM turn JOIN prompt ON prompt.id = turn.prompt_id
  JOIN person ON person.id = prompt.author_id
 WHERE turn.id = :turn

-- name: checkpoint
-- A checkpoint of a session, without what it holds.
SELECT id, session_id, repository_id, base, head, tree, size, blob, left_out, created_at
  FROM checkpoint WHERE session_id = :session AND id = :checkpoint

-- name: beginning
-- The checkpoint that a private session began from.
SELECT id, session_id, repository_id, base, head, tree, size, blob, left_out, created_at
  FROM checkpoint
 WHERE session_id = :session AND turn_id IS NULL
   AND repository_id IS NOT DISTINCT FROM CAST(:repository AS uuid)
 ORDER BY created_at, id LIMIT 1

-- name: base
-- The commit that a session's repository was cloned at, as its checkpoints know it.
SELECT base FROM checkpoint
 WHERE session_id = :session AND repository_id IS NOT DISTINCT FROM CAST(:repository AS uuid)
 ORDER BY created_at, id LIMIT 1

-- name: undo
-- Mark a turn as taken back, once.
UPDATE turn SET undone_by = :by WHERE id = :turn AND undone_by IS NULL

-- name: again
-- What an earlier checkpoint holds is what the session is like now.
INSERT INTO checkpoint
       (id, session_id, turn_id, repository_id, base, head, tree, size, inline, blob, left_out,
        created_at)
SELECT :id, session_id, :turn, repository_id, base, head, tree, size, inline, blob, left_out, clock_timestamp()
  FROM checkpoint WHERE id = :checkpoint

-- name: taken_back
-- What was taken back since the last turn before this one, the newest first.
SELECT (SELECT left(coalesce(string_agg(delivery.text, ' ' ORDER BY delivery.event), ''), 200)
          FROM delivery WHERE delivery.prompt_id = turn.prompt_id) AS text
  FROM turn
  JOIN turn AS way ON way.id = turn.undone_by
  JOIN turn AS this ON this.id = :turn AND this.session_id = turn.session_id
 WHERE way.started_at < this.started_at
   AND way.started_at > (SELECT max(other.started_at)
                           FROM turn AS other JOIN prompt ON prompt.id = other.prompt_id
                          WHERE other.session_id = this.session_id
                            AND other.started_at < this.started_at
                            AND prompt.kind <> 'undo')
 ORDER BY turn.started_at DESC
