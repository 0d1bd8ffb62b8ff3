"""A message whose project a person has to choose: kept for a day, with buttons in its thread.

which project? ─▶ park ─▶ a post with a button for each ─▶ pressed ─▶ Inbox.accept, once
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID, uuid5

import structlog
from sqlalchemy import text

from adapters.chat.incoming import Said
from adapters.chat.port import AfterUncertain, Button, ChatError, ChatPort, Content, Deadline
from adapters.forge.port import Permission
from bot.conversation import keeping, threads
from bot.conversation.inbox import Inbox
from bot.conversation.message import Accepted, IncomingMessage
from bot.govern.people import standing_of
from bot.store.database import Database
from bot.words.catalogue import N_, speaking
from bot.words.catalogue import gettext as _

log = structlog.get_logger(__name__)

BUTTONS_MAX = 5
ANOTHER = N_("For another one, ask again with project=NAME in front.")
POST_SECONDS = 10.0
_OURS = UUID("6f6e612d-7061-726b-8564-6d6573736167")
"""Namespace of the ids of parked messages."""
_CHOICE = re.compile(r"choose ([0-9a-f-]{36}) (once|always) (.+)")
_USED = text(
    """
    SELECT project.name, project.id AS project_id FROM project
      LEFT JOIN session ON session.project_id = project.id
     WHERE project.removed_at IS NULL
     GROUP BY project.id ORDER BY max(session.active_at) DESC NULLS LAST, project.name
    """
)

_NAMED = text("SELECT id FROM project WHERE name = :name AND removed_at IS NULL")
_OF_SESSION = text(
    """
    SELECT project.name FROM session JOIN project ON project.id = session.project_id
     WHERE session.id = :session
    """
)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a button about a parked message says."""

    parked: UUID
    project: str
    always: bool = False

    @classmethod
    def read(cls, says: str) -> "Choice | None":
        """The choice that these words are; None: they are none."""
        found = _CHOICE.fullmatch(says)
        if found is None:
            return None
        try:
            parked = UUID(found.group(1))
        except ValueError:
            return None
        return cls(parked=parked, project=found.group(3), always=found.group(2) == "always")

    @property
    def says(self) -> str:
        """As a button says it."""
        return f"choose {self.parked} {'always' if self.always else 'once'} {self.project}"


class Parking:
    """Asks for the project of a message, and takes the answer."""

    def __init__(self, database: Database, inbox: Inbox, ports: Mapping[str, ChatPort]) -> None:
        """`ports` by surface."""
        self._database = database
        self._inbox = inbox
        self._ports = ports

    async def ask(self, said: Said, message: IncomingMessage) -> None:
        """Keep the message and post a button for each project, once."""
        port = self._ports.get(message.surface)
        if port is None:
            return
        parked = uuid5(_OURS, f"{message.surface}/{message.message_key}")
        async with self._database.begin() as tx:
            is_new = await keeping.put(tx, parked, message)
            projects = [dict(row) for row in (await tx.execute(_USED)).mappings()]
            who = await standing_of(tx, message.person_id)
        names = [one["name"] for one in await self._inbox.rights.visible(who, projects)]
        try:
            await self._post(port, said, parked, names, is_new=is_new)
        except ChatError as error:
            log.warning("project_not_asked", place=said.spot.place, why=str(error))

    async def _post(
        self, port: ChatPort, said: Said, parked: UUID, names: Sequence[str], *, is_new: bool
    ) -> None:
        place, mark, deadline = said.spot.place, str(parked), Deadline.after(POST_SECONDS)
        if not is_new:
            # It was delivered again: whoever heard it first may have ended before it was posted.
            looks_up = port.limits.after_uncertain is AfterUncertain.LOOK_UP
            if not looks_up or await port.find(place, mark, deadline) is not None:
                return
        buttons = tuple(
            Button(label=name, says=Choice(parked=parked, project=name).says)
            for name in names[:BUTTONS_MAX]
        )
        words: str = _("Which project is this for?")
        if len(names) > BUTTONS_MAX:
            words = f"{words} {_(ANOTHER)}"
        content = Content(text=port.escape(words, code=False), buttons=buttons)
        await port.post(place, content, mark, deadline)

    async def chosen(self, said: Said, choice: Choice, by: UUID) -> Accepted | None:
        """Let the parked message be about the project; None: it is not kept any more.

        :param by: who chose it; others than its author need the right to write there, as whoever
            sets the project of a channel does
        :raises NotFound: the project is gone
        :raises NotPermitted: they may not choose it
        """
        async with self._database.begin() as tx:
            message = await keeping.get(tx, choice.parked)
        if message is None:
            return None
        if choice.always or by != message.person_id:
            await self._check(choice.project, by)
        if choice.always:
            async with self._database.begin() as tx:
                await threads.set_channel(tx, message.surface, message.channel, choice.project)
        key = f"choice/{choice.parked}"
        accepted = await self._inbox.accept(
            replace(message, project=choice.project, delivery_key=key, message_key=key)
        )
        # Somebody may have been quicker, and chosen another one.
        project = await self._project(accepted)
        if choice.always or project is not None:
            with speaking(message.language):
                await self._settle(said, replace(choice, project=project or choice.project))
        return accepted

    async def _check(self, project: str, person_id: UUID) -> None:
        """:raises NotPermitted: they may not write to it"""
        rights = self._inbox.rights
        async with self._database.begin() as tx:
            who = await standing_of(tx, person_id)
            known = (await tx.execute(_NAMED, {"name": project})).scalar_one_or_none()
        if rights.guard and known is not None and not who.operator:
            await rights.require(who, known, Permission.WRITE)

    async def _project(self, accepted: Accepted) -> str | None:
        """The name of the project that an accepted message is about."""
        about = {"session": accepted.session_id}
        name: str | None = (await self._database.run(_OF_SESSION, about)).scalar_one_or_none()
        return name

    async def _settle(self, said: Said, choice: Choice) -> None:
        """Let the post say what was chosen."""
        port = self._ports.get(said.spot.surface)
        if port is None or not said.post:
            return
        if choice.always:
            words = _("Project {project}, in this channel from now on.", project=choice.project)
        else:
            words = _("Project {project}.", project=choice.project)
        always = Button(label=_("Always in this channel"), says=replace(choice, always=True).says)
        content = Content(
            text=port.escape(words, code=False), buttons=() if choice.always else (always,)
        )
        try:
            await port.edit(said.spot.place, said.post, content, Deadline.after(POST_SECONDS))
        except ChatError as error:
            log.info("choice_not_shown", place=said.spot.place, why=str(error))
