"""When a turn is tried again whose machine takes no word about its job, and when it ends; pure.

the way is lost ─▶ lease back, a pause ─▶ the next holder tries ─┬─▶ something is written:
                            ▲                                    │   counted anew
                            └── a longer one ◀── counted ◀───────┴─▶ in vain too often: ends
"""

from bot.errors import OnaError
from bot.words.catalogue import gettext as _
from bot.words.catalogue import ngettext
from bot.work.queue import Event

PAUSE_SECONDS_MIN = 1.0
"""After the first time: a connection that was cut is made again by then."""
PAUSE_SECONDS_MAX = 30.0
UNREACHED_MAX = 8
"""Times in a row; with the pauses between them a minute and a half, more if each waits for an
answer that does not come."""
TOLD_AT = 3
"""The time at which the thread is told that the turn waits."""


class Unreached(Exception):
    """Nothing can be said to the turn's job now; the machine may be gone, or only the way to it."""


def pause_seconds(times: int) -> float:
    """How long nobody tries, after the way was lost so many times in a row."""
    doubled = min(times, UNREACHED_MAX) - 1
    return min(PAUSE_SECONDS_MAX, PAUSE_SECONDS_MIN * 2.0**doubled)


def told(times: int) -> list[Event]:
    """What the thread is told before the pause."""
    if times != TOLD_AT:
        return []
    words = _(
        "The machine does not answer for this turn's command. It is tried again for a while; the "
        "command may run on meanwhile, and `stop` ends the turn."
    )
    return [Event(kind="notice", body={"text": words})]


def too_often(times: int) -> OnaError:
    """The end of a turn that was tried so many times in vain."""
    return OnaError(
        ngettext(
            "the machine did not answer for this turn's command {count} time in a row",
            "the machine did not answer for this turn's command {count} times in a row",
            times,
        ),
        kept=_(
            "its output so far, its files in the machine and the last checkpoint are kept, nothing "
            "was run again, and the command may still run"
        ),
        do=_(
            "`retry` tries once more; if that does not help, `ona machines destroy` lets the "
            "session go on from its checkpoint in a new one"
        ),
    )


def stopped() -> Event:
    """What a person has to know of a turn that was stopped while nothing could be said to it."""
    words = _("The machine did not answer: the command may still run in it.")
    return Event(kind="notice", body={"text": words})
