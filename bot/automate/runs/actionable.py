"""Whether a run is worth a post: silent unless somebody can act on it; pure.

always, or begun by hand ─▶ progress of a fleet, and the report
actionable ─▶ the same from when there is something: a pull request, words, a failure, a question
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from bot.automate.definition import Definition, PromptStep, ReportStep, ShellStep
from bot.automate.runs.tally import Tally

NOTHING = "nothing to report"
"""What an agent answers, and nothing else, when it has nothing to say."""
ASKED = f"If there is nothing that anybody has to know or to do, answer just: {NOTHING}"
"""What an agent is told of that."""
_AROUND = " \t\r\n.!*_`\"'“”"


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a run has to show."""

    reports: int = 0
    """Targets that report something."""
    pull_requests: int = 0
    questions: int = 0
    """Targets whose agent asks a person something."""


def is_asked(definition: Definition, place: int) -> bool:
    """Whether the agent of a step is told that it may have nothing to say: its words would be it.

    :param place: of the step, from 0
    """
    later = definition.steps[place + 1 :]
    last = not any(isinstance(step, PromptStep | ShellStep) for step in later)
    is_prompt = isinstance(definition.steps[place], PromptStep)
    return definition.report == "actionable" and last and is_prompt


def reports(definition: Definition) -> bool:
    """Whether what its targets say at last is for people: an agent's words, or what a step names.

    What a command writes is not, unless a step reports it.
    """
    doing = [step for step in definition.steps if isinstance(step, PromptStep | ShellStep)]
    named = any(isinstance(step, ReportStep) for step in definition.steps)
    return named or isinstance(doing[-1], PromptStep)


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
