"""Whether a run is worth a post: silent unless somebody can act on it; pure.

always, or begun by hand ─▶ progress of a fleet, and the report
actionable ─▶ the same from when there is something: a pull request, words, a failure, a question
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from bot.automate.tally import Tally

NOTHING = "nothing to report"
"""What an agent answers, and nothing else, when it has nothing to say."""
_AROUND = " \t\r\n.!*_`\"'“”"


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a run has to show."""

    reports: int = 0
    """Targets that report something."""
    pull_requests: int = 0
    questions: int = 0
    """Targets whose agent asks a person something."""


def is_nothing(said: str) -> bool:
    """Whether words of an agent say that there is nothing to say."""
    bare = " ".join(said.split()).strip(_AROUND).casefold()
    return bare in {"", NOTHING}


def reporting(said: Iterable[str]) -> int:
    """How many of these reports say something."""
    return sum(not is_nothing(one) for one in said)


def is_actionable(tally: Tally, found: Found) -> bool:
    """Whether somebody could do something about it, or wants to know."""
    undone = tally.failed or tally.stopped or tally.status == "failed"
    return bool(undone or found.reports or found.pull_requests or found.questions)


def speaks(
    report: Literal["always", "actionable"], tally: Tally, found: Found, *, by_hand: bool
) -> bool:
    """Whether anything is posted about a run as it is now.

    :param report: what its definition says
    :param by_hand: somebody began it, and waits for what comes of it
    """
    return report == "always" or by_hand or is_actionable(tally, found)


def shows_progress(tally: Tally) -> bool:
    """Whether it takes a post that is edited as it goes on; one target is over in one."""
    return tally.total > 1


def needs_somebody(tally: Tally, found: Found) -> bool:
    """Whether who began it is notified: it did not go well, or waits for an answer."""
    return tally.status in {"failed", "partly", "stopped"} or bool(found.questions)
