"""Whether an operator halted somebody's work, a project or everything; pure.

    halts (rows) ─▶ halted(project, person) ─▶ the halt that applies, or None

The queue's statements hold the same rule, because a claim has to be decided where the rows are; a
test compares the two. Whatever else must stand still (a turn, a grant, a connection out of a
machine, a schedule) asks here.
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from shlex import quote
from uuid import UUID

from bot.words.catalogue import gettext as _


class Scope(enum.StrEnum):
    """How much is halted."""

    ALL = "all"
    PROJECT = "project"
    PERSON = "person"


@dataclass(frozen=True, kw_only=True)
class Halt:
    """Somebody's order that something stands still."""

    id: UUID
    scope: Scope
    project_id: UUID | None = None
    person_id: UUID | None = None
    target: str = ""
    """Name of the project or the person; empty for everything."""
    by: UUID
    name: str
    """Of who ordered it."""
    why: str = ""
    at: datetime

    @property
    def what(self) -> str:
        """What stands still, as the middle of a sentence says it."""
        match self.scope:
            case Scope.ALL:
                return _("everything")
            case Scope.PROJECT:
                return _("project {project}", project=self.target)
            case Scope.PERSON:
                return _("what {name} asks for", name=self.target)

    @property
    def undone_by(self) -> str:
        """The command that lifts this halt, and no other one."""
        words = ["ona", "resume"]
        if self.scope is not Scope.ALL:
            words += [f"--{self.scope.value}", quote(self.target)]
        return " ".join(words)

    @property
    def told(self) -> str:
        """One clause about it: what, by whom, why."""
        if not self.why:
            return _("{what} is halted by {name}", what=self.what, name=self.name)
        return _("{what} is halted by {name}: {why}", what=self.what, name=self.name, why=self.why)


def halted(
    halts: Iterable[Halt], *, project_id: UUID | None, person_id: UUID | None
) -> Halt | None:
    """The halt under which a project's work for a person stands still; the widest one first.

    :param project_id: of the session; None: it is about no project
    :param person_id: whose prompt it is; None: nobody's, such as a template's set-up
    """
    order = list(Scope)
    for halt in sorted(halts, key=lambda one: (order.index(one.scope), one.at)):
        match halt.scope:
            case Scope.ALL:
                return halt
            case Scope.PROJECT if project_id is not None and halt.project_id == project_id:
                return halt
            case Scope.PERSON if person_id is not None and halt.person_id == person_id:
                return halt
    return None
