"""The sentences that people read when they command or ask; pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from bot.words.amounts import prompts
from bot.words.amounts import short as shortened
from bot.words.catalogue import N_, alternatives, together
from bot.words.catalogue import gettext as _
from bot.words.events import session_state, step
from bot.words.plain import settled

SHOWN_LENGTH_MAX = 80
"""Of a prompt that waits: enough to tell which it is."""
HELP = N_("""\
Write what to do; it becomes a prompt for the agent of this session.
`!command` runs a command in the session's machine.
`new: …` opens a new session, `now: …` interrupts the running turn, `aside: …` is not for me.
`private: …` is a session of your own from where this one stands, which nobody else sees.
`stop` ends the turn and holds the queue, `resume` and `clear` decide about it, `stop all` clears.
`queue` and `status` show what waits, `cancel 2` takes one out, `retry` runs the last one again,
`agent=… model=… retry` with another agent or model.
`undo` takes the last turn back, its files and its branch.
`sessions` lists sessions, `join s-…` brings this thread into one; `mute` and `unmute` are for it.
`remind me tomorrow 9 to …` sets a reminder, `reminders` lists yours.
`allow HOST:PORT` lets this session reach what it asked for, until it is deleted.
`runs` lists runs of automations, `runs show run-…` shows one, `runs stop run-…` ends it.
`automations` lists what is done by itself, `automations run NAME` runs one now.
`connect`, in a direct message to me, makes your accounts one person.
Options go before the text: `size=name`, and for a new session
`project=… repo=… branch=… agent=… model=…`.""")
NOT_MUTED = N_("Nothing is posted here that could be muted: you read what you ask for.")
CONNECT_WHERE = N_("Say `connect` to me in a direct message: what I answer is for you alone.")


def accepted(
    *,
    place: int,
    joined: bool,
    interrupted: bool,
    running: bool,
    held: bool,
    resumed: int,
    resembles: str | None,
) -> str:
    """What the author of a prompt hears at once.

    :param resumed: how many prompts of a held queue go on after this one
    """
    if joined:
        told = [_("Added to your prompt that waits.")]
    elif held:
        told = [
            _(
                "Queued as number {place}; the queue is held: `resume` lets it go on.",
                place=place,
            )
        ]
    elif interrupted:
        told = [_("The running turn is interrupted; this goes next.")]
    elif running or place > 1:
        told = [_("Queued as number {place}.", place=place)]
    else:
        told = [_("Accepted.")]
    if resumed:
        told += [
            _(
                "The queue was held; it goes on with {prompts} behind this one.",
                prompts=prompts(resumed),
            )
        ]
    if resembles:
        told += [
            _(
                "What stands first is no option, so it is part of the prompt; "
                "did you mean `{option}…`?",
                option=resembles,
            )
            if resembles.endswith("=")
            else _(
                "This is a prompt; write just `{command}` if you meant the command.",
                command=resembles,
            )
        ]
    return " ".join(told)


def halted(why: str, *, before: str = "") -> str:
    """What is said of a prompt that waits for more than its turn.

    :param why: the clause of the halt
    :param before: what its author is told besides
    """
    kept = (
        _("Your prompt is kept and waits until an operator lets that go on.")
        if before
        else _("What is asked here is kept and waits until an operator lets that go on.")
    )
    return f"{before} {why[:1].upper()}{why[1:]}. {kept}".strip()


def connect_code(code: str, forges: Sequence[str], *, minutes: float) -> str:
    """What to do with a code that says who somebody is."""
    whole = f"{minutes:g}"
    told = _(
        "Your code is `{code}`. Say `connect {code}` to me in a direct message where you have"
        " another account; it holds once, for {minutes} minutes.",
        code=code,
        minutes=whole,
    )
    if not forges:
        return told
    named = alternatives([f"`connect {forge}`" for forge in forges])
    return together(told, _("For a code host say {commands}.", commands=named))


def connect_device(code: str, url: str, *, minutes: float) -> str:
    """Where to type the code of a forge."""
    return _(
        "Open {url} and type `{code}` within {minutes} minutes;"
        " I tell you when the account is yours here.",
        url=url,
        code=code,
        minutes=round(minutes),
    )


def joined(short: str, title: str) -> str:
    """What a thread is told that was brought into a session."""
    return _(
        "This thread talks to session {session} now: {title}. "
        "What is asked here is answered here; what is asked elsewhere is only mentioned.",
        session=short,
        title=title or _("nothing was asked there yet"),
    )


def status(
    short: str,
    state: str,
    queued: Sequence[Mapping[str, Any]],
    place: int,
    *,
    title: str = "",
    runs: Mapping[str, Any] | None = None,
    done: Mapping[str, Any] | None = None,
) -> str:
    """Title, state, turn and queue of a session, a line each.

    :param runs: the turn that runs, as `bot.work.control.running_turn` gives it
    :param done: the last step to a turn, as `last_step` gives it; None: none is on its way
    """
    lines: list[str] = [
        _("Session {session} is {state}.", session=short, state=session_state(state))
    ]
    if title:
        lines.append(_("Title: {title}", title=title))
    if runs is not None:
        lines.append(_running(runs))
    if done is not None:
        lines.append(_doing(done, asks=runs is not None and runs["asks"]))
    if place > 0:
        lines.append(_("It waits for a free machine: {place} before it.", place=place))
    for number, row in enumerate(queued, 1):
        lines.append(f"{number}. {row['name']}: {shortened(row['text'], SHOWN_LENGTH_MAX)}")
    if not queued:
        lines.append(_("No prompt is queued."))
    return "\n".join(lines)


def _running(runs: Mapping[str, Any]) -> str:
    """What the running turn is about, whose it is and since when it runs."""
    return _(
        "Since {moment} for {name}: {text}",
        moment=runs["started_at"],
        name=runs["name"],
        text=shortened(settled(runs["text"]), SHOWN_LENGTH_MAX),
    )


def _doing(done: Mapping[str, Any], *, asks: bool) -> str:
    """Where a turn is that runs or is about to."""
    if asks:
        return _("Waiting for an answer.")
    if done.get("step", "ready") == "ready":
        return _("Working …")
    return step(str(done["step"]), place=done.get("place"), why=str(done.get("why") or ""))


def sessions(rows: Sequence[Mapping[str, Any]]) -> str:
    """A list of sessions, a line each."""
    if not rows:
        return _("There is no session yet.")
    return "\n".join(
        f"{row['short']}  {session_state(row['state'])}  {row['project']}  {row['title']}"
        for row in rows
    )
