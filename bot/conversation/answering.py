"""Answering what a turn asks: who may, by what is known of the question and of the person."""

from uuid import UUID

from bot.govern.access import Standing
from bot.govern.rights import Rights
from bot.store.transaction import Transaction
from bot.work import questions
from bot.work.asked import OpenQuestion
from bot.work.control import Actor
from bot.work.queue import lock_session


async def answer(
    tx: Transaction,
    rights: Rights,
    who: Standing,
    session_id: UUID,
    said: str,
    *,
    question_id: UUID | None = None,
) -> int:
    """Take `said` as the answer to what is open; the number of its event.

    :raises NothingToDo: nothing is asked, or it was answered meanwhile
    :raises Refused: somebody else is asked, or it is none of the choices
    :raises NotAsked: a forge has to be asked first, outside of any transaction
    """
    question = await questions.open_question(tx, session_id, question_id)
    holds = question is not None and await _holds(tx, rights, who, session_id, question)
    actor = Actor(id=who.person_id, name=who.name)
    return await questions.answer(
        tx, session_id, actor, said, question_id=question_id, holds_budget=holds
    )


async def _holds(
    tx: Transaction, rights: Rights, who: Standing, session_id: UUID, question: OpenQuestion
) -> bool:
    """Whether they may answer because they hold the budget that the question is about."""
    if question.extends_micro is None or question.may_answer(who.person_id):
        return False
    session = await lock_session(tx, session_id)
    return session is not None and await rights.holds_budget(tx, who, session.project_id)
