"""A real guest whose disk its agent filled: it rests and wakes with all that it had."""

import pytest

from tests.integration.vm.conftest import Vm
from vmpool.channel import Channel
from vmpool.jobs import JobExit, JobOutput, JobSpec

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900), pytest.mark.asyncio(loop_scope="module")]
SECONDS = 120
BEGIN = "sleep 1000 < /dev/null > /dev/null 2>&1 & echo $! > /dev/shm/pid"
FILL = """
cd && fallocate -l "$(df --output=avail -B1 . | tail -n 1)" large || true
while dd if=/dev/zero of=last bs=4096 count=1000 oflag=append conv=notrunc 2>/dev/null; do :; done
while mkdir "d$((n += 1))" 2>/dev/null; do :; done
df --output=avail -B1 . | tail -n 1
"""


async def test_a_machine_whose_disk_is_full_keeps_its_memory(vm: Vm) -> None:
    channel = await vm.channel()
    boot = channel.boot
    await channel.run(["sh", "-c", BEGIN], timeout_seconds=SECONDS)
    filled = await channel.run(["sh", "-c", FILL], timeout_seconds=SECONDS)
    assert int(filled.stdout) < 1 << 20
    for _ in range(2):
        await vm.rest()
        channel = await vm.wake()
        assert channel.boot == boot
        alive = await channel.run(
            ["sh", "-c", "kill -0 $(cat /dev/shm/pid)"], timeout_seconds=SECONDS
        )
        assert alive.exit_status == 0
    await frees(channel)


async def frees(channel: Channel) -> None:
    """Whoever asks for it in a message has room made: that is a job, whose output is kept."""
    argv = ["sh", "-c", "cd && rm -rf large last d* && echo done"]
    await channel.start_job(JobSpec(id="frees", argv=argv))
    said, status = b"", None
    async for event in channel.attach("frees"):
        if isinstance(event, JobOutput):
            said += event.data
        elif isinstance(event, JobExit):
            status = event.status.exit_status
    assert (said, status) == (b"done\n", 0)
