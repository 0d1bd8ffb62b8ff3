"""The commits that turns pushed, whose checks on their forge are followed.

Only what a running turn of the session pushed is: what anybody else did to the branch is theirs.
"""

from uuid import UUID

from sqlalchemy import text

from bot.store.transaction import Transaction

CI = "ci"
"""The surface of prompts that failed checks make."""
FIRST_SECONDS = 10.0
"""After a push, before the first look: checks take a while to appear."""
_FOLLOW = text(
    """
    INSERT INTO ci_watch (session_id, repository, ref, commit, turn_id, due_at)
    SELECT turn.session_id, :repository, :ref, :commit, turn.id,
           now() + make_interval(secs => :seconds)
      FROM turn JOIN prompt ON prompt.id = turn.prompt_id
     WHERE turn.session_id = :session AND turn.state = 'running' AND prompt.kind <> 'undo'
    ON CONFLICT (session_id, repository, ref) DO UPDATE
       SET commit = excluded.commit, turn_id = excluded.turn_id, due_at = excluded.due_at,
           since = now(), told = '', state = '', over = false,
           rounds = CASE WHEN EXISTS (SELECT FROM turn JOIN delivery USING (prompt_id)
                                       WHERE turn.id = excluded.turn_id
                                         AND delivery.surface = :surface)
                         THEN ci_watch.rounds ELSE 0 END
     WHERE ci_watch.commit <> excluded.commit
    """
)


async def follow(tx: Transaction, session_id: UUID, repository: str, ref: str, commit: str) -> None:
    """Follow the checks of a commit that the session's running turn pushed; again changes nothing.

    :param repository: `surface:host/name`
    :param ref: whole, `refs/heads/…`
    """
    pushed = {
        "session": session_id,
        "repository": repository.lower(),
        "ref": ref,
        "commit": commit,
        "seconds": FIRST_SECONDS,
        "surface": CI,
    }
    await tx.execute(_FOLLOW, pushed)
