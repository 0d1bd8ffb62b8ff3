"""For whom a machine works: the turn that runs in its session, as the database has it."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from vmpool.network.gateway.ports import NoTurn, Suspended


@dataclass(frozen=True, kw_only=True)
class Spender:
    """A turn, and who and what pays for it."""

    turn_id: UUID
    session_id: UUID
    person_id: UUID
    project_id: UUID
    read_only: bool = False
    """The turn changes nothing outside of its machine."""


def spender_of(row: Any, turn: UUID | None = None) -> Spender:
    """The turn of a row of `running`, see `sql/spending.sql`; pure.

    :param row: None: there is none
    :param turn: which alone is meant; None: whichever runs
    :raises NoTurn: none is under way, or another one
    :raises Suspended: it waits for a person, or for a worker that goes on with it
    """
    if row is None:
        raise NoTurn("No turn is running in this session; it may go on when somebody asks.")
    if not row.runs:
        why = "The turn of this session waits for a person; then it goes on."
        raise Suspended(why, turn=row.turn_id)
    if turn not in {None, row.turn_id}:
        raise NoTurn("The turn that asked for this has ended.")
    return Spender(
        turn_id=row.turn_id,
        session_id=row.session_id,
        person_id=row.person_id,
        project_id=row.project_id,
        read_only=row.read_only,
    )
