"""Whose turn runs in a session at this moment: what between turns nobody may, is asked here."""

from uuid import UUID

from sqlalchemy import text

from bot.govern.spending import Spender
from bot.store.database import Database, is_away
from vmpool.network.gateway.ports import Identity, NoTurn, Suspended, Unreachable

_RUNNING = text(
    """
    SELECT turn.id, prompt.author_id, prompt.read_only, session.project_id,
           session.state = 'running' AS runs
      FROM session
      JOIN turn ON turn.session_id = session.id AND turn.state = 'running'
      JOIN prompt ON prompt.id = turn.prompt_id
     WHERE session.id = :session AND session.state IN ('running', 'waiting', 'queued')
    """
)


class Running:
    """Knows the turns that run, from the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def turn_of(self, who: Identity) -> Spender:
        """For whom the machine works now.

        :raises NoTurn: for nobody
        :raises Suspended: its turn waits for a person, or for a worker that goes on with it
        :raises Unreachable: the database is away
        """
        if who.session is None:
            raise NoTurn("This machine works for nobody yet.")
        try:
            row = (await self._database.run(_RUNNING, {"session": who.session})).one_or_none()
        except Exception as error:
            if not is_away(error):
                raise
            raise Unreachable("Whose turn this is can't be looked up now.") from error
        if row is None:
            raise NoTurn("No turn is running in this session; it may go on when somebody asks.")
        if not row.runs:
            why = "The turn of this session waits for a person; then it goes on."
            raise Suspended(why, turn=row.id)
        return Spender(
            turn_id=row.id,
            session_id=UUID(str(who.session)),
            person_id=row.author_id,
            project_id=row.project_id,
            read_only=row.read_only,
        )
