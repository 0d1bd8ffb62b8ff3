"""The channel into a real machine: handshake, logins, commands, rest and resume."""

import asyncio
import io
import os
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest

from tests.integration.vm.conftest import Vm
from vmpool.channel import Channel
from vmpool.errors import MachineLost, StaleToken
from vmpool.handshake import greet

pytestmark = [
    pytest.mark.vm,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(600),  # the first test of all may have to build the image
]


async def said(channel: Channel, *argv: str, user: str = "agent") -> str:
    done = await channel.run(list(argv), timeout_seconds=60, user=user)
    assert done.exit_status == 0, done
    return done.stdout.decode().strip()


async def clock_is_right(channel: Channel) -> bool:
    """Within a second, the round trip left out."""
    before = time.time()
    there = float(await said(channel, "date", "+%s.%N"))
    return before - 1.0 < there < time.time() + 1.0


async def test_a_booted_machine_has_the_hosts_time_and_its_own_name(vm: Vm) -> None:
    channel = await vm.channel()
    assert await clock_is_right(channel)
    assert await said(channel, "hostname") == vm.machine_id
    assert await said(channel, "cat", "/etc/machine-id") == vm.machine_id.replace("-", "")


async def test_logins_are_the_users_they_say(vm: Vm) -> None:
    channel = await vm.channel()
    assert await said(channel, "id", "-un") == "agent"
    assert await said(channel, "id", "-un", user="root") == "root"


async def test_the_agent_cannot_reach_the_job_server_or_the_host_key(vm: Vm) -> None:
    channel = await vm.channel()
    for path in ("/run/ona/guest.sock", "/run/ona/ssh.sock", "/run/ona/host_key"):
        done = await channel.run(["test", "-r", path, "-o", "-w", path], timeout_seconds=30)
        assert done.exit_status == 1
    login = await channel.login("agent")
    with pytest.raises(asyncssh.ChannelOpenError):
        await login.open_unix_connection("/run/ona/guest.sock")


async def test_the_control_login_runs_no_command(vm: Vm) -> None:
    channel = await vm.channel()
    assert channel._control is not None
    done = await channel._control.run("id")
    assert done.exit_status != 0
    assert "uid=" not in str(done.stdout)


async def test_a_certificate_of_another_machine_or_user_is_refused(vm: Vm) -> None:
    channel = await vm.channel()
    key = asyncssh.generate_private_key("ssh-ed25519")
    for machine_id, signed_for in ((vm.machine_id, "agent"), ("another", "root")):
        certificate = await vm.authority.sign_login(key, machine_id, signed_for)
        with pytest.raises(asyncssh.PermissionDenied):
            await asyncssh.connect(
                host="machine",
                username="root",
                client_keys=[(key, certificate)],
                known_hosts=None,
                config=None,
                agent_path=None,
                tunnel=_Through(channel),
            )


class _Through:
    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def create_connection(self, factory, _host, _port):  # type: ignore[no-untyped-def]
        return await self._channel.nest(factory, "/run/ona/ssh.sock")


async def test_files_go_in_and_out_over_sftp(vm: Vm) -> None:
    channel = await vm.channel()
    data = os.urandom(2_000_000)
    login = await channel.login()
    async with login.start_sftp_client() as files:
        async with files.open("/work/data", "wb") as remote:
            await remote.write(data)
        async with files.open("/work/data", "rb") as remote:
            assert await remote.read() == data


async def test_a_terminal_has_a_size_and_a_shell(vm: Vm) -> None:
    login = await (await vm.channel()).login()
    async with login.create_process(term_type="xterm", term_size=(101, 37)) as process:
        process.stdin.write("stty size; exit 6\n")
        output = await process.stdout.read()
        await process.wait()
    assert "37 101" in output
    assert process.exit_status == 6


async def test_what_the_agent_puts_into_its_home_does_not_run_in_our_logins(vm: Vm) -> None:
    channel = await vm.channel()
    files = [
        ".bashrc",
        ".profile",
        ".bash_profile",
        ".ssh/rc",
        ".ssh/environment",
        ".pam_environment",
    ]
    traps = "; ".join(f"echo 'sleep 1000' > {name}" for name in files)
    undo = "; ".join(f"rm {name}" for name in files)
    await channel.run(["sh", "-c", f"mkdir -p .ssh; {traps}"], timeout_seconds=60)
    try:
        await channel.close()
        again = await vm.channel()
        done = await again.run(["echo", "here"], timeout_seconds=60)
        assert done.stdout == b"here\n"
    finally:
        again = await vm.channel()
        await again.run(["sh", "-c", undo], timeout_seconds=60)


async def test_a_port_in_the_machine_can_be_reached(vm: Vm) -> None:
    channel = await vm.channel()
    login = await channel.login()
    script = (
        "import socket; s = socket.create_server(('127.0.0.1', 8765)); print('up', flush=True); "
        "c, _ = s.accept(); c.sendall(b'from inside')"
    )
    async with login.create_process(f'python3 -c "{script}"') as process:
        await process.stdout.readline()
        reader, writer = await login.open_connection("127.0.0.1", 8765)
        assert await reader.read() == b"from inside"
        writer.close()


async def test_large_payloads_stream_both_ways(vm: Vm) -> None:
    channel = await vm.channel()
    data = os.urandom(10_000_000)

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 1 << 16):
            yield data[start : start + (1 << 16)]

    sink = io.BytesIO()
    await channel.run(["cat"], stdin=parts(), stdout=sink, timeout_seconds=90)
    assert sink.getvalue() == data


async def test_a_connection_cut_under_load_can_be_made_again(vm: Vm) -> None:
    for _ in range(3):
        channel = await vm.channel()
        busy = asyncio.create_task(
            channel.run(["head", "-c", "500000000", "/dev/zero"], timeout_seconds=60)
        )
        await channel.login()
        async with asyncio.timeout(100):
            while await loaded(vm) == 0:
                await asyncio.sleep(0.02)
        await vm.cut()
        with pytest.raises(MachineLost):
            await busy
        assert await said(await vm.channel(), "echo", "again") == "again"


async def loaded(vm: Vm) -> int:
    """How many of our `head` commands run."""
    done = await (await vm.channel()).run(
        ["pgrep", "-c", "-x", "head"], timeout_seconds=30, user="root"
    )
    return int(done.stdout)


async def test_a_lower_token_is_refused_and_a_higher_one_takes_over(vm: Vm) -> None:
    channel = await vm.channel()
    await channel.close()
    vm.token = 10
    await (await vm.channel()).jobs()
    await (await vm.channel()).close()
    with pytest.raises(StaleToken):
        await vm.open(token=9)
    assert await said(await vm.channel(), "echo", "mine") == "mine"


async def test_a_generation_that_goes_back_is_refused(vm: Vm) -> None:
    await (await vm.channel()).close()
    with pytest.raises(MachineLost, match="thawed"):
        await vm.open(generation=vm.generation - 1)


async def test_a_guest_that_was_not_thawed_gives_no_ssh(vm: Vm) -> None:
    await (await vm.channel()).close()
    words = await greet(
        lambda: vm.driver.open_channel(vm.machine_id),
        machine_id=vm.machine_id,
        token=vm.token,
        deadline_seconds=20,
    )
    with pytest.raises(MachineLost, match="thaw comes before"):
        await words.ssh()
    words.close()


async def test_rest_and_resume_keep_boot_and_correct_the_clock(vm: Vm) -> None:
    channel = await vm.channel()
    boot = channel.boot
    await said(channel, "sh", "-c", "echo kept > /dev/shm/in-memory")
    await vm.rest()
    # The clock can only be seen to be corrected when time passes while the machine rests.
    await asyncio.sleep(3.0)
    channel = await vm.wake()
    assert await clock_is_right(channel)
    assert channel.boot == boot
    assert await said(channel, "cat", "/dev/shm/in-memory") == "kept"


@pytest.mark.parametrize("hours", [-1, 1])
async def test_people_get_in_though_the_clock_of_the_host_was_stepped(
    vm: Vm, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    channel, real = await vm.channel(), time.time
    await said(channel, "true")
    for login in list(channel._logins.values()):
        login.abort()
        await login.wait_closed()
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: real() + hours * 3600)
        assert await clock_is_right(channel)
    await channel.close()
    assert await clock_is_right(await vm.channel())


async def test_no_host_key_lies_in_a_resting_machine(vm: Vm) -> None:
    channel = await vm.channel()
    before = await said(channel, "cat", "/run/ona/host_key-cert.pub")
    await channel.freeze()
    channel = await vm.channel()
    after = await said(channel, "cat", "/run/ona/host_key-cert.pub")
    assert before != after


async def test_one_rest_resumed_twice_draws_different_random_bytes(
    vm: Vm, vm_directory: Path, tmp_path: Path
) -> None:
    """Two lives of the same memory must not continue the same stream of random numbers."""
    home = vm_directory / vm.machine_id
    await vm.rest()
    no_sockets = shutil.ignore_patterns("*.sock")
    await asyncio.to_thread(shutil.copytree, home, tmp_path / "rest", ignore=no_sockets)
    first = await random_bytes(await vm.wake())
    await vm.kill()
    await asyncio.to_thread(shutil.rmtree, home)
    await asyncio.to_thread(shutil.copytree, tmp_path / "rest", home)
    vm.generation -= 1  # its memory is the one from before the first of the two
    second = await random_bytes(await vm.wake())
    assert first != second


async def random_bytes(channel: Channel) -> str:
    script = "import os; print(os.getrandom(32).hex())"
    return await said(channel, "python3", "-c", script)
