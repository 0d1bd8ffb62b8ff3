"""What the sessions of a template are told of how it was set up: a short query."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from bot.store.transaction import Transaction
from bot.words.guesses import contained, ports, told, tried

_STEPS = text(
    """
    SELECT project.name, template.steps,
           NOT EXISTS (
               SELECT FROM machine JOIN template AS before ON before.id = machine.template_id
                WHERE before.project_id = template.project_id
                  AND before.fingerprint = template.fingerprint
                  AND machine.session_id <> :session
           ) AS is_first
      FROM template JOIN project ON project.id = template.project_id
     WHERE template.id = :template
    """
)


@dataclass(frozen=True, kw_only=True)
class SetUp:
    """How the machine of a session was set up."""

    notices: tuple[str, ...] = ()
    """What to tell people of guesses, and of the container that their repository asks for; nothing
    when others were told."""
    ports: tuple[int, ...] = ()
    """That people shall see, as its devcontainer.json has it."""


async def set_up_of(tx: Transaction, template_id: UUID, session_id: UUID) -> SetUp:
    """Of a session's machine, by the template it was made of."""
    key = {"template": template_id, "session": session_id}
    row = (await tx.execute(_STEPS, key)).one_or_none()
    if row is None:
        return SetUp()
    notices: tuple[str, ...] = ()
    if row.is_first:
        guesses = tried(row.steps)
        said = [told(row.name, guesses)] if guesses else []
        notices = (*contained(row.name, row.steps), *said)
    return SetUp(notices=notices, ports=tuple(ports(row.steps)))
