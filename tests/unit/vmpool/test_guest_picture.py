"""How `ona-preview --picture` finds a browser in a machine, and what it says of one that fails."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from vmpool.guest import picture
from vmpool.guest.picture import NoPicture, find_browser, take

GUEST = Path(picture.__file__).parent
URL = "http://localhost:3000/"


def program(path: Path, text: str = "exit 0") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_the_browser_is_the_named_one_then_one_on_path_then_playwrights(tmp_path):
    environment = {"HOME": str(tmp_path), "PATH": str(tmp_path / "bin")}
    with pytest.raises(NoPicture, match="there is no Chromium in this machine"):
        find_browser(environment)
    kept = tmp_path / ".cache" / "ms-playwright"
    shell = "chromium_headless_shell-1200/chrome-linux/headless_shell"
    found = program(kept / shell)
    assert find_browser(environment) == found
    elsewhere = program(tmp_path / "pw" / shell)
    assert find_browser({**environment, picture.KEPT: str(tmp_path / "pw")}) == elsewhere
    on_path = program(tmp_path / "bin" / "google-chrome")
    assert find_browser(environment) == on_path
    own = program(tmp_path / "own")
    assert find_browser({**environment, picture.NAMED: own}) == own
    assert find_browser({**environment, picture.NAMED: str(tmp_path / "none")}) == on_path


def test_a_browser_that_ends_is_told_in_its_last_words(tmp_path):
    browser = program(tmp_path / "b", "echo first >&2; echo libnss3.so: no such file >&2; exit 127")
    with pytest.raises(NoPicture, match=r"the browser ended: libnss3\.so: no such file"):
        take(browser, URL)


def test_one_that_answers_nothing_is_given_up_and_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(picture, "SECONDS_MAX", 0.2)
    browser = program(tmp_path / "b", f"echo $$ > {tmp_path}/pid; exec sleep 600")
    with pytest.raises(NoPicture, match=r"not there within 0\.2 seconds"):
        take(browser, URL)
    started = tmp_path / "pid"
    pid = started.read_text().strip() if started.exists() else ""
    assert not pid or not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    ("says", "why"),
    [
        (r"printf 'hello\0' >&4; sleep 600", "no message"),
        ("head -c 2000 /dev/zero | tr '\\0' x >&4; sleep 600", "more than 1000 bytes"),
        (
            r"""printf '{"id":1,"error":{"message":"not here"}}\0' >&4; sleep 600""",
            r"refused Target\.createTarget: not here",
        ),
    ],
)
def test_one_that_speaks_nonsense_is_refused(tmp_path, monkeypatch, says, why):
    monkeypatch.setattr(picture, "MESSAGE_BYTES_MAX", 1000)
    with pytest.raises(NoPicture, match=why):
        take(program(tmp_path / "b", says), URL)


@pytest.mark.parametrize(
    "argv",
    [[], ["x"], ["80", "picture"], ["80", "--picture", "login"], ["80", "--picture", "/", "more"]],
)
def test_what_is_no_usage_says_which_is(argv):
    command = [sys.executable, "-IS", str(GUEST / "preview.py"), *argv]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "usage: ona-preview PORT [--picture [/PATH]]\n"
