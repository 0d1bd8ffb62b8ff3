"""No test reaches the internet, and one that tries fails."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import offline
from tests.support.offline.offline_guard import refusal

ROOT = Path(__file__).parents[2]
SWALLOWS = """
import contextlib, subprocess, sys, pytest

CONNECT = "import socket; socket.create_connection(('8.8.8.8', 53), 1)"

def test_asks_itself():
    with contextlib.suppress(OSError):
        exec(CONNECT)

def test_asks_by_another_process():
    assert subprocess.run([sys.executable, "-c", CONNECT]).returncode

@pytest.mark.vm
def test_may_ask():
    import os
    assert os.environ["TESTS_ONLINE"]

def test_asks_nobody():
    pass
"""


@pytest.mark.parametrize(
    ("event", "arguments"),
    [
        ("socket.connect", (None, ("8.8.8.8", 443))),
        ("socket.connect", (None, ("2001:4860:4860::8888", 443, 0, 0))),
        ("socket.sendto", (None, ("8.8.8.8", 53))),
        ("socket.getaddrinfo", ("api.github.com", 443, 0, 0, 0)),
        ("socket.getaddrinfo", (b"slack.com", 443, 0, 0, 0)),
        ("socket.gethostbyname", ("discord.com",)),
    ],
)
def test_the_internet_is_refused(event, arguments):
    assert "tests run without the internet" in (refusal(event, arguments) or "")


@pytest.mark.parametrize(
    ("event", "arguments"),
    [
        ("socket.connect", (None, ("127.0.0.1", 443))),
        ("socket.connect", (None, ("10.0.0.1", 443))),
        ("socket.connect", (None, ("fe80::1%tap0", 443, 0, 2))),
        ("socket.connect", (None, "/run/a.sock")),
        ("socket.connect", (None, (3, 1024))),
        ("socket.getaddrinfo", ("localhost", 80, 0, 0, 0)),
        ("socket.getaddrinfo", ("db.invalid", 80, 0, 0, 0)),
        ("socket.getaddrinfo", ("8.8.8.8", 80, 0, 0, 0)),
        ("socket.getaddrinfo", (None, 80, 0, 0, 0)),
        ("socket.bind", (None, ("8.8.8.8", 80))),
    ],
)
def test_what_is_here_is_not(event, arguments):
    assert refusal(event, arguments) is None


def test_this_very_process_is_guarded():
    with pytest.raises(ConnectionRefusedError, match=r"socket\.connect of 8\.8\.8\.8"):
        socket.create_connection(("8.8.8.8", 53), 1)
    assert "8.8.8.8" in offline.told()


def test_a_test_that_asks_for_it_fails_also_where_it_swallows_the_refusal(tmp_path):
    (tmp_path / "test_swallows.py").write_text(SWALLOWS)
    words = ["-p", "tests.conftest", "-p", "no:cacheprovider", f"--rootdir={tmp_path}"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), *words, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )
    failed = [line for line in run.stdout.splitlines() if line.startswith("ERROR ")]
    assert len(failed) == 2, run.stdout
    assert "test_asks_itself" in failed[0]
    assert "test_asks_by_another_process" in failed[1]
    assert "4 passed, 2 errors" in run.stdout
