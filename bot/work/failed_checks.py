"""What an agent is asked about checks that failed; pure."""

from collections.abc import Sequence

from adapters.forge.checking import Check

NAMED_MAX = 5


def prompt_of(commit: str, branch: str, failed: Sequence[Check]) -> str:
    """What the agent is asked; what the checks wrote goes beside it, as quoted material."""
    return (
        f"Checks of the commit {commit[:12]}, which you pushed to {branch}, have failed: "
        f"{named(failed)}. Find out why from what they wrote, mend it, run here what you can of "
        "them, and push again. If the cause is outside of this repository, say so and change "
        "nothing."
    )


def named(checks: Sequence[Check]) -> str:
    """Some of them by name."""
    names = ", ".join(one.name for one in checks[:NAMED_MAX])
    more = len(checks) - NAMED_MAX
    return names if more <= 0 else f"{names} (+{more})"
