"""The channel against the guest program on this host, with a real sshd: all but the machine."""

import asyncio
import io
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncssh
import pytest

from tests.fakes.guest import HostedGuest, hosted_guest
from vmpool.channel import Channel, follows
from vmpool.errors import JobRefused, MachineLost, StaleToken
from vmpool.jobs import JobExit, JobOutput, JobSpec, JobState
from vmpool.ssh import Authority


@pytest.fixture
def guest() -> Iterator[HostedGuest]:
    assert shutil.which("sshd", path="/usr/sbin:/usr/bin"), "install openssh-server"
    with hosted_guest() as running:
        yield running


@pytest.fixture
async def authority(tmp_path: Path) -> Authority:
    return await Authority.load(tmp_path / "ca")


@pytest.fixture
async def channel(guest: HostedGuest, authority: Authority) -> AsyncIterator[Channel]:
    opened = await guest.open(authority)
    yield opened
    await opened.close()


def shell(script: str, job_id: str = "j1", **spec: object) -> JobSpec:
    return JobSpec(id=job_id, argv=["/bin/sh", "-c", script], **spec)  # type: ignore[arg-type]


async def output_of(channel: Channel, job_id: str = "j1", offset: int = 0) -> bytes:
    seen = bytearray()
    async for event in channel.attach(job_id, stdout_offset=offset):
        if isinstance(event, JobOutput) and event.stream == "stdout":
            assert event.offset == offset + len(seen)
            seen += event.data
    return bytes(seen)


async def test_a_job_runs_and_its_output_comes_back(channel: Channel) -> None:
    started = await channel.start_job(shell("echo hello; exit 2"))
    assert started.id == "j1"
    events = [event async for event in channel.attach("j1")]
    assert isinstance(events[0], JobOutput)
    assert events[0].data == b"hello\n"
    assert isinstance(events[-1], JobExit)
    assert events[-1].status.exit_status == 2
    assert [status.state for status in await channel.jobs()] == [JobState.ENDED]


async def test_large_input_and_output_go_through_whole(channel: Channel) -> None:
    data = os.urandom(3_000_000)
    await channel.start_job(shell("cat", input=True))
    reading = asyncio.create_task(output_of(channel))
    assert await channel.send_input("j1", 0, data) == len(data)
    await channel.close_input("j1")
    assert await reading == data


@pytest.mark.parametrize(
    "answer", [{}, {"offset": -1, "open": True}, {"offset": "2"}, {"offset": 0, "open": True}]
)
async def test_a_guest_that_takes_no_input_and_gives_no_reason_is_lost(
    channel: Channel, monkeypatch: pytest.MonkeyPatch, answer: dict[str, object]
) -> None:
    async def nonsense(op: str, payload: bytes = b"", **words: object) -> dict[str, object]:
        return answer

    monkeypatch.setattr(channel, "_request", nonsense)
    with pytest.raises(MachineLost, match="not to be understood"):
        await asyncio.wait_for(channel.send_input("j1", 0, b"data"), 100)


async def test_a_lost_connection_costs_no_byte_and_doubles_none(
    guest: HostedGuest, authority: Authority
) -> None:
    channel = await guest.open(authority)
    await channel.start_job(shell("seq 1 400000"))
    seen = bytearray()
    async for event in channel.attach("j1"):
        assert isinstance(event, JobOutput)
        seen += event.data
        if len(seen) > 500_000:
            break
    assert channel._control is not None
    channel._control.abort()
    async with asyncio.timeout(100):
        await channel.lost.wait()
    with pytest.raises(MachineLost):
        await channel.jobs()
    again = await guest.open(authority)
    seen += await output_of(again, offset=len(seen))
    assert bytes(seen) == b"".join(b"%d\n" % n for n in range(1, 400_001))
    await again.close()


async def test_a_newer_lease_takes_over_and_the_older_one_is_told(
    guest: HostedGuest, authority: Authority, channel: Channel
) -> None:
    await channel.start_job(shell("cat", input=True))
    await channel.close()
    newer = await guest.open(authority, token=2)
    await newer.close()
    with pytest.raises(StaleToken):
        await guest.open(authority, token=1)
    newest = await guest.open(authority, token=2)
    with pytest.raises(StaleToken):
        await newest.raise_token(1)
    await newest.raise_token(5)
    await newest.send_input("j1", 0, b"one job")
    await newest.close_input("j1")
    assert await output_of(newest) == b"one job"
    await newest.close()
    with pytest.raises(StaleToken):
        await guest.open(authority, token=4)


async def test_a_guest_that_was_told_another_generation_is_refused(
    guest: HostedGuest, authority: Authority
) -> None:
    with pytest.raises(MachineLost, match="thawed 0 times"):
        await guest.open(authority, generation=2)
    for generation in (1, 1, 2, 3, 3):
        channel = await guest.open(authority, generation=generation)
        await channel.close()
    for other in (2, 5, 50):
        with pytest.raises(MachineLost, match="thawed 3 times"):
            await guest.open(authority, generation=other)
    channel = await guest.open(authority, generation=4)
    await channel.close()


@pytest.mark.parametrize(
    ("said", "generation", "is_it"),
    [
        (0, 1, True),  # booted
        (49, 50, True),  # resumed
        (50, 50, True),  # connected anew
        (1, 1, True),
        (51, 50, False),
        (48, 50, False),
        (1, 50, False),
        (0, 50, False),  # booted anew behind our back
        (-1, 1, False),
        (2, 1, False),
    ],
)
def test_a_guest_follows_what_it_was_last_told(said: int, generation: int, is_it: bool) -> None:
    assert follows(said, generation) is is_it


async def test_freeze_ends_logins_and_the_machine_can_be_opened_again(
    guest: HostedGuest, authority: Authority
) -> None:
    channel = await guest.open(authority)
    await channel.run(["true"], timeout_seconds=20)
    await channel.start_job(shell("cat", input=True))
    await channel.freeze()
    assert channel.lost.is_set()
    assert not (guest.directory / "run/host_key").exists()
    again = await guest.open(authority, generation=2)
    await again.send_input("j1", 0, b"alive")
    await again.close_input("j1")
    assert await output_of(again) == b"alive"
    await again.close()


async def test_a_machine_with_another_authoritys_host_key_is_not_logged_in_to(
    guest: HostedGuest, authority: Authority, tmp_path: Path
) -> None:
    stranger = await Authority.load(tmp_path / "other")

    class Mixed(Authority):
        """Trusts one authority's hosts and sends the other's identity."""

        def __init__(self) -> None:
            vars(self).update(vars(authority))

        async def known_hosts(self, machine_id: str):  # type: ignore[no-untyped-def]
            return await stranger.known_hosts(machine_id)

    with pytest.raises(MachineLost, match="login failed"):
        await guest.open(Mixed())


@pytest.mark.parametrize("hours", [-1, 1])
async def test_once_the_clock_was_stepped_a_machine_is_certified_anew(
    guest: HostedGuest, channel: Channel, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    kept, real = guest.directory / "run/host_key-cert.pub", time.time
    before = kept.read_text()
    await channel._certify()
    assert kept.read_text() == before
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: real() + hours * 3600)
        await channel._certify()
        stepped = kept.read_text()
        assert stepped != before
        await channel._certify()
        assert kept.read_text() == stepped
    assert await channel.jobs() == []


async def test_the_agents_certificate_does_not_open_the_control_login(
    guest: HostedGuest, authority: Authority, channel: Channel
) -> None:
    """On this host all logins are one user, so only the principal tells them apart."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    other = await authority.sign_login(key, "another-machine", "agent")

    class Elsewhere(Authority):
        def __init__(self) -> None:
            vars(self).update(vars(authority))

        async def login(self, machine_id: str, user: str, *, seconds: int = 300):  # type: ignore[no-untyped-def]
            return [(key, other)]

    await channel.close()
    with pytest.raises(MachineLost, match="login failed"):
        await guest.open(Elsewhere())


async def test_run_passes_words_unchanged_and_reports_the_exit(channel: Channel) -> None:
    words = ["printf", "%s\n", "a b", "$HOME", "it's", "é\n"]
    done = await channel.run(words, timeout_seconds=20)
    assert done.stdout.decode() == "a b\n$HOME\nit's\né\n\n"
    failed = await channel.run(["sh", "-c", "echo no >&2; exit 9"], timeout_seconds=20)
    assert (failed.exit_status, failed.stderr) == (9, b"no\n")
    killed = await channel.run(["sh", "-c", "kill -9 $$"], timeout_seconds=20)
    assert killed.exit_status == 128 + signal.SIGKILL


async def test_run_streams_large_payloads_and_bounds_what_it_keeps(channel: Channel) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b"x" * 100_000

    sink = io.BytesIO()
    done = await channel.run(["cat"], stdin=parts(), stdout=sink, timeout_seconds=30)
    assert (len(sink.getvalue()), done.stdout, done.stdout_bytes) == (5_000_000, b"", 5_000_000)
    kept = await channel.run(["cat"], stdin=b"y" * 9000, output_bytes_max=10, timeout_seconds=20)
    assert (kept.stdout, kept.stdout_bytes) == (b"y" * 10, 9000)


async def test_a_source_or_a_file_that_fails_says_so_itself(channel: Channel) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"some"
        raise ValueError("the source broke")

    with pytest.raises(ValueError, match="the source broke"):
        await channel.run(["cat"], stdin=broken(), timeout_seconds=20)
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(OSError, match="space"):
        await channel.run(["echo", "x"], stdout=full, timeout_seconds=20)
    assert (await channel.run(["true"], timeout_seconds=20)).exit_status == 0


async def test_a_command_that_does_not_read_its_input_still_ends(channel: Channel) -> None:
    done = await channel.run(["true"], stdin=b"z" * 5_000_000, timeout_seconds=20)
    assert done.exit_status == 0


async def test_a_command_over_its_time_is_killed(channel: Channel, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with pytest.raises(TimeoutError, match="longer than 1 s"):
        await channel.run(["sh", "-c", f"echo $$ > {pid_file}; exec sleep 60"], timeout_seconds=1)
    pid = int(pid_file.read_text())
    async with asyncio.timeout(100):
        while Path(f"/proc/{pid}").exists():
            await asyncio.sleep(0.01)


async def test_a_connection_lost_during_a_command_is_not_an_exit(
    guest: HostedGuest, channel: Channel
) -> None:
    async def cut() -> None:
        login = await channel.login()
        login.abort()

    await channel.login()
    running = asyncio.create_task(channel.run(["sleep", "60"], timeout_seconds=30))
    await asyncio.sleep(0)
    await cut()
    with pytest.raises(MachineLost):
        await running


async def test_refusals_leave_the_channel_in_use(channel: Channel) -> None:
    with pytest.raises(JobRefused) as refusal:
        await channel.job("nope")
    assert refusal.value.code == "unknown_job"
    with pytest.raises(JobRefused):
        [event async for event in channel.attach("nope")]
    assert await channel.jobs() == []


async def test_fifty_jobs_at_once_are_all_right(channel: Channel) -> None:
    async def one(number: int) -> bytes:
        await channel.start_job(shell(f"echo {number}", f"j{number}"))
        return await output_of(channel, f"j{number}")

    outputs = await asyncio.gather(*(one(number) for number in range(50)))
    assert outputs == [b"%d\n" % number for number in range(50)]
