"""What a turn asks people: it goes on with what they answered, or is suspended until they do."""

from collections.abc import Mapping, Sequence

from bot.store.database import Database
from bot.work import questions
from bot.work.asked import Question, Settled
from bot.work.lease import Lease, OpenTurn


class Suspended(Exception):
    """A question is open; the turn goes on when it is answered."""


class Suspending:
    """Puts the questions of one run of a turn."""

    def __init__(self, database: Database, lease: Lease, *, seconds_max: float) -> None:
        """`seconds_max`: a question stays open so long."""
        self._database = database
        self._lease = lease
        self._seconds_max = seconds_max

    async def answer(
        self, turn: OpenTurn, key: str, said: str, choices: Sequence[str]
    ) -> str | None:
        """What people answer; None: the question stays open, as the turn is to end.

        :raises Suspended: they are asked now
        """
        settled = await self.put(turn, Question(key=key, text=said, choices=choices))
        known = settled.get(key)
        return known.answer if known is not None and not known.open else None

    async def put(self, turn: OpenTurn, question: Question) -> Mapping[str, Settled]:
        """Ask a person, unless that was done before; all questions of the turn by their keys.

        :raises Suspended: they are asked now
        """
        seconds = self._seconds_max
        async with self._database.begin() as tx:
            suspended = await questions.put(tx, self._lease, turn.id, question, seconds=seconds)
            settled = {one.key: one for one in await questions.of_turn(tx, turn.id)}
        if suspended:
            raise Suspended
        return settled
