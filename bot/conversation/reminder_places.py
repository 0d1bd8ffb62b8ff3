"""Where reminders are posted, and the session in which one is answered.

A reminder is answered in a session of its own that no surface shows: what its agent says comes as
a post of the reminder, whole and once, in every place that it is for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bot.conversation import commands, threads
from bot.conversation.message import IncomingMessage
from bot.errors import NotFound
from bot.govern.agents import Agents
from bot.store.ids import new_id
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _
from bot.work.control import Actor

SURFACE = "clock"
"""Of the threads of those sessions."""
OF_CHANNEL = "/~"
"""In the place of a thread of ours whose posts stand in the channel itself."""
_ADD = text(
    """
    INSERT INTO thread (id, session_id, surface, place, language, replied_to)
    SELECT :id, session.id, :surface, :place, :language, :ever
      FROM session WHERE session.id = :session
    ON CONFLICT (surface, place) DO UPDATE SET surface = excluded.surface
    RETURNING id
    """
)
_THERE = text("SELECT id, surface, place FROM thread WHERE id = ANY(:threads)")
_SET_IN = text(
    "SELECT agent, model, size, base_branch, private_to, narrow FROM session WHERE id = :session"
)
_LOCK = text("SELECT id FROM reminder WHERE id = :reminder FOR UPDATE")
_PROJECT = text("SELECT name FROM project WHERE id = :project")


async def thread_at(
    tx: Transaction, surface: str, place: str, session_id: UUID, language: str
) -> UUID:
    """The thread at a place, which is that session's unless it is another one's already.

    Until somebody asks something in it, it is told nothing of the session's turns.

    :raises NotFound: the session was deleted
    """
    values = {
        "id": new_id(),
        "surface": surface,
        "place": place,
        "language": language,
        "session": session_id,
        "ever": threads.EVER,
    }
    thread_id: UUID | None = (await tx.execute(_ADD, values)).scalar_one_or_none()
    if thread_id is None:
        raise NotFound(_("this session does not exist"))
    return thread_id


async def threads_of(tx: Transaction, ids: Sequence[str]) -> Mapping[str, Any]:
    """The threads that are still there, by their ids."""
    rows = await tx.execute(_THERE, {"threads": [UUID(one) for one in ids]})
    return {str(row.id): row for row in rows}


async def ensure_session(tx: Transaction, row: Any, message: IncomingMessage) -> None:
    """Have a session in which a reminder is answered.

    :param row: of the reminder, as `bot.automate.reminders.firings` reads it
    :param message: the prompt that is about to be said in it
    :raises TellPerson: it can't be opened
    """
    # Two of its firings at once would open two.
    await tx.execute(_LOCK, {"reminder": row.id})
    if await threads.find(tx, message) is not None:
        return
    set_in = (await tx.execute(_SET_IN, {"session": row.session_id})).one_or_none()
    known = {"project": await tx.scalar(_PROJECT, {"project": row.project_id})}
    agents, is_private = Agents(), False
    if set_in is not None:
        agents = Agents(names=(set_in.agent,), default=set_in.agent)
        known |= {"agent": set_in.agent, "model": set_in.model, "size": set_in.size}
        known |= {"branch": set_in.base_branch}
        is_private = set_in.private_to is not None
        message = replace(message, narrow=set_in.narrow)
    options = {name: str(value) for name, value in known.items() if value}
    prompt = commands.Prompt(text=row.what, private=is_private, options=options)
    actor = Actor(id=row.creator_id, name=row.creator)
    found = await threads.open_session(tx, message, actor, prompt, agents)
    await threads.give_way(tx, found.session_id)
