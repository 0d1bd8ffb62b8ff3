"""A run without a real Cloud Hypervisor says so, although its marks left those tests out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
LOUD = "!!! NOT TESTED on a real Cloud Hypervisor"


def run(*arguments: str, binary: str | None = None) -> str:
    """Run the tests of this project; what was printed."""
    known = {name: word for name, word in os.environ.items() if name != "CLOUD_HYPERVISOR"}
    environment = known if binary is None else {**known, "CLOUD_HYPERVISOR": binary}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout


@pytest.mark.parametrize("binary", ["", "/a/cloud-hypervisor"])
def test_a_run_without_one_says_so_in_one_line(binary: str) -> None:
    said = run("--collect-only", "-m", "not nested", "tests/nested/test_cgroups.py", binary=binary)
    assert said.count(LOUD) == (0 if binary else 1)


def test_what_wants_one_is_skipped_and_no_error() -> None:
    said = run("-rs", "tests/nested/test_cgroups.py")
    assert "4 skipped" in said
    assert "error" not in said.lower()
    assert "!!! NOT TESTED: CLOUD_HYPERVISOR names no cloud-hypervisor binary" in said
