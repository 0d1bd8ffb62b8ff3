"""What the names in events mean, wherever they are read; pure."""

from collections.abc import Mapping, Sequence

from bot.words.amounts import duration
from bot.words.catalogue import N_, ngettext
from bot.words.catalogue import gettext as _

STEPS: Mapping[str, str] = {
    "creating": N_("Making a machine"),
    "booting": N_("Starting the machine"),
    "resuming": N_("Waking the machine"),
    "cloning": N_("Copying the repository"),
    "restoring": N_("Restoring the last checkpoint"),
    "waiting": N_("Waiting for a machine"),
    "ready": N_("The machine is ready"),
}
MACHINE_STATES: Mapping[str, str] = {
    "creating": N_("The machine is being created"),
    "starting": N_("The machine is starting"),
    "running": N_("The machine runs"),
    "hibernating": N_("The machine is being put to rest"),
    "resting": N_("The machine hibernates with its memory"),
    "lost": N_("The machine was lost"),
    "removing": N_("The machine is being removed"),
    "gone": N_("The machine is removed"),
}
OUTCOMES: Mapping[str, str] = {
    "succeeded": N_("Done"),
    "failed": N_("Failed"),
    "stopped": N_("Stopped"),
    "timed_out": N_("Timed out"),
    "budget": N_("Out of budget"),
    "interrupted": N_("Interrupted"),
}
MACHINE_WORDS: Mapping[str, str] = {
    "creating": N_("creating"),
    "starting": N_("starting"),
    "running": N_("running"),
    "hibernating": N_("hibernating"),
    "resting": N_("resting"),
    "lost": N_("lost"),
    "removing": N_("removing"),
    "gone": N_("gone"),
}
SESSION_STATES: Mapping[str, str] = {
    "idle": N_("idle"),
    "queued": N_("queued"),
    "running": N_("running"),
    "waiting": N_("waiting"),
    "held": N_("held"),
}
DRAFT = N_("Pull request {number}, a draft")
READY = N_("Pull request {number}")
RAN = N_("Tests: `{command}` ran; whether they passed is not known.")
TESTS: Mapping[object, str] = {
    True: N_("Tests: `{command}` passed."),
    False: N_("Tests: `{command}` failed."),
}
NOBODY_ANSWERED = N_("Nobody answered in time; the turn goes on without an answer.")
REASONS = (
    N_("none is free"),
    N_("its room is needed"),
    N_("the disk of its host is nearly full"),
    N_("it rested longer than machines are kept"),
)
"""Why something is so with a machine, as `vmpool` says it, which knows no catalogue."""


def delivered(body: Mapping[str, object]) -> str:
    """What was delivered: how much it is, where it is, what stands in its way."""
    size = ngettext(
        "{count} file, +{insertions} -{deletions}",
        "{count} files, +{insertions} -{deletions}",
        _number(body, "files"),
        insertions=_number(body, "insertions"),
        deletions=_number(body, "deletions"),
    )
    branch = str(body.get("branch") or "?")
    if body.get("number") is None:
        parts = [_("Pushed to the branch {branch}: {size}.", branch=branch, size=size)]
    else:
        pull, url = pull_request(body), str(body.get("url"))
        parts = [_("{pull} ({size}): {url}", pull=pull, size=size, url=url)]
    if why := body.get("why_not"):
        parts.append(_("No pull request could be opened: {why}.", why=str(why)))
    if names := _names(body, "conflicts"):
        conflicts = _(
            "It conflicts with {base} in {paths}: ask me to merge {base}.",
            base=str(body.get("base")),
            paths=names,
        )
        parts.append(conflicts)
    if names := _names(body, "submodules"):
        parts.append(
            _("It moves {paths}: see that the commit of that submodule is pushed.", paths=names)
        )
    return "\n".join(parts)


def tests(body: Mapping[str, object]) -> Sequence[tuple[str, str]]:
    """Which tests ran in a turn and how they ended, and the lines that say why one failed.

    :param body: of the turn's outcome
    """
    kept = body.get("tests")
    known = [one for one in kept if isinstance(one, Mapping)] if isinstance(kept, list) else []
    return [
        (
            _(TESTS.get(one.get("passed"), RAN), command=str(one.get("command"))),
            str(one.get("failing") or ""),
        )
        for one in known
    ]


def pull_request(body: Mapping[str, object]) -> str:
    """What the pull request of what was delivered is called."""
    return _(DRAFT if body.get("draft") else READY, number=body.get("number"))


def _names(body: Mapping[str, object], name: str) -> str:
    value = body.get(name)
    return ", ".join(str(one) for one in value) if isinstance(value, list) else ""


def _number(body: Mapping[str, object], name: str) -> int:
    value = body.get(name)
    return value if isinstance(value, int) else 0


def session_state(state: str) -> str:
    """The state of a session, in one word."""
    return _(SESSION_STATES.get(state, state))


def machine_state(state: str) -> str:
    """The state of a machine, in one word."""
    return _(MACHINE_WORDS.get(state, state))


def outcome(name: str) -> str:
    """How a turn ended, in a word or two; "" for an unknown outcome."""
    return _(OUTCOMES[name]) if name in OUTCOMES else ""


def step(
    name: str,
    *,
    place: object = None,
    why: str = "",
    took: str = "",
    usual_seconds: object = None,
    template: object = None,
) -> str:
    """One line on what is done for a turn before it begins.

    :param place: in the line of those who wait for a machine, and `why` they do
    :param took: said of the machine that is ready
    :param usual_seconds: until it was ready, earlier
    :param template: how far the one is that is built meanwhile, without which it takes longer
    """
    said = _(STEPS.get(name, name.capitalize()))
    if isinstance(template, Mapping):
        said = _("{step} ({why})", step=said, why=_built(template))
    if name == "waiting" and place:
        reason = _(why) if why else _("none is free")
        return _("{step}, place {place} in the line: {why}.", step=said, place=place, why=reason)
    if name == "ready":
        return f"{said}{took}."
    if isinstance(usual_seconds, int | float):
        usual = duration(usual_seconds)
        return _("{step}, usually ready after {duration} …", step=said, duration=usual)
    return f"{said} …"


def _built(template: Mapping[str, object]) -> str:
    number, count = _number(template, "step"), _number(template, "of")
    if not count:
        return _("its template is being built: step {number}", number=number)
    return _("its template is being built: step {number} of {count}", number=number, count=count)
