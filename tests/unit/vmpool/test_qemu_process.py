"""Processes of this host, started, recognised and ended; a shell stands in for the hypervisor."""

import asyncio
import errno
import os
import signal
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from vmpool.drivers import landlock
from vmpool.drivers.home import Home
from vmpool.drivers.process import (
    Process,
    describe_status,
    ended,
    is_alive,
    is_stopped,
    kill,
    marked,
    start,
)


def shell(log: Path, script: str, *, mark: str = "") -> Process:
    return start(["sh", "-c", script], output=log, mark=mark)


async def test_a_process_lives_in_a_session_of_its_own_until_killed(tmp_path: Path) -> None:
    process = shell(tmp_path / "log", "sleep 100")
    assert is_alive(process)
    assert os.getsid(process.pid) == process.pid
    await kill(process)
    assert not is_alive(process)
    await kill(process)


async def test_one_that_the_kernel_does_not_let_end_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = shell(tmp_path / "log", "sleep 100")
    with monkeypatch.context() as patch:
        # As with one that waits for a disk: it is signalled, and nothing comes of it.
        patch.setattr(signal, "pidfd_send_signal", lambda fd, number: None)
        patch.setattr("vmpool.drivers.process.END_SECONDS_MAX", 0.1)
        with pytest.raises(TimeoutError, match="does not end"):
            await kill(process)
    assert is_alive(process)
    await kill(process)


async def test_one_that_somebody_stopped_lives_and_is_told_from_one_that_waits(
    tmp_path: Path,
) -> None:
    process = shell(tmp_path / "log", "sleep 100")
    assert not is_stopped(process)
    os.kill(process.pid, signal.SIGSTOP)
    async with asyncio.timeout(100):
        while not is_stopped(process):
            await asyncio.sleep(0.01)
    assert is_alive(process)
    assert not is_stopped(replace(process, start_ticks=process.start_ticks + 1))
    await kill(process)
    assert not is_stopped(process)


async def test_the_end_is_told_with_its_status(tmp_path: Path) -> None:
    process = shell(tmp_path / "log", "exit 3")
    assert describe_status(await ended(process)) == "its process ended with status 3"
    other = shell(tmp_path / "log", "kill -9 $$")
    assert describe_status(await ended(other)) == "its process was ended by SIGKILL"


async def test_several_may_wait_for_one_end(tmp_path: Path) -> None:
    process = shell(tmp_path / "log", "sleep 100")
    waiting = [asyncio.ensure_future(ended(process)) for _ in range(3)]
    await asyncio.sleep(0)
    await kill(process)
    await asyncio.wait_for(asyncio.gather(*waiting), 100)


async def test_a_pid_of_somebody_else_is_never_taken_for_ours(tmp_path: Path) -> None:
    process = shell(tmp_path / "log", "sleep 100")
    for stranger in (
        replace(process, start_ticks=process.start_ticks + 1),
        replace(process, boot_id="another boot"),
    ):
        assert not is_alive(stranger)
        await kill(stranger)
        assert is_alive(process)
    await kill(process)


async def test_the_end_of_another_child_that_has_its_pid_by_now_is_left_to_whoever_waits_for_it(
    tmp_path: Path,
) -> None:
    process = shell(tmp_path / "log", "exit 3")
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert await ended(replace(process, start_ticks=process.start_ticks + 1)) is None
    assert describe_status(await ended(process)) == "its process ended with status 3"


async def test_without_a_descriptor_left_the_end_is_noticed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = shell(tmp_path / "log", "sleep 100")
    real, left = os.pidfd_open, [errno.EMFILE, errno.ENFILE]

    def none_left(pid: int) -> int:
        if left:
            raise OSError(left.pop(), "too many are open")
        return real(pid)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pidfd_open", none_left)
        patch.setattr("vmpool.drivers.process.LOOK_AGAIN_SECONDS", 0.01)
        waiting = asyncio.ensure_future(ended(process))
        async with asyncio.timeout(100):
            while left:
                await asyncio.sleep(0.01)
        assert not waiting.done()
        # Not `kill`: that waits as well, and one alone is told how it ended.
        os.kill(process.pid, signal.SIGKILL)
        assert "SIGKILL" in describe_status(await waiting)


async def test_a_look_that_fails_leaves_no_descriptor_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = shell(tmp_path / "log", "sleep 100")

    def none_left(_: Process) -> bool:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    before = os.listdir("/proc/self/fd")
    with monkeypatch.context() as patch:
        patch.setattr("vmpool.drivers.process.is_alive", none_left)
        with pytest.raises(OSError, match="Too many"):
            await kill(process)
    assert len(os.listdir("/proc/self/fd")) == len(before)
    await kill(process)


async def test_output_goes_to_the_log_and_no_secret_into_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hush")
    process = shell(tmp_path / "log", "env; echo to stderr >&2")
    await ended(process)
    text = (tmp_path / "log").read_text()
    assert "to stderr" in text
    assert "hush" not in text


async def test_descriptors_arrive_in_order_from_three_on(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("first ")
    (tmp_path / "b").write_text("second")
    with (tmp_path / "a").open() as a, (tmp_path / "b").open() as b:
        fds = [b.fileno(), a.fileno()]
        process = start(["sh", "-c", "cat <&4; cat <&3"], output=tmp_path / "log", fds=fds)
    await ended(process)
    assert (tmp_path / "log").read_text() == "first second"


async def test_a_process_is_found_by_its_mark(tmp_path: Path) -> None:
    mark = f"/{uuid.uuid4()}"
    process = shell(tmp_path / "log", "exec sleep 100", mark=f"{mark}/launch")
    async with asyncio.timeout(30):
        # While one program takes the place of another, its environment can't be read.
        while not (found := list(marked(f"{mark}/"))):
            await asyncio.sleep(0.01)
    assert [(one.pid, name) for one, name in found] == [(process.pid, f"{mark}/launch")]
    await kill(process)
    assert list(marked(f"{mark}/")) == []


async def test_errors_may_go_elsewhere_and_no_core_is_left(tmp_path: Path) -> None:
    command = ["sh", "-c", "ulimit -c; echo no >&2"]
    process = start(command, output=tmp_path / "log", errors=tmp_path / "errors")
    await ended(process)
    assert (tmp_path / "errors").read_text() == "no\n"
    assert (tmp_path / "log").read_text() == "0\n"


async def test_what_confines_the_thread_that_starts_it_holds_for_it_alone(tmp_path: Path) -> None:
    process = start(
        ["sh", "-c", "grep NoNewPrivs /proc/self/status"],
        output=tmp_path / "log",
        confine=landlock.forbid_new_privileges,
    )
    await ended(process)
    assert (tmp_path / "log").read_text().split() == ["NoNewPrivs:", "1"]
    assert "NoNewPrivs:\t0" in Path("/proc/self/status").read_text()


async def test_a_missing_program_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        start(["/nonexistent/program"], output=tmp_path / "log")


@pytest.mark.parametrize("name", ["", ".hidden", "../up", "a/b", "x" * 65, "a b"])
def test_what_is_no_machine_id_never_becomes_a_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a machine id"):
        Home(tmp_path, name)


@pytest.mark.parametrize("depth", [3, 1500])
def test_a_cell_goes_however_deep_it_is(tmp_path: Path, depth: int) -> None:
    home = Home(tmp_path, "m1")
    home.make()
    home.make_cell()
    before = os.open("/", os.O_RDONLY)
    os.chdir(home.cell / "own")
    try:
        for _ in range(depth):
            os.mkdir("d")
            os.chdir("d")
    finally:
        os.fchdir(before)
        os.close(before)
    home.drop_cell()
    assert not home.cell.exists()


def test_a_link_in_a_cell_is_not_connected_to(tmp_path: Path) -> None:
    home = Home(tmp_path, "m1")
    home.make()
    home.make_cell()
    with home.listening("api.sock") as listener:
        home.connect("api.sock").close()
        (home.cell / "own" / "vsock.sock").symlink_to(home.cell / "api.sock")
        with pytest.raises(OSError, match="no socket"):
            home.connect("own/vsock.sock")
    assert listener.fileno() == -1


def test_a_long_console_is_cut_to_its_end(tmp_path: Path) -> None:
    home = Home(tmp_path, "m1")
    home.make()
    home.console.write_bytes(b"old" * 1000 + b"the end")
    home.bound_logs(100)
    kept = home.console.read_bytes()
    assert len(kept) == 50
    assert kept.endswith(b"the end")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"process": 1, "fingerprint": "x"}', "null"])
def test_an_unreadable_record_of_a_process_counts_as_none(tmp_path: Path, text: str) -> None:
    home = Home(tmp_path, "m1")
    home.make()
    (home.path / "process.json").write_text(text)
    assert home.read_launch() is None
    assert home.find_process() is None
