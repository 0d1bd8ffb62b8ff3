"""What running `ona serve` processes say of a surface, beside what its credentials say."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from adapters.listening import Condition
from bot.config import Settings
from bot.doctor.finding import Finding, Verdict
from bot.doctor.stored import status
from bot.store.surface_states import SurfaceStatus
from bot.switched import switches
from bot.words.listening import since

Check = Callable[[Settings], Awaitable[Finding]]


def with_running(surface: str, check: Check) -> Check:
    """The check, and whether what is said on the surface is heard right now."""

    async def both(settings: Settings) -> Finding:
        finding = await check(settings)
        found = await status(settings, surface)
        if found is None or found.state is None:
            return finding
        return heard(finding, found, on=switches(settings)[surface].on)

    return both


def heard(finding: Finding, found: SurfaceStatus, *, on: bool) -> Finding:
    """The finding with what the processes say; pure."""
    off = found.state is Condition.OFF
    if off and not on:
        return finding
    if off or not on:
        return _less(
            finding,
            f"a running `ona serve` has it {'off' if off else 'on'}",
            "It runs with other settings than these.",
            "Start it again.",
        )
    waits = f"; {found.unsent} not posted yet, {since(found.unsent_since)}" if found.unsent else ""
    if found.state is Condition.LISTENING:
        some = f" ({found.why})" if found.why else ""
        shown = replace(finding, found=f"{finding.found}; `ona serve` listens{some}{waits}")
        if not found.why or finding.follows:
            return shown
        return replace(shown, verdict=Verdict.LESS, follows="Not everything is heard.")
    why = f": {found.why}" if found.why else ""
    said = f"`ona serve` is {found.state} {since(found.since)}{why}{waits}"
    if found.state is Condition.FAILING:
        return _less(finding, said, "Nothing that is said there is heard.", "")
    return replace(finding, found=f"{finding.found}; {said}")


def _less(finding: Finding, said: str, follows: str, do: str) -> Finding:
    return replace(
        finding,
        verdict=Verdict.LESS,
        found=f"{finding.found}; {said}",
        follows=finding.follows or follows,
        do=finding.do or do,
    )
