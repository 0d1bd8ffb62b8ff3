"""What is said about events of which no run comes; pure."""

from collections.abc import Mapping

from bot.automate.runs.stepping import TRIES_MAX
from bot.automate.triggers.taking_decided import ATTEMPTS_MAX
from bot.words.catalogue import Message
from bot.words.catalogue import gettext as _


def dropped(automation: str, *, runs_per_hour: int) -> Mapping[str, Message]:
    """By why events are dropped, as far as people have to know."""
    return {
        "rate": _(
            "{automation} has run {most} times within an hour, as often as it may: what else"
            " happens meanwhile makes no runs. `limits.runs_per_hour` sets another limit.",
            automation=automation,
            most=runs_per_hour,
        ),
        "loop": _(
            "{automation} would have run because of what its own runs did, and so on without end:"
            " that was left out. Make its triggers narrower, such as by branches or authors.",
            automation=automation,
        ),
        "failed": not_begun(automation),
    }


def not_begun(automation: str) -> Message:
    """Nothing came of something that happened, however often it was tried."""
    return _(
        "A run of {automation} could not be begun, though it was tried {count} times: what it"
        " was for is left out. `automations run {automation}` runs it once.",
        automation=automation,
        count=ATTEMPTS_MAX,
    )


def not_ended(automation: str, run: str) -> Message:
    """What a run came to stands, and what its end asks for does not."""
    return _(
        "The run {run} of {automation} is over, but not all that its end asks for could be done,"
        " such as its report, though it was tried {count} times. `runs show {run}` says what came"
        " of it.",
        run=run,
        automation=automation,
        count=TRIES_MAX,
    )


def no_run(automation: str, why: Message) -> Message:
    """Why nothing came of something that happened."""
    return _(
        "Something happened that {automation} is to run for, and it did not: {why}.",
        automation=automation,
        why=why,
    )


def unreadable(automation: str) -> Message:
    """What it says is nothing that this version knows."""
    return _(
        "The automation {automation} is paused: it can't be read any more. Approve it again.",
        automation=automation,
    )
