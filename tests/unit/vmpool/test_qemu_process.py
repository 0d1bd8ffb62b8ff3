"""Processes of this host, started, recognised and ended; a shell stands in for the hypervisor."""

import asyncio
import os
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from vmpool.drivers.home import Home
from vmpool.drivers.process import (
    Process,
    describe_status,
    ended,
    is_alive,
    kill,
    start,
    with_argument,
)


def shell(log: Path, script: str, *words: str) -> Process:
    return start(["sh", "-c", script, "sh", *words], log=log)


async def test_a_process_lives_in_a_session_of_its_own_until_killed(tmp_path: Path) -> None:
    process = shell(tmp_path / "log", "sleep 100")
    assert is_alive(process)
    assert os.getsid(process.pid) == process.pid
    await kill(process)
    assert not is_alive(process)
    await kill(process)


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
    await asyncio.wait_for(asyncio.gather(*waiting), 5)


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
        process = start(["sh", "-c", "cat <&4; cat <&3"], log=tmp_path / "log", fds=fds)
    await ended(process)
    assert (tmp_path / "log").read_text() == "first second"


async def test_a_process_is_found_by_its_arguments(tmp_path: Path) -> None:
    mark = str(uuid.uuid4())
    # Stops without a child, which would have the same arguments until its exec.
    process = shell(tmp_path / "log", "kill -STOP $$", "-D", f"/{mark}/log")
    assert [(found.pid, value) for found, value in with_argument("-D", f"/{mark}/")] == [
        (process.pid, f"/{mark}/log")
    ]
    await kill(process)
    assert list(with_argument("-D", f"/{mark}/")) == []


async def test_a_missing_program_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        start(["/nonexistent/program"], log=tmp_path / "log")


@pytest.mark.parametrize("name", ["", ".hidden", "../up", "a/b", "x" * 65, "a b"])
def test_what_is_no_machine_id_never_becomes_a_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a machine id"):
        Home(tmp_path, name, log_option="-D")


def test_a_long_console_is_cut_to_its_end(tmp_path: Path) -> None:
    home = Home(tmp_path, "m1", log_option="-D")
    home.make()
    home.console.write_bytes(b"old" * 1000 + b"the end")
    home.bound_logs(100)
    kept = home.console.read_bytes()
    assert len(kept) == 50
    assert kept.endswith(b"the end")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"process": 1, "fingerprint": "x"}', "null"])
def test_an_unreadable_record_of_a_process_counts_as_none(tmp_path: Path, text: str) -> None:
    home = Home(tmp_path, "m1", log_option="-D")
    home.make()
    (home.path / "process.json").write_text(text)
    assert home.read_launch() is None
    assert home.find_process() is None
