"""What a run does next; pure. `bot.automate.runs.running` does it.

waiting ─▶ started, up to `parallel` ─▶ step, step, … ─▶ done
                      │ a step fails, somebody or a limit stops it ─▶ failed, stopped
every target over ─▶ the run is settled

What raises when it is done for a target is tried again later, and the target fails at last.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from bot.automate.definition import Limits
from bot.errors import OnaError, TellPerson
from bot.words.catalogue import N_, Message, in_source
from bot.words.catalogue import gettext as _

MICRO = 1_000_000
"""Micro-dollars in a dollar."""
STOPPED: Mapping[str, str] = {
    "person": N_("the run was stopped"),
    "time": N_("the run had all the time that it may take"),
    "money": N_("the run has cost all that it may"),
    "cancelled": N_("a newer run took its place"),
    "halt": N_("an operator halted this"),
}
"""By why a run is stopped."""
TOO_LONG = N_("it took longer than it may")
DELETED = N_("its session was deleted")
CANCELLED = N_("its prompt was taken out of the queue")
UNREADABLE = N_("what the run was to do can't be read any more; begin it again")
TRIES_MAX = 8
"""Of one thing that is to be done for a target, which then fails, or of a run's end."""


@dataclass(frozen=True, kw_only=True)
class Moving:
    """A target that runs, as it is seen now."""

    id: UUID
    step: int
    seconds: float
    """Since the turn of its first step began; to wait for a free worker takes none of its time."""
    has_session: bool = True
    prompt: str = "queued"
    """State of its step's prompt."""
    outcome: str = ""
    """State of that prompt's turn; empty: there is none yet."""
    summary: str = ""
    put_off: bool = False
    """What is to be done for it raised, and is not to be tried again yet."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """Open a session for it and begin with its first step."""

    id: UUID


@dataclass(frozen=True, kw_only=True)
class Follow:
    """Its step is over: what comes next, or its end."""

    id: UUID
    step: int
    """The one that is over."""


@dataclass(frozen=True, kw_only=True)
class Finish:
    """It has come to an end before its last step."""

    id: UUID
    state: Literal["failed", "stopped"]
    why: str
    halts: bool = False
    """Its session is to be stopped."""


@dataclass(frozen=True, kw_only=True)
class Settle:
    """Every target is over."""


Action = Start | Follow | Finish | Settle


def stops(limits: Limits, *, seconds: float, cost_micro: int) -> Literal["time", "money"] | None:
    """Why a run is to be stopped by its own limits; None: it goes on."""
    if seconds > limits.minutes * 60:
        return "time"
    if limits.money is not None and cost_micro > limits.money * MICRO:
        return "money"
    return None


def why_failed(error: Exception) -> str:
    """Why a target fails for which that was raised at last, for people, in the source language."""
    if isinstance(error, OnaError):
        said = error.happened
    else:
        kind = type(error).__name__
        said = _("an error of ona's own ({kind}), of which its log tells more", kind=kind)
    if not isinstance(error, TellPerson):
        said = _(
            "it could not go on, though it was tried {count} times: {why}",
            count=TRIES_MAX,
            why=said,
        )
    return in_source(said) if isinstance(said, Message) else said


def decide(
    limits: Limits | None,
    stop_why: str,
    moving: Sequence[Moving],
    waiting: Sequence[UUID],
    *,
    waits: bool = False,
) -> list[Action]:
    """What to do now about a run.

    :param limits: None: what it is to do can't be read, so nothing more can be done
    :param stop_why: a key of STOPPED; empty: it is not stopped
    :param waiting: the first of those that wait, in their order, but for those that are put off
    :param waits: others are put off
    """
    if not (moving or waiting or waits):
        return [Settle()]
    due = [one for one in moving if not one.put_off]
    if stop_why:
        return _end(due, waiting, "stopped", STOPPED.get(stop_why, STOPPED["person"]))
    if limits is None:
        return _end(due, waiting, "failed", UNREADABLE)
    actions = [action for one in due if (action := _of(one, limits)) is not None]
    over = sum(1 for one in actions if isinstance(one, Finish))
    free = max(0, limits.parallel - len(moving) + over)
    return actions + [Start(id=one) for one in waiting[:free]]


def _end(
    moving: Sequence[Moving],
    waiting: Sequence[UUID],
    state: Literal["failed", "stopped"],
    why: str,
) -> list[Action]:
    ended: list[Action] = [Finish(id=one, state=state, why=why) for one in waiting]
    return ended + [Finish(id=one.id, state=state, why=why, halts=True) for one in moving]


def _of(one: Moving, limits: Limits) -> Action | None:
    if not one.has_session:
        return Finish(id=one.id, state="failed", why=DELETED)
    if one.prompt == "cancelled":
        return Finish(id=one.id, state="stopped", why=CANCELLED)
    if one.prompt == "done":
        if one.outcome == "succeeded":
            return Follow(id=one.id, step=one.step)
        state: Literal["failed", "stopped"] = "stopped" if one.outcome == "stopped" else "failed"
        return Finish(id=one.id, state=state, why=one.summary or one.outcome)
    if one.seconds > limits.target_minutes * 60:
        return Finish(id=one.id, state="failed", why=TOO_LONG, halts=True)
    return None
