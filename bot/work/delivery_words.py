"""What people are told and asked about a delivery; pure."""

from collections.abc import Sequence

from bot.errors import OnaError
from bot.govern.policy_text import Delivery
from bot.words.catalogue import N_, Message, together
from bot.words.catalogue import gettext as _
from bot.work.delivering import Change, Concern, shown

PUSH = N_("Push it")
KEEP = N_("Keep it in the session")
CHOICES = (PUSH, KEEP)


def undelivered(error: OnaError) -> Message:
    """Why nothing was delivered, what was kept, and what to do."""
    parts = [part for part in (error.happened, error.kept, error.do) if part]
    return _("Not delivered: {why}.", why=together(*parts, by="; "))


def kept_back() -> Message:
    """Of what a person, or nobody, let pass."""
    return _(
        "Not delivered: the commits stay in the session and its checkpoint. Say what is to be "
        "changed, or ask again to be asked again."
    )


def only_read() -> Message:
    """Of the work of a turn that may change nothing outside of its machine."""
    return _(
        "Not delivered: this turn may only read. What it changed is in the session and its "
        "checkpoint, and goes along with the next turn that somebody asks for there."
    )


def in_lfs(paths: Sequence[str]) -> Message:
    """Of files that Git LFS keeps."""
    return _(
        "Not delivered: {paths} is kept in Git LFS, whose objects ona does not bring to the code "
        "host yet; the commits stay in the session and its checkpoint; ask me to leave it out, "
        "or push it by hand.",
        paths=shown(paths),
    )


def question(found: Sequence[Concern], change: Change, policy: Delivery) -> Message:
    """What a person is asked before something is pushed."""
    return together(*(_about(one, change, policy) for one in found), _("Push it?"))


def pushed_already(found: Sequence[Concern], change: Change, policy: Delivery) -> Message:
    """What nobody was asked about, because the agent pushed it by itself."""
    said = together(*(_about(one, change, policy) for one in found))
    return _("The agent pushed this by itself, so look at it: {what}", what=said)


def _about(concern: Concern, change: Change, policy: Delivery) -> Message:
    if concern.kind == "secrets":
        return _("What looks like a secret is in {places}.", places=shown(concern.about))
    if concern.kind == "protected":
        return _("It changes protected paths: {paths}.", paths=shown(concern.about))
    return _(
        "It is large: {files} files and {lines} lines, where the policy lets {files_max} and "
        "{lines_max} pass.",
        files=len(change.files),
        lines=change.insertions + change.deletions,
        files_max=policy.files_max,
        lines_max=policy.lines_max,
    )


def moved(branch: str, beside: str) -> Message:
    """What a person is asked when somebody else pushed to the session's branch."""
    return _(
        "Somebody else pushed to {branch}, and pushing there would take their commits away. Push "
        "to {beside} instead? To have both, keep it and ask me to merge what is on the branch.",
        branch=branch,
        beside=beside,
    )


def within(paths: Sequence[str]) -> Message:
    """Of repositories within the repository."""
    return _(
        "Left out of the commit, because it is a repository of its own: {paths}.",
        paths=shown(paths),
    )
