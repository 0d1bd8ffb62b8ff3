"""Pools and the machines that wait in them, as people read of them; pure."""

from collections.abc import Mapping

TIERS: Mapping[str, str] = {"paused": "hot", "resting": "cold"}
"""What a machine that waits is, by its state."""
BEING_MADE = "being made"


def tier(state: str) -> str:
    """What a machine that waits is, in one word or two."""
    return TIERS.get(state, BEING_MADE)


def state(state: str, session: str | None, builds: str | None = None) -> str:
    """A machine's state; while it works for no session, its tier if it has one.

    :param builds: the template that it is set up for
    """
    if builds is not None:
        return f"building template {builds}"
    return state if session else TIERS.get(state, state)


def standing(
    *,
    hot: int,
    hot_target: int,
    cold: int,
    cold_target: int,
    making: int,
    why: str,
    held: str | None,
    outdated: bool = False,
) -> str:
    """What a pool is (full, short of some, more than full) and why, in one sentence.

    What keeps machines from being made is only said of a pool that lacks some: else it is no
    trouble that its host has no room left.

    :param why: why it should hold what it should
    :param held: why no more are made, if so
    :param outdated: its machines are of an older template than the newest one, which failed
    """
    hot_lacking = max(0, hot_target - hot)
    standing_in = min(hot_lacking, max(0, cold - cold_target))
    target = hot_target + cold_target
    cold_lacking = max(0, target - hot - cold - (hot_lacking - standing_in))
    few = [f"{n} {tier}" for n, tier in ((hot_lacking, "hot"), (cold_lacking, "cold")) if n]
    if few:
        parts = [f"{' and '.join(few)} too few, {_so_far(making, held)}", why]
    else:
        head = "full" if target else "none should wait"
        parts = [f"{head}: {why}" if why else head]
    if outdated:
        parts.append("its newest template failed: machines are made of the one before")
    if standing_in:
        parts.append(f"{standing_in} cold more, until {_it(standing_in)} can be made hot")
    parts += _surplus("hot", hot - hot_target)
    parts += _surplus("cold", cold - cold_target - hot_lacking)
    return "; ".join(part for part in parts if part)


def _so_far(making: int, held: str | None) -> str:
    if held:
        return f"because {held}"
    return f"{making} being made" if making else "made next"


def _surplus(tier: str, count: int) -> list[str]:
    if count <= 0:
        return []
    return [f"{count} {tier} more than that, removed soon unless a session takes {_it(count)}"]


def _it(count: int) -> str:
    return "it" if count == 1 else "them"
