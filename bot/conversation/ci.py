"""What follows from the checks of a commit that a turn pushed; pure.

none, pending, cancelled ─▶ wait, for a time        all passed ─▶ tell
failed ─▶ prompt the agent with the logs, so many times in a row ─▶ then ask a person
"""

import enum
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from adapters.forge.checking import Check, CheckState

NONE_SECONDS = 600.0
"""After which a commit without any check has none."""
SETTLE_SECONDS = 30.0
"""Younger than this, more checks may still appear."""
PENDING_SECONDS = 6 * 3600.0
"""After which a check that still runs hangs."""
AGAIN_SECONDS = 24 * 3600.0
"""For which a commit that failed is looked at again: somebody may run its checks once more."""
LOOK_SECONDS_MIN, LOOK_SECONDS_MAX = 15.0, 300.0
"""Between two looks; the older a commit, the more."""


class Step(enum.StrEnum):
    """What to do now."""

    WAIT = "wait"
    GIVE_UP = "give_up"
    GREEN = "green"
    PROMPT = "prompt"
    ASK = "ask"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the checks of a commit amount to."""

    step: Step
    failed: Sequence[Check] = ()
    passed: int = 0
    """How many passed."""


def decide(checks: Sequence[Check], *, age_seconds: float, rounds: int, rounds_max: int) -> Verdict:
    """What the checks of a commit amount to.

    :param age_seconds: since it was pushed
    :param rounds: prompts in a row that failed checks made before
    """
    pending = any(one.state is CheckState.PENDING for one in checks)
    failed = [one for one in checks if one.state is CheckState.FAILED]
    passed = sum(one.state is CheckState.PASSED for one in checks)
    if pending and age_seconds < PENDING_SECONDS:
        return Verdict(step=Step.WAIT)
    if failed:
        step = Step.PROMPT if rounds < rounds_max else Step.ASK
        return Verdict(step=step, failed=failed, passed=passed)
    if checks and passed == len(checks):
        green = age_seconds >= SETTLE_SECONDS
        return Verdict(step=Step.GREEN if green else Step.WAIT, passed=passed)
    patience = AGAIN_SECONDS if checks else NONE_SECONDS
    return Verdict(step=Step.WAIT if age_seconds < patience else Step.GIVE_UP)


def state_of(checks: Sequence[Check]) -> str:
    """How the checks of a commit stand, as people see it; empty: they say nothing."""
    states = {one.state for one in checks}
    if CheckState.FAILED in states:
        return "failed"
    if CheckState.PENDING in states:
        return "running"
    return "passed" if CheckState.PASSED in states else ""


def key_of(repository: str, commit: str, verdict: Verdict) -> str:
    """What one result of one commit is called: the same result again has the same, a new run of
    its checks another."""
    runs = ",".join(sorted(one.id for one in verdict.failed)) or verdict.step.value
    digest = hashlib.sha256(f"{repository} {runs}".encode()).hexdigest()
    return f"{commit}/{digest[:32]}"


def pause_seconds(age_seconds: float) -> float:
    """Until the next look at a commit."""
    return min(LOOK_SECONDS_MAX, max(LOOK_SECONDS_MIN, age_seconds / 10))
