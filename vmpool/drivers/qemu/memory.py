"""Moving a stopped machine's memory between QEMU and a file, over QMP."""

import asyncio
from collections.abc import Callable

from vmpool.drivers.hypervisor import MoveFailed
from vmpool.drivers.qemu.qmp import Message, Qmp, QmpClosed, QmpError

BANDWIDTH_BYTES_PER_SECOND = 1 << 40
"""As good as no limit; QEMU's default would make every save take a second and more."""
POLL_SECONDS = 0.005
_UNDER_WAY = frozenset({"setup", "active", "device", "cancelling", "pre-switchover"})


async def prepare(qmp: Qmp) -> None:
    """Set once what `save` and `load` rely on; not while memory is being moved."""
    events = [{"capability": "events", "state": True}]
    await qmp.execute("migrate-set-capabilities", {"capabilities": events})
    await qmp.execute("migrate-set-parameters", {"max-bandwidth": BANDWIDTH_BYTES_PER_SECOND})


async def save(qmp: Qmp, fd: int, *, seconds_max: float) -> None:
    """Write the memory and device state of a stopped machine to an open file.

    :raises MoveFailed: QEMU's own sentence why
    :raises TimeoutError: it takes longer than allowed; the caller cancels
    :raises QmpClosed: QEMU ended
    """
    async with asyncio.timeout(seconds_max):
        with qmp.subscribed("MIGRATION") as events:
            await qmp.execute("getfd", {"fdname": "memory"}, fds=[fd])
            await qmp.execute("migrate", {"uri": "fd:memory"})
            await _finished(qmp, events)


async def cancel(qmp: Qmp) -> None:
    """End a save that may be under way, finished or never begun; returns when none is."""
    await qmp.execute("migrate_cancel")
    await _until(qmp, "query-migrate", lambda status: status not in _UNDER_WAY)


async def load(qmp: Qmp, fd: int, *, seconds_max: float) -> None:
    """Read memory and device state into a process started for that; it stands still afterwards.

    :raises MoveFailed: QEMU's own sentence why
    :raises TimeoutError: it takes longer than allowed
    :raises QmpClosed: QEMU ended, which it does when it can't make sense of what it reads
    """
    async with asyncio.timeout(seconds_max):
        with qmp.subscribed("MIGRATION") as events:
            await qmp.execute("getfd", {"fdname": "memory"}, fds=[fd])
            await qmp.execute("migrate-incoming", {"uri": "fd:memory"}, seconds_max=seconds_max)
            await _finished(qmp, events)


async def is_running(qmp: Qmp) -> bool:
    """Whether the virtual CPUs run."""
    return bool((await qmp.execute("query-status"))["running"])


async def _finished(qmp: Qmp, events: asyncio.Queue[Message | None]) -> None:
    while True:
        event = await events.get()
        if event is None:
            raise QmpClosed("QEMU ended while moving memory")
        status = event["data"]["status"]
        if status == "completed":
            return
        if status in ("failed", "cancelled"):
            raise MoveFailed(await _failure(qmp))


async def _failure(qmp: Qmp) -> str:
    try:
        found = await qmp.execute("query-migrate")
    except QmpError as error:
        return error.description
    return str(found.get("error-desc") or found.get("status"))


async def _until(qmp: Qmp, command: str, done: Callable[[str], bool]) -> None:
    while True:
        found = await qmp.execute(command)
        if done(found.get("status", "none")):
            return
        await asyncio.sleep(POLL_SECONDS)
