"""How an agent's job ended, as people are told; pure."""

from adapters.agent.port import Ended
from bot.words.amounts import tenths
from bot.words.catalogue import gettext as _
from bot.words.catalogue import in_source, ngettext, together


def how(ended: Ended) -> str:
    """The agent's own summary, as a message of ours where it says no more than its facts."""
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
