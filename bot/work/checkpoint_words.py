"""What people are told about checkpoints: pure, from an answer to a sentence."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bot.words.catalogue import N_, Message, listing, ngettext, together
from bot.words.catalogue import gettext as _
from bot.work.checkpoint_rows import Since
from vmpool.guest.worktree.look import size

NEVER = N_("running processes, and files that git ignores")
NAMED_MAX = 8


def not_kept(answer: Mapping[str, Any], bytes_max: int) -> str:
    """Why the machine's script could make no checkpoint, as a clause."""
    match answer.get("why"):
        case "gone":
            return _("the repository isn't in its place in the machine any more")
        case "room":
            return _("the machine's disk is full")
        case "large":
            return _("its commits alone are more than {size}", size=size(bytes_max))
        case _:
            lines = str(answer.get("detail") or _("git did not say why")).splitlines()
            return "".join(c for c in lines[-1] if c.isprintable())[:300]


def not_saved(why: str, last: datetime | None) -> str:
    """That this turn's work is in the machine only."""
    if last:
        before = _("the checkpoint of {moment} is kept", moment=last)
    else:
        before = _("there is none from before")
    return _(
        "No checkpoint of this turn could be stored: {why}. "
        "Its files are in the machine only; {before}.",
        why=_(why),
        before=before,
    )


def changed(now: Sequence[str], before: Sequence[str]) -> str | None:
    """What is left out that was not left out before; None when there is nothing new to say."""
    new = [item for item in now if item not in before]
    if not new:
        return None
    return _("Kept in the machine only, not in the checkpoint: {files}.", files=listed(new))


def restored(
    answer: Mapping[str, Any],
    at: datetime,
    left_out: Sequence[str],
    broken: Sequence[datetime],
    since: Since | None = None,
) -> str:
    """What came back, and what did not."""
    branch = str(answer.get("branch") or "").removeprefix("refs/heads/")
    where = _("branch {branch}", branch=branch) if branch else _("no branch")
    head = str(answer.get("head") or "")[:9]
    kept: list[str] = [_("{where} at {commit}", where=where, commit=head) if head else where]
    kept.append(_uncommitted(int(answer.get("changed") or 0)))
    if conversation := int(answer.get("files") or 0):
        kept.append(
            ngettext("{count} conversation file", "{count} conversation files", conversation)
        )
    whole = together(*kept, by=", ")
    told: list[str] = [_("Its checkpoint of {moment} was restored: {kept}.", moment=at, kept=whole)]
    if since is not None:
        told.append(_("It is what the turn for “{text}” left.", text=since.text))
    if since is not None and since.later:
        later = ngettext(
            "{count} later turn is not in it.", "{count} later turns are not in it.", since.later
        )
        told.append(later)
    if broken:
        lost_too = _(
            "The newer one of {moments} could not be read, and what came after it is lost.",
            moments=listing(broken),
        )
        told.append(lost_too)
    lost = _("{never}, and anything after that time", never=_(NEVER))
    not_kept_too = listed([*left_out, lost]) if left_out else lost
    return together(*told, _("Not kept: {things}.", things=not_kept_too))


def unreadable(broken: Sequence[datetime]) -> str:
    """That nothing came back."""
    return _(
        "Its checkpoint of {moments} could not be read: "
        "the repository was cloned anew and nothing else was kept.",
        moments=listing(broken),
    )


def listed(items: Sequence[str]) -> str:
    """A few of them by name."""
    more = len(items) - NAMED_MAX
    if more <= 0:
        return together(*items, by="; ")
    return together(*items[:NAMED_MAX], _("and {count} more", count=more), by="; ")


def _uncommitted(count: int) -> Message:
    if not count:
        return _("no uncommitted files")
    return ngettext("{count} uncommitted file", "{count} uncommitted files", count)
