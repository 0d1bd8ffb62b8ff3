"""Telling the first session whose machine was set up by guesses what they were: a short query."""

from uuid import UUID

from sqlalchemy import text

from bot.store.transaction import Transaction
from bot.words.guesses import contained, told, tried

_STEPS = text(
    """
    SELECT project.name, template.steps
      FROM template JOIN project ON project.id = template.project_id
     WHERE template.id = :template
       AND NOT EXISTS (
           SELECT FROM machine JOIN template AS before ON before.id = machine.template_id
            WHERE before.project_id = template.project_id
              AND before.fingerprint = template.fingerprint
              AND machine.session_id <> :session
       )
    """
)


async def guessed_notice(tx: Transaction, template_id: UUID, session_id: UUID) -> list[str]:
    """What to tell people of the guesses in their machine; nothing when others were told.

    And of the container that their repository asks for.
    """
    key = {"template": template_id, "session": session_id}
    row = (await tx.execute(_STEPS, key)).one_or_none()
    if row is None:
        return []
    guesses = tried(row.steps)
    return [*contained(row.name, row.steps), *([told(row.name, guesses)] if guesses else [])]
