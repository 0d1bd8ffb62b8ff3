"""Answering what a turn asks, from a page or by the API."""

from uuid import UUID

from bot.conversation import answering
from bot.web import reading
from bot.web.services import Services
from bot.web.visitor import Visitor


async def answer(
    visitor: Visitor, services: Services, short: str, question_id: UUID, said: str
) -> None:
    """Answer an open question of a session.

    :raises NothingToDo: it is not open any more
    :raises Refused: somebody else is asked, or it is none of the choices
    """

    async def act() -> None:
        async with services.database.begin() as tx:
            session_id = await reading.session_id(tx, short)
            await answering.answer(
                tx, services.rights, visitor.standing, session_id, said, question_id=question_id
            )

    await services.rights.settled(act)
