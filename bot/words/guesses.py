"""What was guessed of a project's set-up and how it went, as people read of it; pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bot.words.catalogue import Value, listing, ngettext
from bot.words.catalogue import gettext as _

SHOWN_MAX = 8
"""In one message; the log of the template has all of them."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A guessed step of a template's build."""

    command: str
    file: str
    """Path of what it was guessed from."""
    exit_status: int


def tried(steps: Iterable[Mapping[str, Any]]) -> list[Tried]:
    """Those steps of a template's log that were guessed."""
    return [
        Tried(command=step["step"], file=step["guessed_from"], exit_status=int(step["exit_status"]))
        for step in steps
        if step.get("guessed_from")
    ]


def as_rows(steps: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same as the API gives them."""
    return [asdict(one) for one in tried(steps)]


def line(command: str, file: str, exit_status: int) -> str:
    """One of them, for a list."""
    if not exit_status:
        return _("{command} (guessed from {file})", command=command, file=file)
    return _(
        "{command} (guessed from {file}, ended with status {status})",
        command=command,
        file=file,
        status=exit_status,
    )


def count(guessed: Sequence[Mapping[str, Any]]) -> str:
    """How many there are, and how many failed, for a table; empty: none."""
    failed = sum(1 for one in guessed if one["exit_status"])
    return f"{len(guessed)}, {failed} failed" if failed else str(len(guessed) or "")


def told(project: str, guesses: Sequence[Tried]) -> str:
    """What the first session is told whose machine was set up by guesses."""
    good = [one for one in guesses if not one.exit_status]
    bad = [one for one in guesses if one.exit_status]
    parts: dict[str, Value] = {"project": project}
    if good:
        parts["good"] = listing([_from(one) for one in good[:SHOWN_MAX]])
    if bad:
        parts["bad"] = ngettext(
            "{commands} failed, and the machine is used without it",
            "{commands} failed, and the machine is used without them",
            len(bad),
            commands=listing([_from(one) for one in bad[:SHOWN_MAX]]),
        )
    if good and bad:
        return _(
            "The project {project} names no set-up commands, so they were guessed: {good}. {bad}. "
            "`ona templates show {project}` has the log, "
            "`ona projects change {project} --setup` names others.",
            **parts,
        )
    if good:
        return _(
            "The project {project} names no set-up commands, so they were guessed: {good}. "
            "`ona projects change {project} --setup` names others.",
            **parts,
        )
    return _(
        "The project {project} names no set-up commands, and what was guessed did not work: {bad}. "
        "`ona templates show {project}` has the log, "
        "`ona projects change {project} --setup` names others.",
        **parts,
    )


def contained(project: str, steps: Iterable[Mapping[str, Any]]) -> list[str]:
    """What the first session is told of the container that its repository asks for."""
    step = next((step for step in steps if step.get("container")), None)
    if step is None:
        return []
    file = step["container"]
    if step["exit_status"]:
        # The reason is the last thing in the log.
        why = step["output"].strip().splitlines() or [""]
        return [
            _(
                "The dev container of {file} could not be made, and the machine is used without "
                "it: {why}. `ona templates show {project}` has the log.",
                file=file,
                why=_(why[-1][:400].rstrip(".")),
                project=project,
            )
        ]
    if not step.get("left_out"):
        return []
    return [
        _(
            "The agent works in the dev container of {file}; not done of that file: {left_out}.",
            file=file,
            left_out=step["left_out"],
        )
    ]


def ports(steps: Iterable[Mapping[str, Any]]) -> list[int]:
    """The ports that a container's file wants people to see; none when there is no container."""
    found = [step for step in steps if step.get("ports") and not step["exit_status"]]
    return [int(port) for step in found for port in step["ports"].split(",")]


def forwarded(seen: Sequence[tuple[int, str]]) -> str:
    """Where people see the ports of a container."""
    shown = [
        _("port {port} at {address}", port=str(port), address=address) for port, address in seen
    ]
    return _("As soon as something listens there: {ports}.", ports=listing(shown))


def _from(one: Tried) -> Value:
    return _("`{command}` (from {file})", command=one.command, file=one.file)
