"""What people are told about checkpoints: pure, from an answer to a sentence."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from vmpool.guest.worktree.look import size

NEVER = "running processes, and files that git ignores"
NAMED_MAX = 8


def moment(at: datetime) -> str:
    """A time that everybody reads the same."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def not_kept(answer: Mapping[str, Any], bytes_max: int) -> str:
    """Why the machine's script could make no checkpoint, as a clause."""
    match answer.get("why"):
        case "gone":
            return "the repository isn't in its place in the machine any more"
        case "room":
            return "the machine's disk is full"
        case "large":
            return f"its commits alone are more than {size(bytes_max)}"
        case _:
            lines = str(answer.get("detail") or "git did not say why").splitlines()
            return "".join(c for c in lines[-1] if c.isprintable())[:300]


def not_saved(why: str, last: datetime | None) -> str:
    """That this turn's work is in the machine only."""
    before = f"the checkpoint of {moment(last)} is kept" if last else "there is none from before"
    return (
        f"No checkpoint of this turn could be stored: {why}. "
        f"Its files are in the machine only; {before}."
    )


def changed(now: Sequence[str], before: Sequence[str]) -> str | None:
    """What is left out that was not left out before; None when there is nothing new to say."""
    new = [item for item in now if item not in before]
    if not new:
        return None
    return f"Kept in the machine only, not in the checkpoint: {listed(new)}."


def restored(
    answer: Mapping[str, Any],
    at: datetime,
    left_out: Sequence[str],
    broken: Sequence[datetime],
) -> str:
    """What came back, and what did not."""
    branch = str(answer.get("branch") or "").removeprefix("refs/heads/")
    where = f"branch {branch}" if branch else "no branch"
    head = str(answer.get("head") or "")[:9]
    files = _count(int(answer.get("changed") or 0), "uncommitted file")
    conversation = int(answer.get("files") or 0)
    kept = [f"{where} at {head}" if head else where, files]
    if conversation:
        kept.append(_count(conversation, "conversation file"))
    text = f"Its checkpoint of {moment(at)} was restored: {', '.join(kept)}."
    if broken:
        newer = " and ".join(moment(time) for time in broken)
        text += f" The newer one of {newer} could not be read, and what came after it is lost."
    lost = f"{NEVER}, and anything after that time"
    return f"{text} Not kept: {listed([*left_out, lost]) if left_out else lost}."


def unreadable(broken: Sequence[datetime]) -> str:
    """That nothing came back."""
    times = " and ".join(moment(time) for time in broken)
    return (
        f"Its checkpoint of {times} could not be read: "
        "the repository was cloned anew and nothing else was kept."
    )


def listed(items: Sequence[str]) -> str:
    """A few of them by name."""
    more = len(items) - NAMED_MAX
    return "; ".join(items) if more <= 0 else "; ".join(items[:NAMED_MAX]) + f"; and {more} more"


def _count(number: int, thing: str) -> str:
    return f"{number or 'no'} {thing}{'' if number == 1 else 's'}"
