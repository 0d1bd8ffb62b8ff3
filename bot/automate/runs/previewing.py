"""What a run would be, shown before there is one."""

from dataclasses import dataclass
from uuid import UUID

from bot.automate import trigger_words
from bot.automate.definition import step_kind
from bot.automate.runs.finding import Finding, Found, NoRun
from bot.automate.runs.targets import Target
from bot.words.catalogue import Message
from bot.words.catalogue import gettext as _


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What would run, and when."""

    why: str
    """As `bot.automate.runs.beginning.Begun.why`, or `proposed`: when it is approved."""
    told: Message
    name: str = ""
    runs_as: str = ""
    when: tuple[Message, ...] = ()
    """What fires each of its triggers, with all that it asks for."""
    steps: tuple[str, ...] = ()
    """The kind of each."""
    targets: tuple[Target, ...] = ()


async def preview(finding: Finding, automation_id: UUID) -> Preview:
    """What would run now; nothing is begun. Of what nobody has approved yet: what would then.

    :raises NotFound: there is no such automation
    :raises OnaError: a code host can't be asked now
    """
    try:
        if (proposed := await finding.proposed(automation_id)) is not None:
            told = _("Nobody has approved this yet; once it is approved, this would run.")
            return _shown(proposed, proposed.definition.runs_as, told, why="proposed")
        found = await finding.counting(automation_id, by_hand=True)
    except NoRun as error:
        return Preview(why=error.why, told=error.told)
    if found.row.state == "paused":
        told = _("This would run if somebody begins it; nothing else does, as it is paused.")
    else:
        told = _("This would run.")
    return _shown(found, found.runs_as.name, told)


def _shown(found: Found, runs_as: str, told: Message, *, why: str = "") -> Preview:
    definition = found.definition
    return Preview(
        why=why,
        told=told,
        name=definition.name,
        runs_as=runs_as,
        when=tuple(trigger_words.in_full(one) for one in definition.triggers),
        steps=tuple(step_kind(step) for step in definition.steps),
        targets=tuple(found.targets),
    )
