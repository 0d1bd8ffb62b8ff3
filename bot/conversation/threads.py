"""Threads and their sessions: which session a message is about, and opening one."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bot.conversation import commands
from bot.conversation.choosing import Chosen, Row, Wish, choose
from bot.conversation.message import IncomingMessage
from bot.conversation.thread_links import ThreadLink
from bot.errors import NotFound, Refused
from bot.govern import defaults
from bot.govern.agents import Agents
from bot.govern.repositories import address
from bot.store import shorts
from bot.store.ids import new_id
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _
from bot.words.titles import made_of, made_of_command
from bot.work.branches import own_branch
from bot.work.control import Actor
from bot.work.deleting import tombstone_of, tombstone_of_thread

LATER = 1
"""Priority of sessions that nobody waits for in a conversation."""
EVER = 2**63 - 1
"""No event of the session comes behind it: a thread that was told everything up to here is told
nothing of its turns."""

_BY_THREAD = text(
    """
    SELECT thread.id AS thread_id, session.id AS session_id, session.short, session.private_to,
           session.narrow
      FROM thread JOIN session ON session.id = thread.session_id
     WHERE thread.surface = :surface AND thread.place = :place
    """
)
_BY_POST = text(
    """
    SELECT session.id AS session_id, session.short, session.narrow
      FROM thread JOIN session ON session.id = thread.session_id
      JOIN reply ON reply.thread_id = thread.id
     WHERE thread.surface = :surface AND thread.place LIKE '%/~%'
       AND split_part(thread.place, '~', 1) || reply.posted_ref = :place
       AND (session.private_to IS NULL OR session.private_to = :person AND :alone) LIMIT 1
    """
)
"""The thread below a post of ours that stands in the channel itself."""
_CHANNEL = text(
    """
    SELECT project.name FROM channel JOIN project ON project.id = channel.project_id
     WHERE channel.surface = :surface AND channel.address = :channel AND project.removed_at IS NULL
    """
)
_READ_ON = text(
    """
    UPDATE thread SET replied_to = session.event_last FROM session
     WHERE session.id = thread.session_id AND thread.id = :thread AND thread.replied_to = :ever
    """
)
_SET_CHANNEL = text(
    """
    INSERT INTO channel (id, surface, address, project_id)
    SELECT :id, :surface, :channel, project.id
      FROM project WHERE project.name = :project AND project.removed_at IS NULL
    ON CONFLICT (surface, address) DO UPDATE SET project_id = excluded.project_id
    RETURNING id
    """
)
_BEGIN = text("SELECT pg_advisory_xact_lock(hashtextextended(CAST(:surface AS text) || :place, 0))")
_BY_SHORT = text(
    """
    SELECT session.id, private_to, narrow, project.repository_url
      FROM session JOIN project ON project.id = session.project_id
     WHERE session.short = :short AND (private_to IS NULL OR private_to = :person)
       AND session.state <> 'deleting'
    """
)
_BY_LINK = text(
    """
    SELECT session.short FROM thread JOIN session ON session.id = thread.session_id
     WHERE thread.surface = :surface AND thread.place LIKE ANY(:places)
       AND (private_to IS NULL OR private_to = :person) AND session.state <> 'deleting'
     ORDER BY CAST(:ref AS text) <> '' AND (
           EXISTS (SELECT FROM reply WHERE reply.thread_id = thread.id
                      AND (posted_ref = :ref OR posted_ref LIKE '%/' || :ref))
           OR EXISTS (SELECT FROM prompt JOIN delivery ON delivery.prompt_id = prompt.id
                       WHERE prompt.thread_id = thread.id AND message_key LIKE '%/' || :ref)) DESC,
           length(thread.place) LIMIT 1
    """
)
_BY_BRANCH = text(
    """
    SELECT id AS session_id, short, narrow FROM session
     WHERE branch = :branch AND (private_to IS NULL OR private_to = :person AND :alone)
       AND state <> 'deleting'
    """
)
_ADD_THREAD = text(
    """
    INSERT INTO thread (id, session_id, surface, place, language, replied_to)
    SELECT :id, session.id, :surface, :place, :language, session.event_last
      FROM session WHERE session.id = :session
    ON CONFLICT (surface, place) DO UPDATE
       SET session_id = excluded.session_id,
           replied_to = CASE WHEN thread.session_id = excluded.session_id
                             THEN thread.replied_to ELSE excluded.replied_to END
    RETURNING id
    """
)
_NARROW = text("UPDATE session SET narrow = true WHERE id = :session AND NOT narrow")
_ADD_SESSION = text(
    """
    INSERT INTO session (id, short, project_id, creator_id, title, agent, model, size, branch,
                         base_branch, private_to, parent_id)
    VALUES (:id, :short, :project, :creator, :title, :agent, :model, :size, :branch, :base_branch,
            :private_to, :parent)
    """
)
_PARENT = text(
    """
    SELECT session.id, session.agent, session.model, session.size, session.base_branch,
           project.name AS project
      FROM session JOIN project ON project.id = session.project_id WHERE session.id = :session
    """
)
_INHERIT = text(
    """
    INSERT INTO checkpoint (id, session_id, repository_id, base, head, tree, size, inline, blob,
                            left_out)
    SELECT DISTINCT ON (repository_id) gen_random_uuid(), CAST(:session AS uuid), repository_id,
           base, head, tree, size, inline, blob, left_out
      FROM checkpoint WHERE session_id = :parent
     ORDER BY repository_id, created_at DESC, id DESC
    """
)
_RESIZE = text("UPDATE session SET size = :size WHERE id = :session")
_GIVE_WAY = text("UPDATE session SET priority = :priority WHERE id = :session")
_PROJECTS = text(
    """
    SELECT id, name, agent, base_branch, repository_url FROM project
     WHERE removed_at IS NULL ORDER BY name
    """
)
_PROJECT_OF = text("SELECT project_id FROM session WHERE id = :session")
_TITLE = text("SELECT title FROM session WHERE id = :session")
_RECENT = text(
    """
    SELECT session.short, session.state, session.title, project.name AS project,
           project.id AS project_id, project.repository_url, session.private_to,
           session.narrow AND NOT (:narrow AND EXISTS (
               SELECT FROM thread
                WHERE thread.session_id = session.id
                  AND (thread.surface, thread.place) = (:surface, :place))) AS narrow
      FROM session JOIN project ON project.id = session.project_id
     WHERE session.private_to IS NULL OR session.private_to = :person
     ORDER BY session.active_at DESC LIMIT 20
    """
)


@dataclass(frozen=True, kw_only=True)
class Found:
    """The session that a message is about, and the thread it was said in."""

    session_id: UUID
    short: str
    thread_id: UUID
    narrow: bool = False
    """Something was said in it where fewer people read than where the message was said."""
    chosen: Chosen | None = None
    """What it works on and why, when it was just opened."""


async def find(tx: Transaction, message: IncomingMessage) -> Found | None:
    """The session that the message names, else the one of its thread, else None.

    :raises NotFound: it names one that does not exist
    :raises Refused: that one is private or narrow, and others read along
    """
    if message.session is not None:
        return await _named(tx, message, message.session)
    here = {"surface": message.surface, "place": message.place}
    row = (await tx.execute(_BY_THREAD, here)).one_or_none()
    if row is not None:
        if row.private_to not in {None, message.person_id}:
            raise _unknown(row.short)
        if message.narrow:
            # What everybody read until now may have become confidential since.
            await tx.execute(_NARROW, {"session": row.session_id})
        return _found(row, row.thread_id, message)
    return await _find_beside(tx, message)


async def _named(tx: Transaction, message: IncomingMessage, short: str) -> Found:
    """The session of that short id, which the message's thread has from now on."""
    asked = {"short": short, "person": message.person_id}
    row = (await tx.execute(_BY_SHORT, asked)).one_or_none()
    if row is None:
        deleted = await tombstone_of(tx, short)
        raise deleted.error() if deleted is not None else _unknown(short)
    if row.private_to is not None and not message.alone:
        raise Refused(
            _("session {session} is private to you, and others read along here", session=short),
            kept=_("nothing of it was shown"),
            do=_("say it in a direct message"),
        )
    check_readers(message, short, narrow=row.narrow)
    if message.narrow and address(row.repository_url) != address(message.repository):
        raise Refused(
            _("session {session} works on another repository, with other readers", session=short),
            kept=_("nothing of this place was shown there"),
            do=_("ask anew here"),
        )
    thread_id = await _thread(tx, row.id, message)
    return Found(session_id=row.id, short=short, thread_id=thread_id, narrow=row.narrow)


def _found(row: Any, thread_id: UUID, message: IncomingMessage) -> Found:
    narrow = row.narrow and not message.narrow
    return Found(session_id=row.session_id, short=row.short, thread_id=thread_id, narrow=narrow)


def check_readers(message: IncomingMessage, short: str, *, narrow: bool) -> None:
    """:raises Refused: some who read where it was said may not see that session"""
    if narrow and not message.alone:
        raise Refused(
            _("fewer people may see session {session} than read along here", session=short),
            kept=_("nothing of it was shown"),
            do=_("say it in a direct message"),
        )


def _unknown(short: str) -> NotFound:
    return NotFound(
        _("there is no session {session}", session=short),
        do=_("`sessions` lists those that exist"),
    )


async def _find_beside(tx: Transaction, message: IncomingMessage) -> Found | None:
    """The session that the message's thread has from now on too.

    That of the thread which it is a part of; else of the branch that it is about; else of the post
    in a channel below which it stands.
    """
    reader: dict[str, object] = {"person": message.person_id, "alone": message.alone}
    tries = [(_BY_POST, {**reader, "surface": message.surface, "place": message.place})]
    if message.branch:
        tries.insert(0, (_BY_BRANCH, {**reader, "branch": message.branch}))
    if message.within:
        tries = [(_BY_THREAD, {"surface": message.surface, "place": message.within})]
    for statement, asked in tries:
        row = (await tx.execute(statement, asked)).first()
        if row is not None:
            thread_id = await _thread(tx, row.session_id, message)
            return _found(row, thread_id, message)
    return None


async def linked(tx: Transaction, message: IncomingMessage, link: ThreadLink | None) -> str:
    """The short id of the session whose thread a link is about. :raises NotFound:"""
    asked = {**vars(link), "person": message.person_id} if link is not None else {}
    short: str | None = (await tx.execute(_BY_LINK, asked)).scalar_one_or_none() if link else None
    if short is None:
        raise NotFound(
            _("no session talks where this link leads"),
            do=_("`sessions` lists those that exist"),
        )
    return short


async def find_or_begin(tx: Transaction, message: IncomingMessage) -> Found | None:
    """Like `find`; on None nobody else opens a session in the thread before `tx` ends.

    :raises NotFound: the session of the thread was deleted, too
    """
    found = await find(tx, message)
    if found is None:
        where = {"surface": message.surface, "place": message.within or message.place}
        await tx.execute(_BEGIN, where)
        found = await find(tx, message)
    if found is None:
        deleted = await tombstone_of_thread(tx, message.surface, message.within or message.place)
        if deleted is not None:
            raise deleted.error()
    return found


Choosing = Callable[[Transaction, Sequence[Row], Wish], Awaitable[Chosen]]
"""Chooses the project that is meant, of those that somebody may see."""


async def open_session(
    tx: Transaction,
    message: IncomingMessage,
    actor: Actor,
    prompt: commands.Prompt,
    agents: Agents,
    *,
    parent_id: UUID | None = None,
    choosing: Choosing | None = None,
) -> Found:
    """Open a session on the project that the message means, in the message's thread.

    :param parent_id: the session from whose checkpoint a private one begins, unless its author
        names another project
    :param choosing: of the projects that somebody may see; None: of all of them
    :raises NotFound: no such project, or none at all
    :raises WhichProject: it could be several
    :raises Refused: the agent is not known or not set up, or has no model
    """
    parent: Any = None
    if parent_id is not None:
        parent = (await tx.execute(_PARENT, {"session": parent_id})).one()
    options = prompt.options
    meant = parent.project if parent and "repo" not in options else message.project
    wish = Wish(
        name=options.get("project") or meant,
        repository=options.get("repo"),
        home=message.repository,
        checkout=message.checkout,
        text=prompt.text,
        channel=await channel_project(tx, message.surface, message.channel),
    )
    projects = [dict(row) for row in (await tx.execute(_PROJECTS)).mappings()]
    chosen = await choosing(tx, projects, wish) if choosing else choose(projects, wish)
    if parent is not None and parent.project != chosen.project["name"]:
        parent = None
    found = parent._asdict() if parent else chosen.project
    own = await defaults.chosen(tx, actor.id, agents.offers)
    agent = agents.chosen(options.get("agent"), found["agent"], own.agent if own else None)
    agents.check_model(agent, options.get("model"))
    usual = own.model if own and own.agent == agent else None
    session_id = new_id()
    short = await _insert_session(
        tx,
        {
            "id": session_id,
            "project": chosen.project["id"],
            "creator": actor.id,
            "title": _title_of(prompt),
            "agent": agent,
            "model": options.get("model") or (parent.model if parent else usual),
            "size": options.get("size") or (parent.size if parent else None),
            "base_branch": options.get("branch") or found["base_branch"],
            "private_to": actor.id if prompt.private else None,
            "parent": parent.id if parent else None,
        },
    )
    if parent is not None:
        inherited = {"session": session_id, "parent": parent.id}
        await tx.execute(_INHERIT, inherited)
    thread_id = await _thread(tx, session_id, message)
    if message.within:
        await _thread(tx, session_id, replace(message, place=message.within))
    return Found(session_id=session_id, short=short, thread_id=thread_id, chosen=chosen)


def _title_of(prompt: commands.Prompt) -> str:
    return made_of_command(prompt.text) if prompt.kind == "command" else made_of(prompt.text)


async def read_on(tx: Transaction, thread_id: UUID) -> None:
    """Let a thread that was told nothing of its session's turns be told of them from now on."""
    await tx.execute(_READ_ON, {"thread": thread_id, "ever": EVER})


async def channel_project(tx: Transaction, surface: str, channel: str) -> str | None:
    """The name of the project that is set for a channel."""
    where = {"surface": surface, "channel": channel}
    name: str | None = (await tx.execute(_CHANNEL, where)).scalar_one_or_none()
    return name


async def set_channel(tx: Transaction, surface: str, channel: str, project: str) -> None:
    """Let new sessions of a channel be about `project`. :raises NotFound: there is none"""
    values = {"id": new_id(), "surface": surface, "channel": channel, "project": project}
    if (await tx.execute(_SET_CHANNEL, values)).one_or_none() is None:
        raise NotFound(
            _("there is no project {project}", project=project),
            do=_("`ona projects` lists those there are"),
        )


async def project_of(tx: Transaction, session_id: UUID) -> UUID:
    """The project that a session works on."""
    project_id: UUID = await tx.scalar(_PROJECT_OF, {"session": session_id})
    return project_id


async def title(tx: Transaction, session_id: UUID) -> str:
    """What the session is called."""
    return str(await tx.scalar(_TITLE, {"session": session_id}) or "")


async def resize(tx: Transaction, session_id: UUID, size: str) -> None:
    """From its next turn on the session's machine is of this size."""
    await tx.execute(_RESIZE, {"session": session_id, "size": size})


async def give_way(tx: Transaction, session_id: UUID) -> None:
    """Let the session go after what people ask for themselves."""
    await tx.execute(_GIVE_WAY, {"session": session_id, "priority": LATER})


async def _insert_session(tx: Transaction, values: dict[str, Any]) -> str:
    short = await shorts.add(tx, _ADD_SESSION, values, "s", named=_branch)
    if short is None:
        raise Refused(_("no short name was free for the session"), do=_("try again"))
    return short


def _branch(short: str) -> dict[str, str]:
    return {"branch": own_branch(short)}


async def _thread(tx: Transaction, session_id: UUID, message: IncomingMessage) -> UUID:
    thread_id: UUID = (
        await tx.execute(
            _ADD_THREAD,
            {
                "id": new_id(),
                "session": session_id,
                "surface": message.surface,
                "place": message.place,
                "language": message.language,
            },
        )
    ).scalar_one()
    if message.narrow:
        await tx.execute(_NARROW, {"session": session_id})
    return thread_id


async def recent(
    tx: Transaction, message: IncomingMessage, person_id: UUID
) -> list[dict[str, Any]]:
    """The sessions that were active last, of all projects, but for others' private ones.

    Each as short, state, title, project, project_id, repository_url, private_to, and narrow: fewer
    people read some of it than read the repository, and than read the message.
    """
    here = {"surface": message.surface, "place": message.place, "narrow": message.narrow}
    rows = await tx.execute(_RECENT, {"person": person_id, **here})
    return [dict(row) for row in rows.mappings()]
