"""How a job is run in the dev container of its machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

from vmpool.guest import inside
from vmpool.guest.inside import command

CONTAINER = {
    "id": "c1",
    "pid": 1,
    "user": "dev",
    "environment": {"PATH": "/opt/bin", "MODE": "container", "LANG": "de_DE"},
}


def test_what_a_job_brings_goes_in_and_what_a_login_has_stays_out():
    brought = {
        "PATH": "/usr/bin",
        "HOME": "/home/agent",
        "LANG": "C",
        "ONA_TURN": "t",
        "MODE": "job",
    }
    assert command(CONTAINER, brought, "/work/shop", ["make", "-k", "it's"]) == [
        *("podman", "exec", "--interactive", "--user", "dev", "--workdir", "/work/shop"),
        *("--env", "LANG=de_DE", "--env", "PATH=/opt/bin"),
        *("--env", "MODE", "--env", "ONA_TURN"),
        *("c1", "make", "-k", "it's"),
    ]


def test_a_terminal_is_one_inside_too():
    assert "--tty" in command(CONTAINER, {}, "/", ["sh"], terminal=True)


def run(tmp_path: Path, container: object, *argv: str) -> subprocess.CompletedProcess[str]:
    """The program itself, where the engine is a script that says what it was asked."""
    (tmp_path / "podman").write_text('#!/bin/sh\necho "$@" >> "$LOG"\necho "$1"\n')
    (tmp_path / "podman").chmod(0o755)
    file = tmp_path / "container.json"
    if container is not None:
        file.write_text(json.dumps(container))
    program = f"import sys; from vmpool.guest import inside; inside.FILE = {str(file)!r}\n"
    return subprocess.run(
        [sys.executable, "-c", f"{program}sys.exit(inside.main(sys.argv[1:]))", *argv],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "LOG": str(tmp_path / "log")},
        cwd=Path(inside.__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_container_the_command_is_run_as_it_is(tmp_path):
    done = run(tmp_path, None, "echo", "here")
    assert (done.returncode, done.stdout) == (0, "here\n")
    assert not (tmp_path / "log").exists()


def test_a_container_that_ended_is_started_first(tmp_path):
    done = run(tmp_path, {**CONTAINER, "pid": os.getpid()}, "make")
    assert done.stdout == "exec\n"
    (tmp_path / "log").unlink()
    done = run(tmp_path, {**CONTAINER, "pid": 2**22 + 1}, "make")
    assert done.stdout == "exec\n"
    started, entered = (tmp_path / "log").read_text().splitlines()
    assert started == "start c1"
    assert entered.endswith("c1 make")


def test_wrong_usage_and_what_is_not_there_are_said(tmp_path):
    assert run(tmp_path, None).returncode == 2
    done = run(tmp_path, None, "no-such-program")
    assert (done.returncode, done.stderr) == (
        127,
        "ona-inside: no-such-program: No such file or directory\n",
    )
