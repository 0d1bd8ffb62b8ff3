"""`make test-long`: every way something can go wrong, with full counts, for hours.

That is what is marked `long`, and besides the tests that count what they kill, freeze or say.

Writes docs/test-long.md, to be committed: what was run when, on which commit and host, and how it
ended. Words after the command go to pytest instead of all tests, and no page is written.
"""

import os
import platform
import random
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from vmpool.image_recipe.layers import AGENTS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "test-long.md"
COUNTING = (
    "tests/integration/chaos",
    "tests/integration/chat/test_chat_chaos.py",
    "tests/integration/forge/test_forge_chaos.py",
    "tests/integration/automate/test_firing_crashes.py",
    "tests/e2e/test_killed_processes.py",
    "tests/integration/outbox/test_crash.py",
    "tests/integration/vm/test_agents.py",
    "tests/integration/vm/test_driver_crash.py",
    "tests/simulation",
)
COUNTS: Mapping[str, str] = {
    "ONA_TEST_CHAOS_PROMPTS": "2000",
    "ONA_TEST_SIMULATED_SEEDS": "20",
    "ONA_TEST_VM_PROMPTS": "200",
    "ONA_TEST_CHAT_MESSAGES": "1000",
    "ONA_TEST_OUTBOX_KILLS": "200",
    "ONA_TEST_KILLS": "50",
    "ONA_TEST_FIRINGS": "400",
    "ONA_TEST_SCHEDULES": "10000",
    "ONA_TEST_SCHEDULE_DAYS": "10",
    "ONA_TEST_AGENTS": ",".join(AGENTS),
}
TEST_SECONDS_MAX = 6 * 3600


class Results:
    """A pytest plugin: gives each test hours, and keeps how it ended."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, float]] = []

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            item.add_marker(pytest.mark.timeout(TEST_SECONDS_MAX), append=False)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.failed:
            self.rows.append((report.nodeid, report.outcome, report.duration))


class Chosen:
    """A pytest plugin: of all tests, leaves those that are run long."""

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        chosen = [item for item in items if _is_long(item)]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen


def _is_long(item: pytest.Item) -> bool:
    if item.get_closest_marker("nested"):
        return False
    counts = any(item.path.is_relative_to(ROOT / test) for test in COUNTING)
    return counts or item.get_closest_marker("long") is not None


def page(
    results: Results, commit: str, began: datetime, settings: Mapping[str, str], status: int
) -> str:
    ended = datetime.now(UTC)
    minutes = (ended - began).total_seconds() / 60
    lines = [
        "# The long tests",
        "",
        f"Run by `make test-long` on {began:%Y-%m-%d} from {began:%H:%M} UTC,"
        f" {minutes:.0f} minutes: **{'passed' if status == 0 else 'failed'}**.",
        "",
        f"- commit: {commit}",
        f"- host: {os.cpu_count()} CPUs, Linux {platform.release()}",
        f"- Python: {platform.python_version()}",
        *(f"- {name}: {value}" for name, value in settings.items()),
        "",
        "| test | outcome | seconds |",
        "| --- | --- | --- |",
        *(f"| `{name}` | {outcome} | {took:.0f} |" for name, outcome, took in results.rows),
    ]
    return "\n".join(lines) + "\n"


def _commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False
        ).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no")
    return git("rev-parse", "HEAD") + (", with changes" if changed else "")


def main(arguments: list[str]) -> int:
    settings = {**COUNTS, "ONA_TEST_SEED": str(random.SystemRandom().randrange(1 << 32))}
    settings = {name: os.environ.get(name, value) for name, value in settings.items()}
    os.environ.update(settings)
    results, commit, began = Results(), _commit(), datetime.now(UTC)
    chosen = [] if arguments else [Chosen()]
    status = pytest.main(["-v", *(arguments or [str(ROOT / "tests")])], [results, *chosen])
    if not arguments:
        PAGE.write_text(page(results, commit, began, settings, int(status)), encoding="utf-8")
    return int(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
