"""What the system's ssh is told."""

import shlex
from pathlib import Path

import pytest

from bot.cli import ssh_files
from bot.errors import Refused

ACCESS = {"user": "agent", "host_name": "m-1.machine.ona", "directory": "/work/it's"}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("8080:3000", "127.0.0.1:8080:localhost:3000"),
        ("3000", "127.0.0.1:3000:localhost:3000"),
        ("65535:1", "127.0.0.1:65535:localhost:1"),
    ],
)
def test_ports_are_forwarded_from_loopback_alone(said: str, told: str) -> None:
    assert ssh_files.forward(said) == told


@pytest.mark.parametrize("said", ["", ":", "0:1", "1:65536", "a:b", "1:2:3", "-1:2", "²:3"])
def test_what_names_no_ports_is_refused(said: str) -> None:
    with pytest.raises(Refused):
        ssh_files.forward(said)


def test_a_shell_begins_in_the_repository() -> None:
    call = ssh_files.argv(Path("/tmp/x y"), "s-1", ACCESS, words=[])
    assert call[-1] == "cd '/work/it'\"'\"'s' 2>/dev/null; exec ${SHELL:-/bin/sh} -l"
    assert call[-3:-1] == ["-t", "agent@m-1.machine.ona"]
    assert 'IdentityFile="/tmp/x y/key"' in call


@pytest.mark.parametrize(
    ("words", "remote"), [(["ls | wc"], "ls | wc"), (["ls", "a b"], "ls 'a b'")]
)
def test_one_word_is_for_the_shell_and_several_are_themselves(
    words: list[str], remote: str
) -> None:
    call = ssh_files.argv(Path("/tmp/x"), "s-1", ACCESS, words=words)
    assert call[-1].endswith(f"2>/dev/null; {remote}")
    assert "-t" not in call


def test_percent_signs_are_not_expanded_by_ssh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["pytest"])
    monkeypatch.setattr("sys.executable", "/opt/50%/python")
    told = ssh_files.proxy_command("s-1")
    assert told == "/opt/50%%/python -m bot sessions tunnel s-1"


def test_the_script_that_was_started_is_the_one_that_ssh_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "a b" / "ona"
    script.parent.mkdir()
    script.touch()
    monkeypatch.setattr("sys.argv", [str(script)])
    assert shlex.split(ssh_files.proxy_command("s-1"))[0] == str(script)


def test_files_are_for_their_user_alone(tmp_path: Path) -> None:
    key = ssh_files.new_key(tmp_path)
    assert key.startswith("ssh-ed25519 ")
    assert key == ssh_files.public_key(tmp_path)
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600]
