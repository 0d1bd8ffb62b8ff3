"""The main job on one machine: ask, watch, rest, follow up, and everything that may go wrong."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from tests.e2e.installation import Installation, make_repository

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def ona(tmp_path_factory):
    directory = tmp_path_factory.mktemp("e2e")
    installation = Installation(
        data=directory / "data",
        repository=make_repository(directory / "demo"),
        settings={
            "ONA_MACHINE__IDLE_SECONDS": "4",
            "ONA_QUEUE__LEASE_SECONDS": "6",
            "ONA_VAULT__EMBEDDED": "true",
            "ONA_TURN__OUTPUT_BYTES_MAX": "20000",
        },
    )
    installation.start()
    try:
        installation.until_ready()
        yield installation
    finally:
        installation.end()


def test_the_first_start_runs_a_prompt_through_the_whole_path_and_says_so(ona):
    said = ona.said()
    assert "Hello from a machine of demo" in said
    assert "succeeded: exit status 0" in said
    assert "/sign-in?link=" in said


def test_a_machine_hibernates_when_idle_and_a_follow_up_finds_its_processes_alive(ona):
    first = ona.run("!(while :; do date +%s >> /tmp/beat; sleep 1; done) & echo pid=$!")
    assert first.outcome == "succeeded"
    pid = first.output.strip().removeprefix("pid=")
    ona.until_resting(first.session)
    machine_id = ona.machine(first.session)["id"]
    assert ona.processes(f"qemu-system-x86_64 -name {machine_id}") == []

    again = ona.run(f"!kill -0 {pid} && echo alive; wc -l < /tmp/beat; date +%s", first.session)
    alive, beats, clock = again.output.split()
    assert alive == "alive"
    assert int(beats) > 1
    assert abs(int(clock) - time.time()) < 60
    assert ona.machine(first.session)["id"] == machine_id


def test_people_log_in_to_a_machine_that_rests_and_it_rests_again(ona):
    first = ona.run("!echo kept > note.txt; pwd")
    ona.until_resting(first.session)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "bot", "sessions", "ssh", first.session),
            "--",
            "cat note.txt; pwd",
        ],
        cwd=Path(__file__).parents[2],
        env=ona.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout == f"kept\n{first.output}", done.stderr
    ona.until_resting(first.session)


def test_what_happened_is_measured_and_ready_says_what_it_needs(ona):
    address = f"http://127.0.0.1:{ona.port}"
    measured = (
        "ona_accept_seconds_count",
        "ona_queue_wait_seconds_count",
        'ona_turns_total{outcome="succeeded"}',
        "ona_turn_seconds_count",
        'ona_machine_ready_seconds_count{way="boot"}',
        'ona_machine_ready_seconds_count{way="resumed"}',
        "ona_hibernate_seconds_count",
        'ona_machines{state="running"}',
    )

    def missing() -> list[str]:
        lines = httpx2.get(f"{address}/metrics").text.splitlines()
        values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        assert "ona_queue_depth" in values
        assert any(name.startswith("ona_outbox_age_seconds") for name in values)
        return [name for name in measured if float(values.get(name, 0)) == 0]

    ona.run("!true")
    ona.until(lambda: not missing(), f"the metrics; {missing()} are 0")
    ready = httpx2.get(f"{address}/ready")
    assert ready.json() == {"ready": True, "checks": {"database": "ok", "hosts": "ok"}}


def test_a_second_work_process_on_a_host_refuses_and_names_the_first(ona):
    (pid,) = ona.processes("-m bot work")
    words = Path(f"/proc/{pid}/environ").read_text().split("\0")
    second = subprocess.run(
        [sys.executable, "-m", "bot", "work"],
        cwd=Path(__file__).parents[2],
        env=dict(word.split("=", 1) for word in words if "=" in word and "BEAT" not in word),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode != 0
    assert f"`ona work` already runs on {ona.data}" in second.stderr
    assert f"process {pid}" in second.stderr


def test_never_run_twice_work_is_killed_in_the_middle_and_the_successor_goes_on(ona):
    accepted = ona.ask(
        "!for i in 1 2 3 4 5 6 7 8; do echo tick $i; sleep 1; done; echo x >> ~/once"
    )
    ona.wait(accepted, "output")
    ona.kill_work()
    events = ona.wait(accepted)
    output = "".join(e["body"]["text"] for e in events if e["kind"] == "output")
    assert output == "".join(f"tick {n}\n" for n in range(1, 9))
    assert ona.run("!cat ~/once", accepted["session"]).output == "x\n"


@pytest.mark.long
def test_a_lost_machine_directory_is_said_and_the_work_goes_on_from_the_checkpoint(ona):
    first = ona.run("!echo precious > kept.txt; echo changed >> README; echo gone > /tmp/gone")
    ona.until_resting(first.session)
    machine_id = ona.machine(first.session)["id"]
    shutil.rmtree(ona.data / "host" / "machines" / machine_id)

    again = ona.run("!cat kept.txt README; ls /tmp/gone; git status --short", first.session)
    assert "precious\nhello\nchanged\n" in again.output
    assert "/tmp/gone': No such file" in again.output
    assert "M README" in again.output
    assert any("This session got a new machine" in notice for notice in again.notices)


def test_stop_ends_a_command_that_ignores_the_signal_within_two_seconds(ona):
    accepted = ona.ask("!trap '' TERM; echo started; while :; do sleep 1; done")
    ona.wait(accepted, "output")
    asked = time.monotonic()
    ona.request("POST", f"/sessions/{accepted['session']}/stop")
    events = ona.wait(accepted)
    took = time.monotonic() - asked
    ended = next(event for event in events if event["kind"] == "turn.ended")
    assert ended["body"]["outcome"] == "stopped"
    print(f"stopped after {took:.1f} s")


@pytest.mark.long
def test_an_output_of_100_mb_is_cut_and_says_where_the_whole_lies(ona):
    accepted = ona.ask("!head -c 100000000 /dev/zero | tr '\\0' x; echo; echo the end")
    events = ona.wait(accepted)
    (cut,) = (event["body"] for event in events if event["kind"] == "output.cut")
    assert cut["bytes"] > 99_000_000
    output = "".join(e["body"]["text"] for e in events if e["kind"] == "output")
    assert len(output) < 60_000
    assert output.endswith("the end\n")
    size = ona.run(f"!stat -c %s {cut['where']}", accepted["session"])
    assert int(size.output) == 100_000_000 + len("\nthe end\n")


def test_binary_output_arrives_as_text_and_the_exit_status_is_told(ona):
    turn = ona.run("!printf 'a\\0b\\377c\\n'; exit 3")
    assert turn.output == "a\ufffdb\ufffdc\n"
    assert turn.outcome == "failed"
    assert turn.body["exit_status"] == 3


def test_a_second_start_on_the_data_directory_refuses_and_names_the_first(ona):
    second = subprocess.run(
        [sys.executable, "-m", "bot", "up"],
        cwd=Path(__file__).parents[2],
        env=ona.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode != 0
    assert "already runs" in second.stdout + second.stderr
    assert str(ona.process.pid) in second.stdout + second.stderr


def test_ctrl_c_in_the_middle_of_a_turn_loses_nothing_and_leaves_no_process(ona):
    accepted = ona.ask("!for i in 1 2 3 4 5 6 7 8 9; do echo step $i; sleep 1; done")
    ona.wait(accepted, "output")
    ona.interrupt()
    assert ona.wait_ended() == 0
    assert ona.processes("qemu") == []
    assert ona.processes("postgres") == []
    ona.start()
    ona.until_ready(times=2)
    events = ona.wait(accepted)
    output = "".join(e["body"]["text"] for e in events if e["kind"] == "output")
    assert output == "".join(f"step {n}\n" for n in range(1, 10))
