"""What the sessions of a template are told of how it was set up: a short query."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from bot.store.transaction import Transaction
from bot.words.guesses import contained, ports, told, tried

_STEPS = text(
    """
    SELECT project.name, project.ports, template.steps,
           NOT EXISTS (
               SELECT FROM machine JOIN template AS before ON before.id = machine.template_id
                WHERE before.project_id = template.project_id
                  AND before.fingerprint = template.fingerprint
                  AND machine.session_id <> :session
           ) AS is_first
      FROM session JOIN project ON project.id = session.project_id
      LEFT JOIN template ON template.id = CAST(:template AS uuid)
     WHERE session.id = :session
    """
)


@dataclass(frozen=True, kw_only=True)
class SetUp:
    """How the machine of a session was set up."""

    notices: tuple[str, ...] = ()
    """What to tell people of guesses, and of the container that their repository asks for; nothing
    when others were told."""
    ports: tuple[int, ...] = ()
    """That people shall see, as the project names them, then as its devcontainer.json does."""


async def set_up_of(tx: Transaction, template_id: UUID | None, session_id: UUID) -> SetUp:
    """Of a session's machine, by the template it was made of; None: of none."""
    key = {"template": template_id, "session": session_id}
    row = (await tx.execute(_STEPS, key)).one_or_none()
    if row is None:
        return SetUp()
    steps = row.steps or []
    notices: tuple[str, ...] = ()
    if row.is_first:
        guesses = tried(steps)
        said = [told(row.name, guesses)] if guesses else []
        notices = (*contained(row.name, steps), *said)
    wanted = dict.fromkeys([*row.ports, *ports(steps)])
    return SetUp(notices=notices, ports=tuple(wanted))
