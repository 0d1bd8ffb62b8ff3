"""What is asked back about a reminder that could not be read for sure, or can't be so; pure."""

from collections.abc import Sequence
from datetime import datetime

from bot.errors import Refused, UnclearTime
from bot.words import cron
from bot.words.amounts import short as shortened
from bot.words.catalogue import N_, Message
from bot.words.catalogue import gettext as _
from scheduler.local import is_zone
from scheduler.when import NotRead, Reading, Unclear, when

SHOWN_LENGTH_MAX = 80
_ASKED = {
    "half_of_day": N_("is it {first} or {second}"),
    "which_week": N_("is it {first} or {second}"),
    "day_or_month": N_("which of {first} and {second} is the day, and which the month"),
    "which_day": N_("on which day is it"),
    "which_hour": N_("at which time is it"),
    "midnight": N_("with which day does that midnight begin"),
    "several_days": N_("those are several days and it can be one"),
    "one_time": N_("those are several times and it can be one"),
    "minutes": N_("each of its times must have the same minutes"),
    "every_nth": N_("is that the one of each month, or of how many weeks"),
    "skips": N_("years can't be skipped"),
    "not_each_month": N_("not every month has that day"),
    "gap": N_("the clocks are set forward then and {time} does not come"),
    "twice": N_("the clocks are set back then and {time} comes twice"),
    "past": N_("that time has passed"),
    "cron": N_("{given} can't stand there in cron: it is {expected}"),
    "never": N_("that never comes"),
    "far": N_("that is too far away"),
    "too_often": N_("more often than once a minute is too often"),
    "no_day": N_("there is no such day"),
    "unread": N_("a part of it may be a time in a language that I don't read"),
    "zone": N_("that name means several time zones"),
    "contradiction": N_("that contradicts itself"),
}
"""By the code of what is unclear."""
SAY = N_("say it like `2026-12-24 09:00`, `tomorrow 15:00` or `every friday 16:00`")
ZONE = N_("name the zone like Europe/Berlin")


def asked(unclear: Unclear) -> Message:
    """The question."""
    values = dict(unclear.values)
    if unclear.code == "cron":
        values["expected"] = cron.field(values.pop("field"))
    return _(_ASKED[unclear.code], **values)


def read(said: str, *, now: datetime, zone: str) -> Reading:
    """The time that these words are. :raises UnclearTime: they have to be said in another way"""
    if not is_zone(zone):
        raise UnclearTime(
            _("there is no time zone {zone}", zone=zone[:SHOWN_LENGTH_MAX]),
            kept=_("nothing was saved"),
            do=_(ZONE),
        )
    try:
        return when(said, now=now, zone=zone)
    except Unclear as unclear:
        raise ask_back(unclear) from unclear
    except NotRead as error:
        raise UnclearTime(
            _("I read no time in “{said}”", said=said[:SHOWN_LENGTH_MAX]),
            kept=_("nothing was saved"),
            do=_(SAY),
        ) from error


def ask_back(unclear: Unclear) -> UnclearTime:
    """The question as an answer to a command."""
    do = _(ZONE) if unclear.code == "zone" else _(SAY)
    return UnclearTime(asked(unclear), kept=_("nothing was saved"), do=do)


def ask_when(whom: Sequence[str], words: str) -> UnclearTime:
    """The question for the time of a reminder in whose words none is read.

    :param words: when and what
    """
    do = _(
        "say when in English or German, or exactly: `remind {whom} 2026-12-24 09:00 …`; put it in"
        " other words if it is for the agent",
        whom=", ".join(whom),
    )
    if not words:
        return UnclearTime(_("this says neither when nor what"), kept=_("nothing was saved"), do=do)
    said = shortened(words, SHOWN_LENGTH_MAX)
    return UnclearTime(
        _("I read no time in “{said}”", said=said), kept=_("nothing was saved"), do=do
    )


def only_answers_change(short: str = "") -> Refused:
    """Why words alone can't be posted only if something changed.

    :param short: of the reminder, if it is there already
    """
    do = _("have an agent answer it each time")
    if short:
        do = _(
            "have it answered with `reminders answer {short}`, or say"
            " `reminders edit {short} changed off`",
            short=short,
        )
    return Refused(
        _("words are the same each time, so nothing can have changed in them"),
        kept=_("nothing was changed") if short else _("nothing was saved"),
        do=do,
    )
