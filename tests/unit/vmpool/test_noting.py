"""What is written a little later, and at the end at the latest."""

import asyncio

from vmpool.noting import Notes


async def test_it_is_written_later_once():
    notes, written = Notes(later_seconds=0.01), asyncio.Event()
    count = []

    async def write() -> None:
        count.append(1)
        written.set()

    notes.later(write)
    await asyncio.sleep(0)
    assert not count
    await asyncio.wait_for(written.wait(), 10)
    await notes.close()
    assert count == [1]


async def test_at_the_end_nothing_waits_and_one_that_fails_keeps_no_other_from_being_written():
    notes, written = Notes(later_seconds=3600), []

    async def fail() -> None:
        raise OSError("no disk")

    async def write() -> None:
        written.append("this")

    notes.later(fail)
    notes.later(write)
    await asyncio.wait_for(notes.close(), 10)
    assert written == ["this"]
