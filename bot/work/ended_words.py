"""How a turn and its job ended, as people are told; pure."""

from collections.abc import Sequence

from adapters.agent.port import Ended, JobRefused
from bot.govern.offers import Offer
from bot.words.amounts import tenths
from bot.words.catalogue import N_, Message, in_source, ngettext, together
from bot.words.catalogue import gettext as _
from bot.work.lease import StopRequest
from bot.work.provider_faults import Answered

UNSAVED = N_(
    "This turn's files were not saved outside the machine: that took too long for a session that "
    "is stopped. They are still in it, and the last checkpoint is kept."
)
DELIVERED = N_("What was changed is delivered.")

OF_AGENTS = (
    N_("done"),
    N_("the model's answer became too long"),
    N_("the agent asked its model as often as it may in one turn"),
    N_("the model refuses to go on"),
    N_("stopped"),
    N_("the agent ended before it answered"),
)
"""What the harness of agents says itself."""


def how(ended: Ended) -> str:
    """The agent's own summary, as a message of ours where it says no more than its facts."""
    if ended.summary in OF_AGENTS:
        return _(ended.summary)
    if ended.seconds is None:
        return ended.summary
    if ended.signal is not None:
        parts: list[str] = [_("ended by signal {signal}", signal=ended.signal)]
    else:
        parts = [_("exit status {status}", status=ended.exit_status)]
    parts.append(tenths(ended.seconds))
    if ended.left_running:
        left = ngettext(
            "{count} process left running", "{count} processes left running", ended.left_running
        )
        parts.append(left)
    said = together(*parts, by=", ")
    return said if in_source(said) == ended.summary else ended.summary


def refused(error: JobRefused) -> Ended:
    """The end of a job that the machine didn't take."""
    summary = _("the machine refused: {error}; `retry` tries again", error=str(error))
    return Ended(succeeded=False, summary=summary)


def stopped(stop: StopRequest) -> Message:
    """Of a turn that somebody stopped."""
    if stop.halt:
        return _(
            "stopped, because {why}; its files are kept, `retry` runs it again later",
            why=stop.why,
        )
    if stop.why == "now":
        return _("stopped for another prompt by {name}", name=stop.name)
    return _(
        "stopped on request by {name}; what was changed is kept, `retry` runs it again",
        name=stop.name,
    )


def at_limit(seconds_max: float) -> Message:
    """Of a turn that ran for as long as it may."""
    limit = f"{seconds_max:g} s"
    return _("stopped at the time limit of {limit}; its output so far is kept", limit=limit)


def at_session_limit(limit: Message) -> Message:
    """Of a turn that used up the time of its session."""
    return _(
        "stopped, because this session has run for {limit} and may not run for longer; its output"
        " so far and its files are kept, `new: …` begins another session",
        limit=limit,
    )


def in_circles(times: int, what: str) -> Message:
    """Of a turn that went in circles, was let go on, and did so again."""
    return _(
        "stopped, because it did the same {times} times in a row once more: {what}; its files are"
        " kept",
        times=times,
        what=what,
    )


def circle_unanswered() -> Message:
    """Of a turn that went in circles, and nobody said that it may."""
    return _(
        "stopped, because it did the same again and again and nobody said that it may; its files"
        " are kept, `retry` runs it once more"
    )


def circle_stopped(name: str) -> Message:
    """Of a turn that went in circles, and was stopped for it."""
    return _("stopped by {name}, because it did the same again and again", name=name)


def over_budget(why: str) -> Message:
    """Of a turn that may spend no more on models."""
    return _("{why}; what was done is kept, `retry` goes on", why=why)


_FAULTS = {
    "overloaded": N_("{provider} is overloaded"),
    "limited": N_("{provider} takes no more requests for now"),
    "unpaid": N_("{provider} says that its account has no money or quota left"),
    "denied": N_("{provider} does not take the key that it is asked with"),
    "unknown": N_("{provider} has no model {model}"),
    "broken": N_("{provider} failed to answer"),
    "unreachable": N_("{provider} can't be reached"),
}


def provider_failed(failed: Answered, instead: Sequence[Offer], agent: str) -> Message:
    """Of a turn that failed because the provider of its model did.

    :param instead: what could run it
    :param agent: the session's
    """
    why = _(_FAULTS[str(failed.fault)], provider=failed.provider, model=failed.model[:80])
    said = _("{why}; what was done is kept, `retry` asks it again", why=why)
    if not instead:
        return said
    first = instead[0]
    how = f"{first.options(agent)} retry"
    return _("{said}, `{how}` goes on with {model}", said=said, how=how, model=first.called)


def interrupted(why: str) -> Message:
    """Of a turn whose machine is gone."""
    return _(
        "the machine is gone: {why}; output so far and the last checkpoint are kept, "
        "nothing was run again; `retry` runs it once more",
        why=_(why),
    )


def failed(happened: str) -> Message:
    """Of a turn that can't be run as things are."""
    return _("{happened}; the prompt is kept: `retry` runs it again", happened=happened)
