import asyncio
import gc

from adapters.chat.locks import Locks


async def test_a_channel_s_messages_wait_for_each_other_and_its_lock_is_forgotten_after():
    locks, heard = Locks(), []
    first, go_on = asyncio.Event(), asyncio.Event()

    async def hear(text: str, *, waits: bool = False) -> None:
        async with locks.of("C1"):
            if waits:
                first.set()
                await go_on.wait()
            heard.append(text)

    async with asyncio.TaskGroup() as group:
        group.create_task(hear("one", waits=True))
        await first.wait()
        group.create_task(hear("two"))
        gc.collect()
        assert locks.of("C1").locked()
        assert not locks.of("C2").locked()
        go_on.set()
    gc.collect()
    assert heard == ["one", "two"]
    assert len(locks) == 0
