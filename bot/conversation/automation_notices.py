"""Posts what automations have to say besides their runs.

    where the last run was reported ─▶ there
    nowhere, and it waits for approval ─▶ in the channels of its project, in a session about it

That session is an operator's, who may approve: a file is nobody's. It has no machine as long as
nobody says anything below what is posted.
"""

from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import text

from adapters.chat.port import Button
from bot.automate import notices
from bot.conversation import commands, run_places, run_sessions, threads
from bot.conversation.buttons import labelled
from bot.conversation.message import IncomingMessage
from bot.conversation.run_places import Channel
from bot.conversation.saying import post
from bot.govern.agents import Agents
from bot.store.transaction import Transaction
from bot.words.catalogue import N_, SOURCE, again, nearest, speaking
from bot.work.control import Actor

log = structlog.get_logger(__name__)

CHANNELS_MAX = 5
"""Of a project that are told what waits for approval; the first that were set."""
LOOK = N_("Look at it")
_THREADS = text("SELECT id, language FROM thread WHERE id = ANY(:ids) ORDER BY id")
_CHANNELS = text(
    """
    SELECT channel.surface, channel.address FROM channel
     WHERE channel.project_id = :project ORDER BY channel.id LIMIT :most
    """
)
_ABOUT = text(
    """
    SELECT project.name AS project, person.id, person.name
      FROM project JOIN person ON person.deactivated_at IS NULL
      JOIN identity ON identity.person_id = person.id AND identity.surface = 'local'
     WHERE project.id = :project AND project.removed_at IS NULL
     ORDER BY person.created_at, person.id LIMIT 1
    """
)


async def tell(
    tx: Transaction, *, agents: Agents | None = None, pages: str = "", language: str = SOURCE
) -> None:
    """Post what nobody was told yet; what has nowhere to go stays on the automation's page.

    :param agents: of the installation; None: shell alone
    :param pages: where people reach our pages; without it no button leads there
    :param language: the locale of channels
    """
    rows = await notices.untold(tx)
    for row in rows:
        if not _is_outdated(row):
            await _tell(tx, row, agents or Agents(), pages.rstrip("/"), language)
    await notices.told(tx, [row.id for row in rows])


async def _tell(tx: Transaction, row: Any, agents: Agents, pages: str, language: str) -> None:
    found = (await tx.execute(_THREADS, {"ids": _threads_of(row)})).all()
    if not found and row.key.startswith(notices.PROPOSED):
        ids = await _in_channels(tx, row, agents, language)
        found = (await tx.execute(_THREADS, {"ids": ids})).all()
    for thread in found:
        with speaking(nearest(thread.language, language)):
            buttons = _buttons(row, pages)
            await post(tx, thread.id, f"automation:{row.id}", again(row.said), buttons=buttons)
    if not found:
        log.info("automation_notice_on_page", automation=row.name)


def _is_outdated(row: Any) -> bool:
    """Whether what waited for approval does not any more."""
    key: str = row.key
    return key.startswith(notices.PROPOSED) and key != f"{notices.PROPOSED}{row.proposed_digest}"


def _buttons(row: Any, pages: str) -> tuple[Button, ...]:
    """What is approved is what was looked at, so that a button approves nothing by itself."""
    if not (pages and row.key.startswith(notices.PROPOSED)):
        return ()
    return (labelled(Button(label=LOOK, url=f"{pages}/automations#{row.short}")),)


def _threads_of(row: Any) -> list[UUID]:
    return [UUID(one["thread"]) for one in row.reports or () if one.get("thread")]


async def _in_channels(tx: Transaction, row: Any, agents: Agents, language: str) -> list[UUID]:
    """Threads whose posts stand in the channels of the project; []: it has none."""
    asked = {"project": row.project_id, "most": CHANNELS_MAX}
    channels = (await tx.execute(_CHANNELS, asked)).all()
    session_id = await _session(tx, row, agents) if channels else None
    if session_id is None:
        return []
    return [
        await run_places.root(
            tx, session_id, Channel(surface=one.surface, address=one.address, said=""), language
        )
        for one in channels
    ]


async def _session(tx: Transaction, row: Any, agents: Agents) -> UUID | None:
    """Where what is said below the posts about an automation goes; None: nobody would have it."""
    about = (await tx.execute(_ABOUT, {"project": row.project_id})).one_or_none()
    if about is None:
        return None
    message = IncomingMessage(
        surface=run_sessions.SURFACE,
        delivery_key=row.short,
        message_key=row.short,
        place=row.short,
        person_id=about.id,
        text="",
    )
    found = await threads.find(tx, message)
    if found is None:
        prompt = commands.Prompt(text=row.name, options={"project": about.project})
        actor = Actor(id=about.id, name=about.name)
        found = await threads.open_session(tx, message, actor, prompt, agents)
    return found.session_id
