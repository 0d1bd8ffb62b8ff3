"""`make test-long`: every way something can go wrong, with full counts, for hours.

That is what is marked `long`, and besides the tests that count what they kill, freeze or say.

Writes docs/test-long.md, to be committed: each test, when it was run last, on which commit, and how
it ended. Words after the command choose the tests whose name has one of them; the others keep what
is written of them. The page is written after each test, so that nothing is lost with a run.
"""

import os
import platform
import random
import re
import subprocess
import sys
from collections.abc import Collection, Mapping
from dataclasses import astuple, dataclass
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
    "ONA_TEST_CHAT_MESSAGES": "1001",
    "ONA_TEST_OUTBOX_KILLS": "200",
    "ONA_TEST_KILLS": "50",
    "ONA_TEST_FIRINGS": "400",
    "ONA_TEST_SCHEDULES": "10000",
    "ONA_TEST_SCHEDULE_DAYS": "10",
    "ONA_TEST_AGENTS": ",".join(AGENTS),
}
SEED = "ONA_TEST_SEED"
TEST_SECONDS_MAX = 6 * 3600
NOT_RUN = "not run"
OTHERS = f":!{PAGE.relative_to(ROOT)}"
"""For git: every file but the page."""
_ROW = re.compile(r"\| `(.+)` \| (.*) \| (.*) \| (.*) \| (.*) \| (.*) \|")


@dataclass(frozen=True)
class Row:
    """How a test ended when it was run last."""

    name: str
    outcome: str = NOT_RUN
    seconds: str = ""
    date: str = ""
    commit: str = ""
    seed: str = ""


def page(rows: Collection[Row], settings: Mapping[str, str]) -> str:
    """The page that says how every long test ended."""
    passed = sum(row.outcome == "passed" for row in rows)
    waiting = sum(row.outcome == NOT_RUN for row in rows)
    return "\n".join(
        [
            "# The long tests",
            "",
            f"Run by `make test-long`. When they were run last, {passed} of {len(rows)} **passed**,"
            f" {len(rows) - passed - waiting} did not; {waiting} were not run yet.",
            "",
            f"- host of the last run: {os.cpu_count()} CPUs, Linux {platform.release()}",
            f"- Python: {platform.python_version()}",
            *(f"- {name}: {value}" for name, value in settings.items()),
            "",
            "| test | outcome | seconds | date | commit | seed |",
            "| --- | --- | --- | --- | --- | --- |",
            *("| `{}` | {} | {} | {} | {} | {} |".format(*astuple(row)) for row in rows),
            "",
        ]
    )


def written(text: str) -> dict[str, Row]:
    """What a page says, by test."""
    found = (_ROW.fullmatch(line) for line in text.splitlines())
    return {row[1]: Row(*row.groups()) for row in found if row}


class Long:
    """A pytest plugin: leaves the tests that are run long, and writes down how each ended."""

    def __init__(self, words: Collection[str], settings: Mapping[str, str]) -> None:
        self._words, self._settings = words, settings
        self._commit, self._rows = _commit(), dict[str, Row]()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Choose the tests, and give each hours."""
        known = written(PAGE.read_text(encoding="utf-8"))
        every = [item for item in items if _is_long(item)]
        self._rows = {item.nodeid: known.get(item.nodeid, Row(item.nodeid)) for item in every}
        chosen = [item for item in every if chosen_by(self._words, item.nodeid)]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen
        for item in items:
            item.add_marker(pytest.mark.timeout(TEST_SECONDS_MAX), append=False)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write the page anew when a test has ended."""
        if not (report.when == "call" or report.failed or report.skipped):
            return
        now, name = datetime.now(UTC), report.nodeid
        self._rows[name] = Row(
            name,
            outcome=report.outcome,
            seconds=f"{report.duration:.0f}",
            date=f"{now:%Y-%m-%d}",
            commit=self._commit,
            seed=self._settings[SEED],
        )
        settings = {name: value for name, value in self._settings.items() if name != SEED}
        PAGE.write_text(page(self._rows.values(), settings), encoding="utf-8")


def chosen_by(words: Collection[str], name: str) -> bool:
    """Whether a test is to be run: without words, every one is."""
    return not words or any(word in name for word in words)


def _is_long(item: pytest.Item) -> bool:
    if item.get_closest_marker("nested"):
        return False
    counts = any(item.path.is_relative_to(ROOT / test) for test in COUNTING)
    return counts or item.get_closest_marker("long") is not None


def _commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False
        ).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", OTHERS)
    return git("rev-parse", "--short=10", "HEAD") + (", with changes" if changed else "")


def main(words: list[str]) -> int:
    """Run them; the exit status of pytest."""
    settings = {**COUNTS, SEED: str(random.SystemRandom().randrange(1 << 32))}
    settings = {name: os.environ.get(name, value) for name, value in settings.items()}
    os.environ.update(settings)
    return int(pytest.main(["-v", str(ROOT / "tests")], [Long(words, settings)]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
