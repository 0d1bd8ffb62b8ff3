"""What people are told about a session's machine that came in place of another: pure."""

from datetime import datetime

from bot.words.catalogue import N_, Message, together
from bot.words.catalogue import gettext as _
from bot.words.machines import told

UNKNOWN = N_("nobody wrote down why")
GOES_ON = N_("The prompt runs in it now; what ran in the old one has to be started again.")


def replaced(why: str | None, restored: str | None) -> str:
    """What happened to the old machine, what was kept, and what happens next.

    :param why: what became of the old one, as a clause
    :param restored: what came back from its checkpoint; None: there was none
    """
    cause = clause(why)
    kept = restored or _(
        "No checkpoint was stored yet, so the repository was cloned anew and nothing else was kept."
    )
    new = _("This session got a new machine, because the old one is gone: {why}.", why=_(cause))
    return together(new, kept, _(GOES_ON))


def given_up(host: str, since: datetime) -> Message:
    """Why a machine is lost whose host is waited for no more, as a clause."""
    return _("its host {host} has been silent since {moment}", host=host, moment=since)


def awaited(host: str, since: datetime, checkpoint: datetime) -> Message:
    """That a session can't go on without a host that is silent, and what can be done."""
    return together(
        _(
            "This session's machine is on {host}, which has been silent since {moment}.",
            host=host,
            moment=since,
        ),
        _(
            "Its checkpoint of {moment} can't be read from another host, so the prompt is kept "
            "and waits until {host} is back.",
            moment=checkpoint,
            host=host,
        ),
        _(
            "`new: …` begins another session; if an operator destroys the machine, this one goes "
            "on from the repository alone."
        ),
    )


def begun_elsewhere(restored: str) -> str:
    """That the session begins from where another one stands."""
    return together(_("This session begins where another one stood."), restored)


def not_whole(restored: str) -> str:
    """That the machine is the old one, and its repository was filled anew."""
    return together(_("The repository in the machine was not whole."), restored)


def booted(why: str | None) -> str:
    """That there would have been a machine, had its template not failed."""
    return _(
        "The machine was booted instead, without the project's set-up: "
        "its newest template failed ({why}).",
        why=_(clause(why)),
    )


def of_older_template(why: str | None) -> str:
    """That the machine was made of the template before the one that failed."""
    return _(
        "The machine was made of an older template, with its set-up: "
        "the newest one failed ({why}).",
        why=_(clause(why)),
    )


def clause(why: str | None) -> str:
    """A reason on one line, without the full stop of its sentence."""
    if isinstance(why, Message):
        return why
    return told(" ".join((why or "").split())).removesuffix(".") or UNKNOWN
