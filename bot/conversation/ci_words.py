"""What people are told about the checks of a commit; pure."""

from bot.words.catalogue import N_, Message, ngettext
from bot.words.catalogue import gettext as _

STOPPED = N_("the turn that pushed it was stopped")
BUDGET = N_("the session's budget is used up")
SHELL = N_("this session has no agent that reads")
NOT_ALLOWED = N_("who asked for it may not prompt here any more")
NOWHERE = N_("the thread in which it was asked for is gone")


def green(passed: int, commit: str, branch: str) -> Message:
    """That all is well."""
    return ngettext(
        "The check of {commit} on {branch} has passed.",
        "All {count} checks of {commit} on {branch} have passed.",
        passed,
        commit=commit[:9],
        branch=branch,
    )


def given_to_agent(names: str, commit: str, *, round_: int, rounds_max: int) -> Message:
    """That the agent mends it."""
    return _(
        "Checks of {commit} have failed: {names}. The agent gets what they wrote, in round "
        "{round} of {most}.",
        commit=commit[:9],
        names=names,
        round=round_,
        most=rounds_max,
    )


def for_person(names: str, commit: str, *, rounds: int) -> Message:
    """That somebody has to look at it."""
    if not rounds:
        return _(
            "Checks of {commit} have failed: {names}. Somebody has to look at it; say what is to "
            "be done.",
            commit=commit[:9],
            names=names,
        )
    return ngettext(
        "Checks of {commit} have failed again: {names}. The agent has tried once; somebody has to "
        "look at it and say what is to be done.",
        "Checks of {commit} have failed again: {names}. The agent has tried {count} times; "
        "somebody has to look at it and say what is to be done.",
        rounds,
        commit=commit[:9],
        names=names,
    )


def not_given(names: str, commit: str, why: str) -> Message:
    """That the agent is not asked to mend it."""
    return _(
        "Checks of {commit} have failed: {names}. The agent is not asked to mend them, because "
        "{why}.",
        commit=commit[:9],
        names=names,
        why=why,
    )
