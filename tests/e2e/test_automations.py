"""Automations of a repository, in a whole installation: proposed, approved, run, reported."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.installation import Installation, make_repository

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1200)]

COUNT = """\
schema: ona/automation/v1
name: count
description: How many files there are.
triggers:
  - at: 2099-01-01T00:00
steps:
  - run: ls | wc -l > count && cat README
  - prompt: cat count
  - report:
"""
THEIRS = "on: push\njobs: {}\n"


def with_automations(directory: Path) -> Path:
    """A repository with one automation of ours and a file that is somebody else's."""
    make_repository(directory)
    folder = directory / ".ona" / "automations"
    folder.mkdir(parents=True)
    (folder / "count.yaml").write_text(COUNT)
    (folder / "theirs.yaml").write_text(THEIRS)
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    for words in (["add", "-A"], ["commit", "-q", "-m", "Automate"]):
        subprocess.run(["git", *identity, *words], cwd=directory, check=True)
    return directory


@pytest.fixture(scope="module")
def ona(tmp_path_factory) -> Iterator[Installation]:
    directory = tmp_path_factory.mktemp("automations")
    running = Installation(data=directory / "data", repository=with_automations(directory / "demo"))
    running.start()
    try:
        running.until_ready()
        yield running
    finally:
        running.end()


def command(ona: Installation, *words: str) -> str:
    """What an `ona` command says, its table and what stands beside it."""
    done = subprocess.run(
        [sys.executable, "-m", "bot", *words],
        env={**ona.environment, "PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=ona.repository,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_file_is_proposed_approved_and_run_to_its_report(ona: Installation) -> None:
    def found() -> list:
        return ona.request("GET", "/automations")["automations"]

    (one,) = ona.until(found, "the folder to be read")
    assert (one["name"], one["state"]) == ("count", "proposed")
    assert "theirs.yaml" in command(ona, "automations")
    command(ona, "automations", "approve", "count", "--digest", one["proposed_digest"])
    command(ona, "automations", "run", "count")

    def settled() -> dict | None:
        (run,) = ona.request("GET", "/runs")["runs"]
        return run if run["settled_at"] else None

    run = ona.until(settled, "the run to come to its end")
    assert run["status"] == "succeeded"
    (target,) = ona.request("GET", f"/runs/{run['run']}/targets")["targets"]
    assert target["state"] == "done"
    assert target["report"].strip().isdigit()
    assert run["run"] in command(ona, "runs")
