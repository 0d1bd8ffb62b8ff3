"""Jobs in a real machine: cgroups, limits, lost connections, hibernation."""

import asyncio
import time
import uuid
from itertools import pairwise
from typing import Any

import pytest

from tests.integration.vm.conftest import Vm
from vmpool.channel import Channel
from vmpool.jobs import (
    JobExit,
    JobLimits,
    JobOutput,
    JobQuestion,
    JobSpec,
    JobState,
    JobStatus,
)

pytestmark = [
    pytest.mark.vm,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(600),  # the first test of all may have to build the image
]


STANDS_SECONDS = 4.0
"""Much longer than a step of a job takes."""


def new_id() -> str:
    return str(uuid.uuid4())


async def start(channel: Channel, script: str, **spec: Any) -> str:
    job_id = spec.pop("id", None) or new_id()
    await channel.start_job(JobSpec(id=job_id, argv=["/bin/sh", "-c", script], **spec))
    return job_id


async def follow(channel: Channel, job_id: str, offset: int = 0) -> tuple[bytes, JobStatus]:
    """Standard output from the offset on, checked to be without gaps."""
    seen = bytearray()
    async for event in channel.attach(job_id, stdout_offset=offset):
        match event:
            case JobOutput(stream="stdout"):
                assert event.offset == offset + len(seen)
                seen += event.data
            case JobExit():
                return bytes(seen), event.status
            case _:
                pass
    raise AssertionError("no exit")


async def some_of(channel: Channel, job_id: str, bytes_min: int) -> bytes:
    """The first output of a job that goes on."""
    seen = bytearray()
    async for event in channel.attach(job_id):
        assert isinstance(event, JobOutput)
        seen += event.data
        if len(seen) >= bytes_min:
            break
    return bytes(seen)


def numbers(last: int) -> bytes:
    return b"".join(b"%d\n" % number for number in range(1, last + 1))


async def test_a_job_runs_as_the_agent_in_a_cgroup_of_its_own(vm: Vm) -> None:
    channel = await vm.channel()
    job_id = await start(channel, "id -un; pwd; cat /proc/self/cgroup", cwd="/work")
    out, status = await follow(channel, job_id)
    assert out.decode().split() == ["agent", "/work", f"0::/ona/{job_id}"]
    assert status.exit_status == 0


async def test_a_start_that_is_repeated_runs_once(vm: Vm) -> None:
    channel = await vm.channel()
    job_id = await start(channel, "echo once >> /tmp/starts; sleep 0.3")
    await start(channel, "echo twice >> /tmp/starts", id=job_id)
    await follow(channel, job_id)
    await start(channel, "echo thrice >> /tmp/starts", id=job_id)
    done = await channel.run(["cat", "/tmp/starts"], timeout_seconds=30)
    assert done.stdout == b"once\n"


async def test_a_connection_lost_amid_output_costs_no_byte_and_doubles_none(vm: Vm) -> None:
    channel = await vm.channel()
    job_id = await start(channel, "seq 1 300000")
    seen = await some_of(channel, job_id, 200_000)
    await vm.cut()
    channel = await vm.channel()
    rest, status = await follow(channel, job_id, len(seen))
    assert seen + rest == numbers(300_000)
    assert status.exit_status == 0


async def test_input_is_accepted_once_over_a_lost_connection(vm: Vm) -> None:
    channel = await vm.channel()
    job_id = await start(channel, "cat", input=True)
    assert await channel.send_input(job_id, 0, b"first ") == 6
    await vm.cut()
    channel = await vm.channel()
    assert await channel.send_input(job_id, 0, b"first second") == 12
    await channel.close_input(job_id)
    out, _ = await follow(channel, job_id)
    assert out == b"first second"


async def test_a_job_that_ignores_term_is_gone_within_two_seconds(vm: Vm) -> None:
    channel = await vm.channel()
    script = "trap '' TERM INT HUP; setsid sh -c 'trap \"\" TERM; echo up; sleep 99' & sleep 99"
    job_id = await start(channel, f"{script}; sleep 99")
    await some_of(channel, job_id, 3)
    began = time.monotonic()
    status = await channel.stop_job(job_id, 1.0)
    assert time.monotonic() - began < 2.0
    assert (status.state, status.stopped, status.processes) == (JobState.ENDED, True, 0)


async def test_what_a_job_leaves_in_another_session_lives_on_until_stopped(vm: Vm) -> None:
    channel = await vm.channel()
    script = "setsid nohup sh -c 'while :; do date +%N > /tmp/beat; sleep 0.1; done' >/dev/null &"
    job_id = await start(channel, script)
    _, ended = await follow(channel, job_id)
    assert ended.exit_status == 0
    assert await beats(channel)
    assert (await channel.job(job_id)).processes > 0
    assert (await channel.stop_job(job_id, 0.5)).processes == 0
    assert not await beats(channel)


async def beats(channel: Channel) -> bool:
    script = "a=$(cat /tmp/beat); for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; "
    script += '[ "$(cat /tmp/beat)" != "$a" ] && exit 0; done; exit 1'
    done = await channel.run(["sh", "-c", script], timeout_seconds=30)
    return done.exit_status == 0


async def test_a_hundred_megabytes_are_bounded_and_the_rest_is_counted(vm: Vm) -> None:
    channel = await vm.channel()
    limits = JobLimits(spool_bytes_max=1_000_000)
    job_id = await start(channel, "head -c 100000000 /dev/zero", limits=limits)
    out, status = await follow(channel, job_id)
    assert len(out) == 1_000_000
    assert status.stdout_bytes + status.stdout_dropped == 100_000_000


async def test_binary_output_is_untouched(vm: Vm) -> None:
    channel = await vm.channel()
    script = "python3 -c 'import sys; sys.stdout.buffer.write(bytes(range(256)) * 1000)'"
    out, _ = await follow(channel, await start(channel, script))
    assert out == bytes(range(256)) * 1000


async def test_a_fork_bomb_is_held_by_its_limit_and_the_machine_answers(vm: Vm) -> None:
    channel = await vm.channel()
    script = "for i in $(seq 1 60); do sleep 20 & done; echo started; wait"
    job_id = await start(channel, script, limits=JobLimits(pids_max=10), merge_stderr=True)
    out = await some_of(channel, job_id, len("/bin/sh: 0: Cannot fork"))
    assert b"fork" in out
    assert (await channel.job(job_id)).processes <= 10
    await channel.stop_job(job_id, 0)


async def test_a_job_over_its_memory_is_killed_and_says_so(vm: Vm) -> None:
    channel = await vm.channel()
    limits = JobLimits(memory_bytes_max=50_000_000)
    job_id = await start(channel, "python3 -c 'x = bytearray(200_000_000)'", limits=limits)
    _, status = await follow(channel, job_id)
    assert status.out_of_memory
    assert status.exit_status != 0


async def test_a_job_that_takes_all_memory_does_not_take_the_machine(vm: Vm) -> None:
    channel = await vm.channel()
    job_id = await start(channel, "python3 -c 'x = bytearray(2_000_000_000)'")
    _, status = await follow(channel, job_id)
    assert status.exit_status != 0
    assert [job.id for job in await channel.jobs()][-1] == job_id


async def test_a_running_job_goes_on_after_hibernation_without_a_gap(vm: Vm) -> None:
    channel = await vm.channel()
    script = "i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo $i; sleep 0.05; done"
    job_id = await start(channel, script)
    seen = await some_of(channel, job_id, 20)
    await vm.rest()
    assert (await vm.driver.look(vm.machine_id)).pid is None
    channel = await vm.wake()
    assert (await channel.job(job_id)).state is JobState.RUNNING
    rest, status = await follow(channel, job_id, len(seen))
    assert seen + rest == numbers(60)
    assert status.exit_status == 0


async def test_jobs_stand_still_until_the_machine_is_its_own_though_it_never_rested(
    vm: Vm,
) -> None:
    channel = await vm.channel()
    job_id = await start(channel, "while :; do cut -d' ' -f1 /proc/uptime; sleep 0.02; done")
    await some_of(channel, job_id, 20)
    await channel.freeze()
    await asyncio.sleep(STANDS_SECONDS)
    channel = await vm.channel()
    length = (await channel.job(job_id)).stdout_bytes
    # It goes on, and did not meanwhile.
    await some_of(channel, job_id, length + 20)
    await channel.stop_job(job_id, grace_seconds=0)
    out, _ = await follow(channel, job_id)
    moments = [float(moment) for moment in out.splitlines()[:-1]]
    assert max(later - one for one, later in pairwise(moments)) > STANDS_SECONDS / 2


async def test_a_question_survives_hibernation_and_is_answered(vm: Vm) -> None:
    channel = await vm.channel()
    job_id = await start(channel, 'answer=$(ona-ask "Deploy?" yes no); echo "got $answer"')
    asked = await question(channel, job_id)
    assert (asked.text, tuple(asked.choices)) == ("Deploy?", ("yes", "no"))
    await vm.rest()
    channel = await vm.wake()
    assert await question(channel, job_id) == asked
    await channel.answer(job_id, asked.question_id, "yes")
    await channel.answer(job_id, asked.question_id, "no")
    out, _ = await follow(channel, job_id)
    assert out == b"got yes\n"


async def question(channel: Channel, job_id: str) -> JobQuestion:
    async for event in channel.attach(job_id):
        if isinstance(event, JobQuestion):
            return event
    raise AssertionError("no question")


async def test_thirty_jobs_at_once_are_all_right(vm: Vm) -> None:
    channel = await vm.channel()

    async def one(number: int) -> bytes:
        out, _ = await follow(channel, await start(channel, f"sleep 0.5; echo {number}"))
        return out

    outputs = await asyncio.gather(*(one(number) for number in range(30)))
    assert outputs == [b"%d\n" % number for number in range(30)]
