"""What people and the agent are told of a turn that was taken back; pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bot.errors import NothingToDo, OnaError, Refused
from bot.words.amounts import short
from bot.words.catalogue import N_, Message, ngettext, together
from bot.words.catalogue import gettext as _
from bot.work.undo import PastTurn, said

NAMED_MAX = 5
NOT_UNDONE = N_(
    "Not taken back: files that git ignores, processes that run, and what the turn did elsewhere."
)
SUMMARY = N_("the last turn was taken back")
KEPT = N_("everything is as it was")
DETAIL_LENGTH_MAX = 300


def none_left() -> NothingToDo:
    """That no turn is there to be taken back."""
    return NothingToDo(_("there is no turn of this session that could be taken back"), kept=_(KEPT))


def not_saved(turn: PastTurn) -> Refused:
    """That it is not known what the files were like before."""
    return Refused(
        _(
            "the turn for “{text}” can't be taken back: no checkpoint of what was before it could "
            "be stored",
            text=said(turn.kind, turn.text),
        ),
        kept=_(KEPT),
        do=_("ask the agent to take it back"),
    )


def not_kept(turn: PastTurn) -> Refused:
    """That it was too long ago."""
    return Refused(
        _(
            "the turn for “{text}” can't be taken back any more: the checkpoint before it is not "
            "kept for so long",
            text=said(turn.kind, turn.text),
        ),
        kept=_(KEPT),
        do=_("ask the agent to take it back"),
    )


def unreadable(at: datetime) -> Refused:
    """That what was kept can't be read."""
    return Refused(
        _("the checkpoint of {moment} to go back to can't be read", moment=at),
        kept=_(KEPT),
        do=_("ask the agent to take it back"),
    )


def failed(answer: Mapping[str, Any]) -> OnaError:
    """That the machine could not do it."""
    detail = str(answer.get("detail") or "")
    if answer.get("why") == "room":
        detail = _("the machine's disk is full")
    return OnaError(
        _("the last turn could not be taken back: {error}", error=detail[:DETAIL_LENGTH_MAX]),
        kept=_("what the last turn left"),
        do=_("`undo` tries again"),
    )


def not_beside(name: str) -> Message:
    """Of a repository beside the project's own, of which the turn before saved nothing."""
    return _("{name} stays as it is: what it was like before was not saved.", name=name)


def undone(turn: PastTurn, answer: Mapping[str, Any], branch: str) -> Message:
    """What was taken back, what became of the branch at the code host, and what was not.

    :param answer: of the script in the machine
    :param branch: a sentence; empty: it was never pushed
    """
    parts: list[str] = [
        _(
            "The turn for “{text}” is taken back: {files}.",
            text=said(turn.kind, turn.text),
            files=_files(answer),
        )
    ]
    if stayed := int(answer.get("stayed") or 0):
        parts.append(
            ngettext(
                "{count} new file stayed: the checkpoint can't tell whether it was there before.",
                "{count} new files stayed: the checkpoint can't tell whether they were there "
                "before.",
                stayed,
            )
        )
    if branch:
        parts.append(branch)
    return together(*parts, _(NOT_UNDONE))


def _files(answer: Mapping[str, Any]) -> Message:
    count, paths = int(answer.get("count") or 0), [str(one) for one in answer.get("paths") or ()]
    if not count:
        return _("it had changed no files")
    named = ", ".join(paths[:NAMED_MAX]) + (", …" if count > NAMED_MAX else "")
    return ngettext(
        "{count} file is as it was before ({named})",
        "{count} files are as they were before ({named})",
        count,
        named=named,
    )


def moved_back(branch: str, commit: str) -> Message:
    """Of a branch at the code host that was moved back."""
    return _(
        "The pushed branch {branch} is at {commit} as before.", branch=branch, commit=commit[:9]
    )


def not_moved(branch: str, why: str) -> Message:
    """Of a branch at the code host that stays as it is."""
    return _(
        "The pushed branch {branch} was not moved back: {why}.",
        branch=branch,
        why=short(why, DETAIL_LENGTH_MAX).rstrip("."),
    )
