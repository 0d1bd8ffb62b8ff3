"""The guest's job server over a plain unix socket: no machine, no SSH, process groups."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.guest import HostedGuest, children_of, hosted_guest, restarted
from vmpool.errors import JobRefused, MachineLost, StaleToken
from vmpool.guest import ask
from vmpool.jobs import (
    JobConnection,
    JobExit,
    JobLimits,
    JobOutput,
    JobQuestion,
    JobSpec,
    JobState,
    JobStatus,
    order_of,
    status_of,
)


@pytest.fixture
def guest() -> Iterator[HostedGuest]:
    with hosted_guest() as running:
        yield running


@pytest.fixture
async def jobs(guest: HostedGuest) -> AsyncIterator[JobConnection]:
    connection = await guest.job_connection()
    yield connection
    connection.close()


async def start(jobs: JobConnection, script: str, **spec: Any) -> JobStatus:
    order = order_of(JobSpec(id=spec.pop("id", "j1"), argv=["/bin/sh", "-c", script], **spec))
    return status_of((await jobs.request("start", **order))["status"])


async def status(jobs: JobConnection, job_id: str = "j1") -> JobStatus:
    return status_of((await jobs.request("status", job=job_id))["status"])


async def follow(
    guest: HostedGuest, job_id: str = "j1", stdout: int = 0, stderr: int = 0
) -> tuple[bytes, bytes, JobStatus]:
    """Everything from the offsets on, checked to be without gaps."""
    connection = await guest.job_connection()
    got = {"stdout": bytearray(), "stderr": bytearray()}
    begin = {"stdout": stdout, "stderr": stderr}
    offsets = {"stdout_offset": stdout, "stderr_offset": stderr}
    try:
        async for event in connection.attach(job_id, offsets):
            match event:
                case JobOutput():
                    assert event.offset == begin[event.stream] + len(got[event.stream])
                    got[event.stream] += event.data
                case JobExit():
                    return bytes(got["stdout"]), bytes(got["stderr"]), event.status
                case JobQuestion():
                    pass
    finally:
        connection.close()
    raise AssertionError("no exit")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(100):
        while not condition():
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


async def test_output_and_exit_status_arrive_and_are_kept(
    guest: HostedGuest, jobs: JobConnection
) -> None:
    await start(jobs, "echo out; echo err >&2; exit 3")
    out, err, ended = await follow(guest)
    assert (out, err) == (b"out\n", b"err\n")
    assert (ended.state, ended.exit_status, ended.signal) == (JobState.ENDED, 3, None)
    assert ended.seconds >= 0
    assert (await follow(guest))[:2] == (b"out\n", b"err\n")


async def test_a_second_start_of_an_id_runs_nothing(
    guest: HostedGuest, jobs: JobConnection, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    await start(jobs, f"echo once >> {mark}")
    await follow(guest)
    again = await start(jobs, f"echo twice >> {mark}")
    assert again.state is JobState.ENDED
    assert mark.read_text() == "once\n"


async def test_merged_streams_keep_their_order(guest: HostedGuest, jobs: JobConnection) -> None:
    await start(jobs, "echo 1; echo 2 >&2; echo 3", merge_stderr=True)
    out, err, _ = await follow(guest)
    assert (out, err) == (b"1\n2\n3\n", b"")


async def test_binary_output_comes_through_unchanged(
    guest: HostedGuest, jobs: JobConnection, tmp_path: Path
) -> None:
    data = bytes(range(256)) * 4096
    (tmp_path / "data").write_bytes(data)
    await start(jobs, f"cat {tmp_path}/data")
    assert (await follow(guest))[0] == data


async def test_following_again_from_an_offset_gives_every_byte_once(
    guest: HostedGuest, jobs: JobConnection, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    await start(jobs, f"echo first; cat {go} > /dev/null; echo second")
    connection = await guest.job_connection()
    seen = bytearray()
    async for event in connection.attach("j1", {}):
        assert isinstance(event, JobOutput)
        seen += event.data
        if seen.endswith(b"\n"):
            break
    connection.close()
    await asyncio.to_thread(go.write_bytes, b"")
    rest, _, _ = await follow(guest, stdout=len(seen))
    assert bytes(seen) + rest == b"first\nsecond\n"


async def test_what_exceeds_the_spool_is_counted_and_the_job_goes_on(
    guest: HostedGuest, jobs: JobConnection
) -> None:
    limits = JobLimits(spool_bytes_max=1000)
    await start(jobs, "head -c 5000000 /dev/zero; exit 4", limits=limits)
    out, _, ended = await follow(guest)
    assert len(out) == 1000
    assert (ended.stdout_bytes, ended.stdout_dropped) == (1000, 4_999_000)
    assert ended.exit_status == 4


async def test_input_is_accepted_once_by_its_offset(
    guest: HostedGuest, jobs: JobConnection
) -> None:
    await start(jobs, "cat", input=True)
    assert (await jobs.request("input", b"abc", job="j1", offset=0))["offset"] == 3
    assert (await jobs.request("input", b"abc", job="j1", offset=0))["offset"] == 3
    assert (await jobs.request("input", b"bcd", job="j1", offset=1))["offset"] == 4
    with pytest.raises(JobRefused, match="only 4 bytes"):
        await jobs.request("input", b"x", job="j1", offset=9)
    await jobs.request("close_input", job="j1")
    assert (await follow(guest))[0] == b"abcd"


async def test_input_waits_for_a_job_that_reads_later(
    guest: HostedGuest, jobs: JobConnection, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    await start(jobs, f"cat {go} > /dev/null; wc -c", input=True)
    chunk = b"x" * 1_000_000
    offset = 0
    while (accepted := (await jobs.request("input", chunk, job="j1", offset=offset))["offset"]) == (
        offset + len(chunk)
    ):
        offset = accepted
    waiting = asyncio.create_task(jobs.request("input", chunk, job="j1", offset=accepted))
    await asyncio.to_thread(go.write_bytes, b"")
    total = (await waiting)["offset"]
    assert total > accepted
    await jobs.request("close_input", job="j1")
    assert (await follow(guest))[0] == b"%d\n" % total


async def test_without_input_a_job_reads_the_end_at_once(
    guest: HostedGuest, jobs: JobConnection
) -> None:
    await start(jobs, "cat; echo done")
    assert (await follow(guest))[0] == b"done\n"
    assert (await jobs.request("input", b"late", job="j1", offset=0))["open"] is False


async def test_a_job_that_ignores_term_is_killed_after_the_grace(
    guest: HostedGuest, jobs: JobConnection
) -> None:
    await start(jobs, "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    await until_output(guest)
    stopped = status_of((await jobs.request("stop", job="j1", grace_seconds=0.2))["status"])
    assert (stopped.state, stopped.signal) == (JobState.ENDED, signal.SIGKILL)
    assert stopped.stopped
    assert stopped.processes == 0


async def test_a_job_that_obeys_term_may_clean_up(guest: HostedGuest, jobs: JobConnection) -> None:
    await start(jobs, "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.05; done")
    await until_output(guest)
    stopped = status_of((await jobs.request("stop", job="j1", grace_seconds=5))["status"])
    assert stopped.exit_status == 5
    assert (await follow(guest))[0] == b"ready\nbye\n"


async def until_output(guest: HostedGuest) -> None:
    path = guest.directory / "state/jobs/j1/stdout"
    await until(lambda: path.stat().st_size > 0)


async def test_what_a_job_leaves_behind_lives_on_and_its_output_is_kept(
    guest: HostedGuest, jobs: JobConnection, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    await start(jobs, f"(cat {go} > /dev/null; echo later; exec sleep 60) & echo $!")
    out, _, ended = await follow(guest)
    pid = int(out)
    assert ended.exit_status == 0
    assert ended.processes > 0
    assert alive(pid)
    await asyncio.to_thread(go.write_bytes, b"")
    spool = guest.directory / "state/jobs/j1/stdout"
    await until(lambda: spool.read_bytes().endswith(b"later\n"))
    with pytest.raises(JobRefused, match="stop it first"):
        await jobs.request("forget", job="j1")
    await jobs.request("stop", job="j1", grace_seconds=1)
    assert not alive(pid)


async def test_a_job_outlives_every_connection(guest: HostedGuest, jobs: JobConnection) -> None:
    await start(jobs, "cat", input=True)
    jobs.close()
    other = await guest.job_connection()
    await other.request("input", b"still here", job="j1", offset=0)
    await other.request("close_input", job="j1")
    assert (await follow(guest))[0] == b"still here"
    other.close()


@pytest.mark.parametrize(
    ("argv", "exit_status", "words"),
    [
        (["/no/such/program"], 127, "No such file"),
        (["/etc/passwd"], 126, "Permission denied"),
        (["/" + "x" * 200_000], 126, "File name too long"),
        (["true", "x" * 200_000], 126, "Argument list too long"),
    ],
)
async def test_a_command_that_cannot_run_is_an_ended_job_that_says_why(
    jobs: JobConnection, argv: list[str], exit_status: int, words: str
) -> None:
    answer = await jobs.request("start", **order_of(JobSpec(id="j1", argv=argv)))
    ended = status_of(answer["status"])
    assert (ended.state, ended.exit_status) == (JobState.ENDED, exit_status)
    assert ended.failure is not None
    assert words in ended.failure


async def test_an_unknown_user_or_directory_is_said_too(jobs: JobConnection) -> None:
    assert "no user" in str((await start(jobs, "true", id="u", user="nobody-here")).failure)
    assert "/no/where" in str((await start(jobs, "true", id="d", cwd="/no/where")).failure)


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"job": "../up", "argv": ["true"]}, "job id"),
        ({"job": "j", "argv": []}, "argv"),
        ({"job": "j", "argv": ["a\0b"]}, "argv"),
        ({"job": "j", "argv": ["true"], "env": {"A=B": "c"}}, "env"),
        ({"job": "j", "argv": ["true"], "limits": {"pids_max": "many"}}, "invalid literal"),
    ],
)
async def test_a_malformed_order_is_refused_and_the_connection_lives(
    jobs: JobConnection, order: dict[str, Any], words: str
) -> None:
    with pytest.raises(JobRefused, match=words):
        await jobs.request("start", **order)
    assert (await jobs.request("list"))["jobs"] == []


async def test_unknown_jobs_and_operations_are_refused(jobs: JobConnection) -> None:
    with pytest.raises(JobRefused, match="no job nope") as unknown:
        await jobs.request("status", job="nope")
    assert unknown.value.code == "unknown_job"
    with pytest.raises(JobRefused, match="no operation"):
        await jobs.request("dance")


async def test_a_peer_that_breaks_the_form_is_hung_up_on(guest: HostedGuest) -> None:
    reader, writer = await asyncio.open_unix_connection(guest.inside.job_server)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_the_environment_is_that_of_a_login_and_the_jobs_id(
    guest: HostedGuest, jobs: JobConnection
) -> None:
    await start(jobs, "env", env={"COLOUR": "blue"}, id="turn-7")
    out, _, _ = await follow(guest, "turn-7")
    seen = dict(line.split("=", 1) for line in out.decode().splitlines())
    assert (seen["COLOUR"], seen["ONA_JOB"]) == ("blue", "turn-7")
    assert {"PATH", "HOME", "USER", "LANG"} <= set(seen)
    assert "VIRTUAL_ENV" not in seen


async def test_a_job_inherits_no_descriptor_of_ours(
    guest: HostedGuest, jobs: JobConnection
) -> None:
    await start(jobs, "ls /proc/self/fd")
    # The fourth is the directory that ls reads.
    assert (await follow(guest))[0].split() == [b"0", b"1", b"2", b"3"]


async def test_a_token_that_is_raised_ends_the_other_connections(
    guest: HostedGuest, jobs: JobConnection
) -> None:
    older = await guest.job_connection()
    await older.request("list")
    await jobs.request("token", token=5)
    with pytest.raises(MachineLost):
        await older.request("list")
    with pytest.raises(StaleToken):
        await jobs.request("token", token=4)
    await jobs.request("list")
    older.close()


async def test_jobs_are_known_after_the_program_was_started_again(
    guest: HostedGuest, jobs: JobConnection
) -> None:
    await start(jobs, "echo kept; exit 7", id="ended")
    await follow(guest, "ended")
    await start(jobs, "echo half; exec sleep 60", id="cut")
    path = guest.directory / "state/jobs/cut/stdout"
    await until(lambda: path.stat().st_size > 0)
    orphans = children_of(guest.process.pid)
    guest.process.kill()
    guest.process.wait()
    for pid in orphans:
        os.kill(pid, signal.SIGKILL)
    with restarted(guest.directory) as successor:
        out, _, ended = await follow(successor, "ended")
        assert (out, ended.exit_status) == (b"kept\n", 7)
        out, _, cut = await follow(successor, "cut")
        assert (out, cut.state) == (b"half\n", JobState.LOST)


async def test_a_forgotten_job_leaves_nothing_and_forgetting_again_is_fine(
    guest: HostedGuest, jobs: JobConnection
) -> None:
    await start(jobs, "true")
    await follow(guest)
    await jobs.request("forget", job="j1")
    await jobs.request("forget", job="j1")
    assert (await jobs.request("list"))["jobs"] == []
    assert not (guest.directory / "state/jobs/j1").exists()


def asking(*words: str) -> str:
    """A shell line that asks; `exec`, so that the asker is the job's first process."""
    quoted = " ".join(json.dumps(word) for word in words)
    return f"exec {sys.executable} -I -S {ask.__file__} {quoted}"


async def question(guest: HostedGuest) -> JobQuestion:
    connection = await guest.job_connection()
    try:
        async for event in connection.attach("j1", {}):
            if isinstance(event, JobQuestion):
                return event
    finally:
        connection.close()
    raise AssertionError("no question")


async def test_a_job_asks_and_gets_the_first_answer(
    guest: HostedGuest, jobs: JobConnection
) -> None:
    await start(jobs, asking("Which way?", "left", "right"), env=guest.environment)
    asked = await question(guest)
    assert (asked.text, tuple(asked.choices)) == ("Which way?", ("left", "right"))
    assert (await status(jobs)).questions == (asked,)
    for text in ("left", "right"):
        await jobs.request("answer", job="j1", question=asked.question_id, text=text)
    out, _, ended = await follow(guest)
    assert (out, ended.exit_status) == (b"left\n", 0)


async def test_a_question_whose_asker_is_gone_is_withdrawn(
    guest: HostedGuest, jobs: JobConnection
) -> None:
    await start(jobs, asking("Anyone?"), env=guest.environment)
    asked = await question(guest)
    await jobs.request("stop", job="j1", grace_seconds=0)
    async with asyncio.timeout(100):
        while (await status(jobs)).questions:
            await asyncio.sleep(0.01)
    with pytest.raises(JobRefused, match="not open"):
        await jobs.request("answer", job="j1", question=asked.question_id, text="late")


def test_a_process_of_no_job_cannot_ask(guest: HostedGuest) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", ask.__file__, "Hello?"],
        env=guest.environment,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 1
    assert "belongs to none" in done.stderr


async def test_an_empty_question_and_too_many_choices_are_refused(
    guest: HostedGuest, jobs: JobConnection
) -> None:
    await start(jobs, asking("  "), env=guest.environment, id="empty")
    assert b"empty" in (await follow(guest, "empty"))[1]
    await start(jobs, asking("Which?", *"abcdefghijklmnopqrstuvwxyz"), env=guest.environment)
    out, err, ended = await follow(guest)
    assert (out, ended.exit_status) == (b"", 1)
    assert b"more than 20 choices" in err


def test_it_refuses_to_be_anything_but_pid_1() -> None:
    main = Path(ask.__file__).with_name("main.py")
    done = subprocess.run(
        [sys.executable, "-I", "-S", main], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 1
    assert "PID 1" in done.stderr


async def test_where_there_is_a_container_the_agents_jobs_are_run_inside(guest, jobs):
    (Path(guest.directory) / "state" / "container.json").write_text("{}")
    ended = await start(jobs, "echo beside it")
    assert (ended.state, ended.exit_status) == (JobState.ENDED, 127)
    assert ended.failure == "/usr/bin/ona-inside: No such file or directory", "none is here"
