"""What a session is told, and what it keeps, when something goes wrong around its machine."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.installation import Installation, make_repository, of_turn

TURN_SECONDS = 15
HOST_MIB = 1024

pytestmark = [pytest.mark.vm, pytest.mark.long, pytest.mark.timeout(900)]


@contextmanager
def small_disk(directory: Path) -> Iterator[None]:
    """A file system of its own for the machines, so that it can be filled."""
    directory.mkdir(parents=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={HOST_MIB}m,mode=0700", "tmpfs", directory]
    subprocess.run(words, check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


@pytest.fixture(scope="module")
def ona(tmp_path_factory):
    directory = tmp_path_factory.mktemp("trouble")
    installation = Installation(
        data=directory / "data",
        repository=make_repository(directory / "demo"),
        settings={
            "ONA_MACHINE__IDLE_SECONDS": "4",
            "ONA_QUEUE__LEASE_SECONDS": "6",
            "ONA_TURN__SECONDS_MAX": str(TURN_SECONDS),
        },
    )
    with small_disk(installation.data / "host"):
        installation.start()
        try:
            installation.until_ready()
            yield installation
        finally:
            installation.end()


@pytest.fixture(scope="module")
def session(ona) -> str:
    """One session whose machine the tests share."""
    return ona.run("!cat README").session


def printed(ona: Installation, accepted: dict) -> str:
    """All output of the turn of a prompt, when it has ended."""
    turn = of_turn(ona.wait(accepted), accepted)
    return "".join(one["body"]["text"] for one in turn if one["kind"] == "output")


def test_a_command_that_never_ends_is_ended_at_the_time_limit(ona, session):
    turn = ona.run("!sleep 600 & echo started; echo $! > ~/left; sleep 600", session)
    assert turn.outcome == "timed_out"
    assert turn.output == "started\n"
    assert f"{TURN_SECONDS} s" in turn.body["summary"]
    after = ona.run("!kill -0 $(cat ~/left) || echo ended", session)
    assert after.outcome == "succeeded"
    assert "ended" in after.output


def test_a_question_waits_while_the_machine_rests_and_the_answer_reaches_who_asked(ona, session):
    accepted = ona.ask('!echo asking; ona-ask "Which colour?" red blue; echo painted', session)
    asked = next(e["body"] for e in ona.wait(accepted, "question") if e["kind"] == "question")
    assert (asked["text"], asked["choices"]) == ("Which colour?", ["red", "blue"])
    ona.until_resting(session)
    assert ona.request("GET", f"/sessions/{session}")["state"] == "waiting"
    answer = ona.ask("blue", session)
    assert answer["verdict"] != "prompt"
    assert printed(ona, accepted) == "asking\nblue\npainted\n"


def test_now_interrupts_and_what_was_done_stays(ona, session):
    accepted = ona.ask("!echo half; sleep 60; echo whole", session)
    ona.wait(accepted, "output")
    urgent = ona.ask("now: !echo urgent", session)
    assert printed(ona, accepted) == "half\n"
    ended = of_turn(ona.wait(accepted), accepted)[-1]["body"]
    assert ended["outcome"] == "stopped"
    assert "for another prompt" in ended["summary"]
    assert printed(ona, urgent) == "urgent\n"


def test_stop_holds_what_is_queued_and_resume_lets_it_go_on(ona, session):
    running = ona.ask("!echo up; sleep 60", session)
    ona.wait(running, "output")
    queued = ona.ask("!echo next", session)
    ona.ask("stop", session)
    ona.wait(running)
    ona.until(
        lambda: ona.request("GET", f"/sessions/{session}")["state"] == "held", "the queue to hold"
    )
    ona.ask("resume", session)
    assert printed(ona, queued) == "next\n"


def test_a_machine_that_dies_interrupts_its_turn_which_is_not_run_again(ona, session):
    ona.run("!echo kept > kept.txt", session)
    accepted = ona.ask("!echo half; sleep 60; echo whole", session)
    ona.wait(accepted, "output")
    (hypervisor,) = ona.processes(f"qemu-system-x86_64 -name {ona.machine(session)['id']}")
    os.kill(hypervisor, signal.SIGKILL)
    assert printed(ona, accepted) == "half\n"
    ended = of_turn(ona.wait(accepted), accepted)[-1]["body"]
    assert ended["outcome"] == "interrupted"
    assert "nothing was run again; `retry` runs it once more" in ended["summary"]
    after = ona.run("!cat kept.txt", session)
    assert after.output == "kept\n"
    assert any("This session got a new machine" in notice for notice in after.notices)


def test_a_full_disk_keeps_the_machine_up_and_the_session_is_told_once(ona, session):
    host = ona.data / "host"
    accepted = ona.ask("!echo kept > ~/kept; sleep 2", session)
    before = accepted["event"]
    filler = host / "filler"
    with filler.open("wb") as file:
        free = os.statvfs(host)
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - (8 << 20))

    def told() -> list[str]:
        events = ona.events(session, before)
        return [e["body"]["why"] for e in events if e["kind"] == "machine" and "why" in e["body"]]

    ona.until(told, "the session to be told")
    assert "could not hibernate" in told()[0]
    log = ona.data / "logs" / "work.log"
    count = log.read_text().count("rest_refused_host_full")
    ona.until(
        lambda: log.read_text().count("rest_refused_host_full") > count, "a second try to rest"
    )
    assert len(told()) == 1
    machine = ona.machine(session)
    assert machine["state"] == "running"
    assert list((host / "machines" / machine["id"]).glob("rest*")) == []
    filler.unlink()
    ona.until_resting(session)
    assert ona.run("!cat ~/kept", session).output == "kept\n"


def test_a_corrupt_rest_is_refused_and_the_checkpoint_is_restored_and_said(ona, session):
    ona.run("!echo saved > saved.txt; echo lost > /tmp/lost", session)
    ona.until_resting(session)
    machine = ona.machine(session)["id"]
    files = [p for p in (ona.data / "host" / "machines" / machine).rglob("*") if p.is_file()]
    memory = max((p for p in files if "rest" in str(p)), key=lambda path: path.stat().st_size)
    os.truncate(memory, memory.stat().st_size // 2)
    turn = ona.run("!cat saved.txt; ls /tmp/lost", session)
    assert "saved\n" in turn.output
    assert "No such file" in turn.output
    assert any("This session got a new machine" in notice for notice in turn.notices)
    assert ona.machine(session)["id"] != machine
    assert not (ona.data / "host" / "machines" / machine).exists()
