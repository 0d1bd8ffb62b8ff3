"""What the fields of cron can have, in words; pure."""

from bot.words.catalogue import N_, Message
from bot.words.catalogue import gettext as _

_FIELDS = {
    "minute": N_("a minute from 0 to 59"),
    "hour": N_("an hour from 0 to 23"),
    "day": N_("a day of the month from 1 to 31"),
    "month": N_("a month from 1 to 12"),
    "weekday": N_("a day of the week from 0 to 7, which are Sundays"),
}


def field(name: str) -> Message:
    """What stands in the field that `scheduler.rules.OutOfBounds` names."""
    return _(_FIELDS[name])
