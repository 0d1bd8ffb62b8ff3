"""What is said about reminders; pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from adapters.chat.port import Button
from bot.conversation.buttons import labelled
from bot.words import reminding
from bot.words.amounts import short as shortened
from bot.words.catalogue import N_, Message, moment, together
from bot.words.catalogue import gettext as _

SHOWN_LENGTH_MAX = 80
NEXT_TIMES = 3
YES = N_("Yes, post these words")
ANSWER = N_("Yes, have it answered each time")
NO = N_("No")
DONE = N_("Done")
TEN_MINUTES = N_("In 10 minutes")
TOMORROW = N_("Tomorrow")
STOP = N_("Stop it")
_WHY = {
    "creator": N_("whoever set it is deactivated here"),
    "project": N_("its project was removed"),
    "thread": N_("the place it was for is gone"),
    "attempts": N_("it could not be answered, however often I tried"),
}
_STATES = {"active": N_("active"), "paused": N_("paused"), "ended": N_("over")}


def understood(
    short: str, said: str, what: str, times: Sequence[datetime], *, zone: str, is_assumed: bool
) -> Message:
    """What was understood, for its author to confirm."""
    parts = [
        _("I understood: {when}, in the time zone {zone}.", when=said, zone=zone),
        _("Next: {times}.", times=", ".join(moment(at) for at in times)),
    ]
    if is_assumed:
        parts.append(_("No time of day was said, so I took 9:00."))
    parts += [
        _("It says: {what}", what=shortened(what, SHOWN_LENGTH_MAX)),
        _(
            "Is that right? Say `reminders yes {short}` for these words,"
            " `reminders answer {short}` to have it answered each time, `reminders no {short}`"
            " for nothing.",
            short=short,
        ),
    ]
    return together(*parts, by="\n")


def to_confirm(short: str) -> tuple[Button, ...]:
    """The buttons below that."""
    return tuple(
        labelled(Button(label=label, says=f"reminders {act} {short}"))
        for label, act in ((YES, "yes"), (ANSWER, "answer"), (NO, "no"))
    )


def of_firing(short: str) -> tuple[Button, ...]:
    """The buttons below a reminder."""
    acts = (
        (DONE, f"done {short}"),
        (TEN_MINUTES, f"snooze {short} {reminding.IN_TEN_MINUTES}"),
        (TOMORROW, f"snooze {short} {reminding.TOMORROW}"),
        (STOP, f"stop {short}"),
    )
    return tuple(labelled(Button(label=label, says=f"reminders {said}")) for label, said in acts)


def footer(row: Any) -> Message:
    """Whose it is, and how to be rid of it."""
    told = _(
        "A reminder of {name}: {when} ({zone}). `reminders stop {short}` stops it.",
        name=row.creator,
        when=row.said,
        zone=row.zone,
        short=row.short,
    )
    if not row.missed:
        return told
    return together(told, _("It comes late: {count} before it were missed.", count=row.missed))


def not_said(row: Any, why: str) -> Message:
    """Why there is nothing this time."""
    told = _(_WHY[why]) if why in _WHY else why
    about = shortened(row.what, SHOWN_LENGTH_MAX)
    if why == "creator":
        return _("The reminder “{what}” is paused: {why}.", what=about, why=told)
    return _("There is no answer to the reminder “{what}”: {why}.", what=about, why=told)


def listed(rows: Sequence[Mapping[str, Any]]) -> Message:
    """A list of reminders, a line each."""
    if not rows:
        return _("You have no reminder. `remind me tomorrow 9 to …` makes one.")
    return together(*(line(row) for row in rows), by="\n")


def line(row: Mapping[str, Any]) -> Message:
    """One of them."""
    following = row["due_at"]
    return together(
        str(row["short"]),
        _(_STATES[row["state"]]),
        moment(following) if following else str(row["said"]),
        str(row["said"]) if following else "",
        shortened(str(row["what"]), SHOWN_LENGTH_MAX),
        by="  ",
    )
