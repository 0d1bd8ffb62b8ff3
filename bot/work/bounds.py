"""What bounds a turn besides its own time limit: money, the session's time, going in circles; pure.

Each limit is stopped at in one of two ways: a person is asked, whose answer is a row, or the turn
ends. What was asked and answered before, under another holder of the lease, is looked up in those
rows; so nothing is asked twice, and a restart asks nothing anew.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from bot.govern.budget_refusals import Refusal
from bot.store.states import TurnState
from bot.words.amounts import dollars, duration
from bot.words.catalogue import N_, ngettext, of_error
from bot.words.catalogue import gettext as _
from bot.work import ended_words
from bot.work.asked import TOOL, Question, Settled
from bot.work.circles import Circle
from bot.work.watching import Cancelled

CONTINUE = N_("Continue")
STOP = N_("Stop")
CIRCLE = "circle"
"""Names the question about going in circles; it is asked once a turn."""


@dataclass(frozen=True, kw_only=True)
class SessionLimits:
    """What bounds the turns of a session together, and each of them in going in circles."""

    turns_max: int = 1_000
    seconds_max: float = 7 * 86_400.0
    repeats_max: int = 8


@dataclass(frozen=True, kw_only=True)
class Used:
    """How much of its limits a session has used."""

    turns: int
    """That have begun."""
    seconds: float
    """Of all of them but the running one."""


def over_session(used: Used, limits: SessionLimits) -> str | None:
    """Why a session begins no other turn; None: it may."""
    if used.turns >= limits.turns_max:
        return ngettext(
            "this session has had its {count} turn",
            "this session has had all of its {count} turns",
            limits.turns_max,
        )
    if used.seconds >= limits.seconds_max:
        limit = duration(limits.seconds_max)
        return _("this session has run for {limit}, and may not run for longer", limit=limit)
    return None


def at_session_limit(seconds_max: float) -> Cancelled:
    """The end of a turn that uses up its session's time."""
    summary = ended_words.at_session_limit(duration(seconds_max))
    return Cancelled(state=TurnState.TIMED_OUT, summary=summary)


def of_money(
    refusal: Refusal | None, asked: Sequence[Settled], owners: Collection[UUID]
) -> Question | Cancelled | None:
    """What to do about a request that no budget bore.

    :param asked: in this turn, until now
    :param owners: of the session; who else may answer is found out when they do
    """
    if refusal is None or not refusal.more:
        return None
    known = next((one for one in asked if one.key == refusal.key), None)
    if known is None or known.open:
        return _more_money(refusal, owners)
    summary = ended_words.over_budget(of_error(refusal.error))
    return Cancelled(state=TurnState.BUDGET, summary=summary, by=known.by)


def of_circle(circle: Circle | None, asked: Sequence[Settled]) -> Question | Cancelled | None:
    """What to do about an agent that goes in circles."""
    if circle is None:
        return None
    known = next((one for one in asked if one.key == CIRCLE), None)
    if known is None or known.open:
        said = _(
            "The agent did the same {times} times in a row with the same result: {what}",
            times=circle.times,
            what=circle.what,
        )
        return Question(key=CIRCLE, text=said, choices=(_(CONTINUE), _(STOP)), closed=True)
    summary = ended_words.in_circles(circle.times, circle.what)
    return Cancelled(state=TurnState.FAILED, summary=summary)


def of_tool(asked: Sequence[Settled]) -> Question | None:
    """What the agent itself asked people by its tools, for which the turn waits."""
    known = next((one for one in asked if one.open and one.key.startswith(TOOL)), None)
    return None if known is None else Question(key=known.key, text="")


def of_answer(asked: Sequence[Settled]) -> Cancelled | None:
    """The end of a turn whose circle a person did not want to go on."""
    known = next((one for one in asked if one.key == CIRCLE), None)
    if known is None or known.open or known.answer == CONTINUE:
        return None
    if known.by is None:
        return Cancelled(state=TurnState.FAILED, summary=ended_words.circle_unanswered())
    summary = ended_words.circle_stopped(known.by)
    return Cancelled(state=TurnState.STOPPED, summary=summary, by=known.by)


def _more_money(refusal: Refusal, owners: Collection[UUID]) -> Question:
    budget = refusal.budget
    more = dollars(refusal.more)
    said = _(
        "Used {spent} of {limit} USD, and the next request to the model may cost up to {cost}."
        " Continue with {more} more?",
        spent=dollars(budget.spent),
        limit=dollars(budget.limit),
        cost=dollars(refusal.worst),
        more=more,
    )
    go_on = _("Continue with {more} more", more=more)
    return Question(
        key=refusal.key,
        text=said,
        choices=(go_on, _(STOP)),
        permitted=owners,
        closed=True,
        extends_micro=refusal.more,
    )
