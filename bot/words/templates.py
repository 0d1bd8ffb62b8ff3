"""Templates as people read of them: which come first, and what is tried again when; pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

ORDER = ("ready", "building", "failed", "retired", "gone")
"""What machines are made of comes first."""
OFF = "no templates are built: pool.enabled is off"
NO_HOST = "no host has looked at its project yet"
UNUSED = "nobody used its project lately: one is built once a session asks for a machine"


def listed(
    templates: Sequence[Row], waits: Iterable[Row], *, folding: bool = True
) -> tuple[list[Row], list[Row]]:
    """Templates in the order in which people want them, and what is not built yet.

    Each has in `again` what `again` says of it.

    :param templates: the newest first
    :param folding: of failures that say the same of the same, only the newest
    """
    left = list(waits)
    seen: set[tuple[Any, ...]] = set()
    shown: list[Row] = []
    for one in templates:
        told = (*_pool(one), one["fingerprint"], one["note"])
        if folding and one["state"] == "failed" and told in seen:
            continue
        if one["state"] == "failed":
            seen.add(told)
        wait = again(one, left)
        if wait is not None:
            left.remove(wait)
        shown.append({**one, "again": wait})
    return sorted(shown, key=lambda one: ORDER.index(one["state"])), left


def again(template: Row, waits: Iterable[Row]) -> Row | None:
    """When a template that failed is tried again, if it is: the wait of its pool.

    What is told of it counts its failures: they are those of the same in a row.
    """
    if template["state"] != "failed" or not template["is_newest"]:
        return None
    pool = _pool(template)
    return next((one for one in waits if _pool(one) == pool and one["failures"]), None)


def _pool(row: Row) -> tuple[Any, ...]:
    return row["host"], row["project_id"], row["size"]


def under_way(number: int, count: int | None, name: str | None) -> str | None:
    """Which step of a build is under way; None: none is yet."""
    if not number:
        return None
    which = f"step {number}" if count is None else f"step {number} of {count}"
    return f"{which}: {name}" if name else which


def turn(ahead: int | None) -> str:
    """When something is built that nothing holds back; None: no host says."""
    if ahead is None:
        return ""
    return "next" if ahead == 0 else f"after {ahead} other{'s' * (ahead != 1)}"


def times(failures: int) -> str:
    """How often in a row it failed."""
    return "failed once" if failures == 1 else f"failed {failures} times in a row"


def unbegun(*, enabled: bool, used: bool) -> str:
    """Why no host has a template of a project, nor one that waits.

    :param used: it was added or used in the time for which templates are kept
    """
    if not enabled:
        return OFF
    return NO_HOST if used else UNUSED
