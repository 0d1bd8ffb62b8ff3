"""What a person may do; pure: facts in, yes or no out.

For now everybody of the installation may see, prompt, stop and answer everywhere; only operators
manage people, because whoever makes a sign-in link can act under that name, only they may make a
project of the host's own files, only they halt, and only they see why a surface fails. Deactivated
people may nothing.
"""

import enum
from dataclasses import dataclass
from uuid import UUID

from bot.errors import NotAllowed
from bot.words.catalogue import gettext as _


class Act(enum.StrEnum):
    """Something that a person wants to do."""

    SEE = "see"
    """Read sessions, machines, projects and people."""
    PROMPT = "prompt"
    """Give an agent work, or answer its questions."""
    STOP = "stop"
    """End turns; hold, clear and cancel what is queued, whoever wrote it."""
    MACHINES = "machines"
    """Hibernate and destroy machines."""
    ENTER = "enter"
    """Log in to the machines of sessions, and see what listens in them."""
    PROJECTS = "projects"
    """Add and remove projects."""
    HOST_FILES = "host_files"
    """Make a project of a directory of the host, which our processes can read and they can't."""
    PEOPLE = "people"
    """Add and deactivate people and make their sign-in links."""
    DELETE = "delete"
    """Delete sessions with everything that belongs to them."""
    SECRETS = "secrets"
    """Set, name, try and remove the secrets of projects."""
    HALT = "halt"
    """Let everything, a project or a person's work stand still."""
    AUDIT = "audit"
    """Read, export and verify the audit."""
    POLICY = "policy"
    """Set what machines may reach."""
    BUDGET = "budget"
    """Let sessions of others spend more than their budget."""
    AUTOMATIONS = "automations"
    """Approve automations of projects whose repository they don't administer."""
    SURFACES = "surfaces"
    """See how the surfaces do, and why one does not."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What is known of a person when it is decided what they may do."""

    person_id: UUID
    name: str
    active: bool
    operator: bool
    """Runs the installation: signed in first, from its own machine."""
    is_service: bool = False
    """It is nobody: automations work in its name, and it never signs in or asks for anything."""


_EVERYBODY = frozenset({Act.SEE, Act.PROMPT, Act.STOP, Act.MACHINES, Act.ENTER, Act.PROJECTS})


def may(who: Standing, act: Act) -> bool:
    """Whether this person may do this."""
    if not who.active:
        return False
    return who.operator or act in _EVERYBODY


def require(who: Standing, act: Act) -> None:
    """:raises NotAllowed: when this person may not do this."""
    if may(who, act):
        return
    if not who.active:
        raise NotAllowed(_("{name} is deactivated here", name=who.name), do=_("ask who runs ona"))
    raise NotAllowed(
        _("only an operator may do this"),
        kept=_("nothing was changed"),
        do=_("ask who runs ona"),
    )
