"""What is said about reminders; pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from adapters.chat.port import MOMENT, Button
from bot.conversation.buttons import labelled
from bot.conversation.message import Accepted
from bot.conversation.reminder_commands import with_moment
from bot.errors import UnclearTime
from bot.words import reminding
from bot.words.amounts import short as shortened
from bot.words.catalogue import N_, Message, moment, ngettext, speaking, spoken, together
from bot.words.catalogue import gettext as _

SHOWN_LENGTH_MAX = 80
QUESTION_LENGTH_MAX = 500
NEXT_TIMES = 3
ASSUMED = N_("No time of day was said, so I took 9:00.")
EITHER = N_(
    "Is that right? Say `reminders yes {short}` for these words, `reminders answer {short}` to have"
    " it answered each time, `reminders no {short}` for nothing."
)
ONLY_CHANGED = N_(
    "An agent answers it each time, and it is posted only if something changed. Is that right? Say"
    " `reminders answer {short}`, or `reminders no {short}` for nothing."
)
YES = N_("Yes, post these words")
ANSWER = N_("Yes, have it answered each time")
NO = N_("No")
DONE = N_("Done")
TEN_MINUTES = N_("In 10 minutes")
TOMORROW = N_("Tomorrow")
OWN = N_("Another time")
CHOOSE = N_("Choose the time")
STOP = N_("Stop it")
_WHY = {
    "creator": N_("whoever set it is deactivated here"),
    "project": N_("its project was removed"),
    "thread": N_("the place it was for is gone"),
    "attempts": N_("it could not be answered, however often I tried"),
    "member": N_("you may not read the project or the channel that it is for any more"),
    "cancelled": N_("somebody took it out of the queue"),
    "time": N_("when it is due can't be read any more"),
    "targets": N_("where it is posted can't be read any more"),
    "silent": N_("its agent said nothing"),
    "slow": N_("it took longer than a day"),
}
UNCONFIRMED = N_("waits for a yes")
_STATES = {"active": N_("active"), "paused": N_("paused"), "ended": N_("over")}


def understood(
    short: str,
    said: str,
    what: str,
    times: Sequence[datetime],
    *,
    zone: str,
    is_assumed: bool,
    only_changed: bool = False,
) -> Message:
    """What was understood, for its author to confirm."""
    parts = [
        _("I understood: {when}, in the time zone {zone}.", when=said, zone=zone),
        _("Next: {times}.", times=together(*(moment(at) for at in times), by=", ")),
    ]
    if is_assumed:
        parts.append(_(ASSUMED))
    parts += [
        _("It says: {what}", what=shortened(what, SHOWN_LENGTH_MAX)),
        _(ONLY_CHANGED if only_changed else EITHER, short=short),
    ]
    return together(*parts, by="\n")


def rests(
    short: str, due: datetime, *, waits: bool, zone: str, only_changed: bool = False
) -> Message:
    """What is said of one that got another time and is not due yet for that."""
    with speaking(spoken().locale, zone):
        at = moment(due)
    if not waits:
        return _(
            "Saved, and still paused: `reminders resume {short}` lets it go on, next at {at}.",
            short=short,
            at=at,
        )
    told = _("Saved, and it still waits for a yes; then it is due next at {at}.", at=at)
    return together(told, _(ONLY_CHANGED if only_changed else EITHER, short=short), by="\n")


def to_confirm(short: str, *, only_changed: bool = False) -> tuple[Button, ...]:
    """The buttons below that."""
    acts = ((YES, "yes"), (ANSWER, "answer"), (NO, "no"))
    return tuple(
        labelled(Button(label=label, says=f"reminders {act} {short}"))
        for label, act in acts[int(only_changed) :]
    )


def of_firing(short: str) -> tuple[Button, ...]:
    """The buttons below a reminder."""
    acts = (
        (DONE, f"done {short}"),
        (TEN_MINUTES, f"snooze {short} {reminding.IN_TEN_MINUTES}"),
        (TOMORROW, f"snooze {short} {reminding.TOMORROW}"),
        (STOP, f"stop {short}"),
    )
    made = [Button(label=label, says=f"reminders {said}") for label, said in acts]
    made.insert(-1, Button(label=OWN, says=f"reminders snooze {short} {MOMENT}", picks=True))
    return tuple(labelled(one) for one in made)


def choosing(said: str, accepted: Accepted, *, elsewhere: bool) -> tuple[Button, ...]:
    """The button below what is asked back about a reminder's time, if that is what was asked.

    :param said: the message without the mention of us
    :param elsewhere: the button stands in another place than that was said in
    """
    refused = accepted.refusal is not None and accepted.refusal.code == UnclearTime.code
    is_asked = refused or accepted.verdict == "prompt"
    says = with_moment(said, elsewhere=elsewhere) if is_asked else ""
    return (labelled(Button(label=CHOOSE, says=says, picks=True)),) if says else ()


_FOOTERS = {
    (False, False): N_("A reminder of {name}: {when} ({zone}). `reminders stop {short}` stops it."),
    (False, True): N_(
        "A reminder that an agent set for {name}: {when} ({zone}). `reminders stop {short}` stops"
        " it."
    ),
    (True, False): N_(
        "Asked by {name}: {what} ({when}, {zone}). `reminders stop {short}` stops it."
    ),
    (True, True): N_(
        "Asked by an agent for {name}: {what} ({when}, {zone}). `reminders stop {short}` stops it."
    ),
}
"""By whether an agent answered, and whether one set it."""


def footer(row: Any, *, is_answer: bool = False) -> Message:
    """Whose it is, and how to be rid of it."""
    told = _(
        _FOOTERS[is_answer, row.by_agent],
        name=row.creator,
        what=shortened(row.what, SHOWN_LENGTH_MAX),
        when=row.said,
        zone=row.zone,
        short=row.short,
    )
    if not row.missed:
        return told
    late = ngettext(
        "It comes late: {count} before it was missed.",
        "It comes late: {count} before it were missed.",
        row.missed,
    )
    return together(told, late)


def not_said(row: Any, why: str) -> Message:
    """Why there is nothing this time."""
    told = _(_WHY[why]) if why in _WHY else why
    if why == "zone":
        told = _("there is no time zone {zone} any more", zone=row.zone)
    about = shortened(row.what, SHOWN_LENGTH_MAX)
    if why == "creator":
        return _(
            "The reminder “{what}” is paused: {why}. An operator takes it over with"
            " `reminders resume {short}`; anybody else sets it anew.",
            what=about,
            why=told,
            short=row.short,
        )
    if why == "member":
        return _(
            "The reminder “{what}” is paused: {why}. `reminders resume {short}` lets it go on.",
            what=about,
            why=told,
            short=row.short,
        )
    if why in {"zone", "time"}:
        return _(
            "The reminder “{what}” is paused: {why}. Say its time anew:"
            " `reminders edit {short} every friday 16:00`.",
            what=about,
            why=told,
            short=row.short,
        )
    if why == "targets":
        return _(
            "The reminder “{what}” is paused: {why}. Set it anew; `reminders delete {short}`"
            " deletes this one.",
            what=about,
            why=told,
            short=row.short,
        )
    if not row.is_prompt:
        told = _("it could not be posted, however often I tried") if why == "attempts" else told
        return _("The reminder “{what}” was not said: {why}.", what=about, why=told)
    return _("There is no answer to the reminder “{what}”: {why}.", what=about, why=told)


def asks(row: Any, question: str, session: str) -> Message:
    """What the agent wants to know before it answers."""
    return _(
        "To answer the reminder “{what}”, its agent asks: {question} Say `join {session}` in a"
        " thread to answer there.",
        what=shortened(row.what, SHOWN_LENGTH_MAX),
        question=shortened(question, QUESTION_LENGTH_MAX),
        session=session,
    )


def stopped(row: Any, name: str, *, is_theirs: bool, is_gone: bool) -> Message:
    """What its creator hears when somebody else has stopped it."""
    about = shortened(row.what, SHOWN_LENGTH_MAX)
    if is_theirs:
        told = _("{name} gets the reminder “{what}” no more.", name=name, what=about)
    else:
        told = _("{name} stopped the reminder “{what}” where they read it.", name=name, what=about)
    if not is_gone:
        return told
    return together(told, _("Nobody is left who gets it, so it is gone."))


def set_by_agent(short: str, name: str, said: str, what: str, at: datetime) -> Message:
    """What the thread hears when an agent has set one."""
    return _(
        "The agent set a reminder for {name}: {what} ({when}, next at {at}). `reminders stop"
        " {short}` stops it.",
        name=name,
        what=shortened(what, SHOWN_LENGTH_MAX),
        when=said,
        at=moment(at),
        short=short,
    )


def listed(rows: Sequence[Mapping[str, Any]]) -> Message:
    """A list of reminders, a line each."""
    if not rows:
        return _("You have no reminder. `remind me tomorrow 9 to …` makes one.")
    return together(*(line(row) for row in rows), by="\n")


def line(row: Mapping[str, Any]) -> Message:
    """One of them."""
    following = row["due_at"]
    state = UNCONFIRMED if row["why"] == "unconfirmed" else _STATES[row["state"]]
    parts = (
        str(row["short"]),
        _(state),
        moment(following) if following else "",
        str(row["said"]),
        _("only if something changed") if row["only_changed"] else "",
        shortened(str(row["what"]), SHOWN_LENGTH_MAX),
    )
    return together(*filter(None, parts), by="  ")
