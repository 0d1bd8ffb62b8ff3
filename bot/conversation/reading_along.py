"""What an answer may say where others read along; where nobody does, it says all of it.

in a chat                 what is of other places too is told to its author alone
beside an issue or a      nobody can be told alone: what is of other repositories, or was not
pull request              said there, is left out of lists, and refused where it is asked for
"""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from bot.conversation import threads
from bot.conversation.message import IncomingMessage
from bot.errors import Refused
from bot.govern.repositories import address
from bot.store.transaction import Transaction
from bot.words.catalogue import Message
from bot.words.catalogue import gettext as _

_URLS = text("SELECT id, repository_url FROM project WHERE id = ANY(:projects)")


@dataclass(frozen=True, kw_only=True)
class Told:
    """What somebody is told of their command."""

    text: Message
    is_wide: bool = False
    """It is of other places too: where others read along, it is for its author alone."""
    is_marked: bool = False
    """It is Markdown."""


@dataclass(frozen=True, kw_only=True)
class Readers:
    """Who reads the answer to a command: its author, and who else reads where it was said."""

    message: IncomingMessage
    found: threads.Found | None
    """The session of that thread."""

    @property
    def is_read_by_all(self) -> bool:
        """Who reads a repository reads every answer there."""
        return bool(self.message.repository)

    def read(self, thread_id: UUID | None) -> bool:
        """Whether they read that thread: what was said there was said to them."""
        return self.found is not None and self.found.thread_id == thread_id

    async def own(self, tx: Transaction, projects: Collection[UUID]) -> set[UUID]:
        """Those of the projects that this place is about."""
        if home := address(self.message.repository):
            rows = await tx.execute(_URLS, {"projects": list(projects)})
            return {row.id for row in rows if address(row.repository_url) == home}
        if self.found is None:
            return set()
        return {await threads.project_of(tx, self.found.session_id)} & set(projects)

    def check(self, *, is_own: bool) -> None:
        """:raises Refused: it is not of this place, and everybody would read it"""
        if self.is_read_by_all and not is_own:
            raise Refused(
                _("there is nobody here whom I could answer alone"),
                do=_("ask in a chat, in a direct message or on the web page"),
            )
