"""Checks of an installation's templates and pools: what fails, and what is not filled."""

from collections.abc import Sequence

from bot.config import Settings
from bot.doctor import stored
from bot.doctor.finding import Finding, Verdict
from bot.doctor.stored import FailedTemplate, HeldPool
from bot.words.templates import times

NAMED_MAX = 3
"""Templates or pools of one finding that are named; how many more there are is said."""


async def check_templates(settings: Settings) -> Finding:
    """Whether each pool's newest template could be built."""
    return built(await stored.failed_templates(settings), enabled=settings.pool.enabled)


async def check_pools(settings: Settings) -> Finding:
    """Whether pools get the machines that they lack."""
    return filled(await stored.held_pools(settings), enabled=settings.pool.enabled)


def built(failed: Sequence[FailedTemplate], *, enabled: bool) -> Finding:
    """The finding about templates; pure."""
    name = "templates"
    if not enabled:
        return Finding(name=name, verdict=Verdict.FINE, found="not wanted by the settings")
    if not failed:
        return Finding(name=name, verdict=Verdict.FINE, found="no build failed last")
    older = [one.has_older for one in failed]
    follows = "Machines of its sessions are booted, without the project's set-up."
    if all(older):
        follows = "Machines of its sessions are made of the template before."
    elif any(older):
        follows = "Machines of sessions are made of the template before, or booted without set-up."
    project = failed[0].project
    return Finding(
        name=name,
        verdict=Verdict.LESS,
        found=_named([_failure(one) for one in failed]),
        follows=follows,
        do=f"See `ona templates show {project}`, mend its set-up (`ona projects change {project}`),"
        f" then `ona templates build {project}`.",
    )


def filled(held: Sequence[HeldPool], *, enabled: bool) -> Finding:
    """The finding about pools; pure."""
    name = "pools"
    if not enabled:
        return Finding(name=name, verdict=Verdict.FINE, found="not wanted by the settings")
    if not held:
        return Finding(name=name, verdict=Verdict.FINE, found="none is held back")
    return Finding(
        name=name,
        verdict=Verdict.LESS,
        found=_named([f"{one.project} ({one.size}) on {one.host}: {one.held}" for one in held]),
        follows="Sessions wait while their machines are resumed or booted.",
        do="Make room (memory and disk of the host, machine.running_max, machine.memory_mib_max), "
        "or mend what fails; `ona pool` says when that is over.",
    )


def _failure(one: FailedTemplate) -> str:
    said = f"{one.project} ({one.size}) on {one.host}: {one.note or 'nobody wrote down why'}"
    if one.failures is None:
        return said
    at = one.again_at
    again = f"tried again {at:%Y-%m-%d %H:%M} UTC" if at else "tried again next"
    return f"{said}; {times(one.failures)}, {again}"


def _named(said: Sequence[str]) -> str:
    more = len(said) - NAMED_MAX
    return "; ".join([*said[:NAMED_MAX], *([f"and {more} more"] if more > 0 else [])])
