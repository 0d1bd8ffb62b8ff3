"""“Add project”: a repository that has none is made one by who may, and their prompt runs in it.

no project ─▶ park ─▶ a button for the asker alone ─▶ pressed ─▶ can it be read? ─▶ project, prompt

Reading a repository takes longer than a surface waits for an acknowledgement: it is done after it.
Should that be cut off, the button is still there, and pressing it again does no harm.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from uuid import UUID, uuid5

import structlog
from sqlalchemy import text

from adapters.chat.incoming import Said
from adapters.chat.port import Button
from adapters.forge.port import Permission
from bot.conversation import commands, keeping
from bot.conversation.hints import Hints
from bot.conversation.inbox import Inbox
from bot.conversation.message import IncomingMessage
from bot.conversation.unadded import unadded
from bot.errors import OnaError, Refused
from bot.govern import projects, repositories
from bot.govern.access import Act, Standing, require
from bot.govern.agents import Agents
from bot.govern.people import standing_of
from bot.govern.repositories import address
from bot.store.database import Database
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _
from bot.words.sentences import sentence

log = structlog.get_logger(__name__)

NAMES_MAX = 20
_OURS = UUID("6f6e612d-6164-6450-8072-6f6a65637421")
"""Namespace of the ids of messages that wait for a project to be added."""
_PRESSED = re.compile(r"add project ([0-9a-f-]{36})")
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('add project', 0))")
_PROJECTS = text("SELECT id, name, repository_url FROM project WHERE removed_at IS NULL")
_NAME = text("SELECT name FROM project WHERE id = :id")
NEED = Permission.WRITE
"""What somebody must be able to do with a repository to give it a project."""

CheckRepository = Callable[[str], Awaitable[None]]
"""Looks whether a repository can be read. :raises OnaError: what is wrong"""


async def unlooked(_url: str) -> None:
    """Take it that the repository can be read."""


def pressed(says: str) -> UUID | None:
    """The parked message that a button is about; None: it is another button."""
    found = _PRESSED.fullmatch(says)
    try:
        return UUID(found.group(1)) if found else None
    except ValueError:
        return None


class Adding:
    """Offers to add projects, and adds them."""

    def __init__(
        self,
        database: Database,
        inbox: Inbox,
        hints: Hints,
        *,
        mention: str,
        check: CheckRepository,
    ) -> None:
        """`check` may take as long as a fetch."""
        self._database = database
        self._inbox = inbox
        self._hints = hints
        self._mention = mention
        self._check = check
        self._under_way: set[asyncio.Task[None]] = set()

    async def ask(self, said: Said, message: IncomingMessage) -> None:
        """Keep the message, and show its author alone the button; once."""
        url = await self._wanted(message)
        if url is None:
            return
        parked = uuid5(_OURS, f"{message.surface}/{message.message_key}")
        async with self._database.begin() as tx:
            is_new = await keeping.put(tx, parked, message)
        if is_new:
            name = repositories.shown(self._inbox.rights.forges, url)
            words = _(
                "{repository} has no project here. Add one, and what you asked runs in it.",
                repository=name,
            )
            button = Button(label=_("Add project"), says=f"add project {parked}")
            await self._hints.whisper(said, words, button)

    def add(self, said: Said, person_id: UUID, parked: UUID) -> None:
        """Begin to add the project of a parked message; who pressed is told what came of it."""
        task = asyncio.create_task(self._add(said, person_id, parked))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def done(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._under_way)

    async def _add(self, said: Said, person_id: UUID, parked: UUID) -> None:
        try:
            told = await self._added(person_id, parked)
        except OnaError as refusal:
            told = sentence(str(refusal))
        except Exception:
            log.exception("project_not_added", parked=str(parked))
            told = _("The project could not be added; press the button again.")
        await self._hints.whisper(said, told)

    async def _added(self, person_id: UUID, parked: UUID) -> str:
        async with self._database.begin() as tx:
            message = await keeping.get(tx, parked)
        if message is None:
            return _("This was asked too long ago: ask again.")
        if message.person_id != person_id:
            raise Refused(_("somebody else asked this"), kept=_("nothing was changed"))
        url = await self._wanted(message)
        if url is not None:
            await self._check(url)
            async with self._database.begin() as tx:
                standing = await standing_of(tx, person_id)
                name = await tx.scalar(_NAME, {"id": await project_at(tx, standing, url)})
            message = replace(message, project=name)
        key = f"added/{parked}"
        accepted = await self._inbox.accept(replace(message, delivery_key=key, message_key=key))
        if accepted.verdict == "refused" or url is None:
            return accepted.text
        return _("Project {project} is added, and what you asked runs in it.", project=name)

    async def _wanted(self, message: IncomingMessage) -> str | None:
        """Whose project is to be added, if that still is so. :raises Refused: they may not"""
        parsed = commands.parse(message.text, self._mention)
        if not isinstance(parsed, commands.Prompt):
            return None
        rights = self._inbox.rights

        async def look() -> str | None:
            async with self._database.begin() as tx:
                who = await standing_of(tx, message.person_id)
                require(who, Act.PROJECTS)
                return await unadded(tx, rights, who, message, parsed)

        return await rights.settled(look)


async def project_at(tx: Transaction, who: Standing, url: str) -> UUID:
    """The project of the repository, which is added unless somebody else did.

    :raises Refused: they may not
    """
    await tx.execute(_LOCK)
    require(who, Act.PROJECTS)
    known = {row.name: row for row in await tx.execute(_PROJECTS)}
    for row in known.values():
        if address(row.repository_url) == address(url):
            found: UUID = row.id
            return found
    new = projects.NewProject(name=_free(url, known), repository_url=url)
    projects.check(new, (), Agents())
    return await projects.add_project(tx, new)


def _free(url: str, taken: Collection[str]) -> str:
    """A name for the project of a repository: its own, else with its owner's, else with a number.

    :raises Refused: none is free
    """
    parts = [re.sub(r"[^A-Za-z0-9._-]", "-", part) for part in address(url).split("/")[1:]]
    own = parts[-1].removesuffix(".git").lstrip("._-") or "project"
    whole = "-".join([*parts[-2:-1], own]).lstrip("._-")
    tries = [own, whole, *(f"{whole}-{number}" for number in range(2, NAMES_MAX))]
    for name in tries:
        cut = name[-63:].lstrip("._-")
        if cut not in taken:
            return cut
    raise Refused(_("no name is free for the project"), do=_("add it with `ona projects add`"))
