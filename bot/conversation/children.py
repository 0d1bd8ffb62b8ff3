"""Sessions that agents start: opened, and their first prompt queued, for whom the turn runs.

Nobody said that prompt anywhere, so its thread is one of no surface: it is answered on the page of
the session, and the agent that started it reads it.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import text

from bot.conversation import commands, threads
from bot.conversation.message import IncomingMessage
from bot.conversation.prompting import add_prompt
from bot.errors import NotFound
from bot.govern.access import Act, require
from bot.govern.agents import Agents
from bot.govern.people import standing_of
from bot.store.ids import new_id
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _
from bot.words.catalogue import nearest
from bot.work.control import Actor
from bot.work.queue import NewPrompt, lock_session
from bot.work.tools.children import Child
from bot.work.tools.tool import Asker

SURFACE = "agent"

_PARENT = text("SELECT agent, model, size, base_branch FROM session WHERE id = :session")
_DELIVER = text(
    """
    INSERT INTO delivery (id, surface, delivery_key, message_key, person_id, session_id, prompt_id,
                          text, event)
    VALUES (:id, :surface, :key, :key, :person, :session, :prompt, :text, :event)
    """
)


async def begin_child(tx: Transaction, parent_id: UUID, asker: Asker, key: str, task: str) -> Child:
    """Begin a session beside `parent_id`; see `bot.work.tools.children.Begin`.

    :raises TellPerson: they may ask for nothing any more
    """
    standing = await standing_of(tx, asker.person_id)
    require(standing, Act.PROMPT)
    actor = Actor(id=standing.person_id, name=standing.name)
    parent = (await tx.execute(_PARENT, {"session": parent_id})).one()
    message = IncomingMessage(
        surface=SURFACE,
        delivery_key=key,
        message_key=key,
        place=key,
        person_id=actor.id,
        text=task,
        narrow=asker.narrow,
        language=nearest(asker.language),
    )
    prompt = commands.Prompt(text=task, private=asker.private, options=_options(asker, parent))
    own = Agents(names=(parent.agent,), default=parent.agent)
    found = await threads.open_session(tx, message, actor, prompt, own)
    await threads.give_way(tx, found.session_id)
    session = await lock_session(tx, found.session_id)
    if session is None:
        raise NotFound(_("this session does not exist"))
    added = await add_prompt(
        tx,
        session,
        actor,
        NewPrompt(said=task, kind="text", thread_id=found.thread_id, language=message.language),
        surface=SURFACE,
    )
    said = {
        "id": new_id(),
        "surface": SURFACE,
        "key": key,
        "person": actor.id,
        "session": session.id,
        "prompt": added.prompt_id,
        "text": task,
        "event": added.event,
    }
    await tx.execute(_DELIVER, said)
    return Child(id=session.id, short=found.short)


def _options(asker: Asker, parent: Any) -> dict[str, str]:
    """As if somebody had written them before the task."""
    known = {
        "project": asker.project,
        "agent": parent.agent,
        "model": parent.model,
        "size": parent.size,
        "branch": parent.base_branch,
    }
    return {name: value for name, value in known.items() if value}
