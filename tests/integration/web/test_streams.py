"""Live events: nothing lost, nothing doubled, bounded, ended when the process ends."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from bot.web import following
from bot.work.queue import Event
from tests.integration.web.site import running_site


@asynccontextmanager
async def stream(site, short, **headers):
    async with (
        site.client() as client,
        client.stream(
            "GET",
            f"/api/v1/sessions/{short}/events",
            headers={"Accept": "text/event-stream", **headers},
        ) as answer,
    ):
        yield answer


async def numbers(answer, until, *, beat=None):
    """The numbers of the events up to the first one that `until` likes; notes heartbeats."""
    seen = []
    async for line in answer.aiter_lines():
        if beat is not None and line == following.HEARTBEAT.strip():
            beat.set()
        if line.startswith("id: "):
            seen.append(int(line[4:]))
        if line.startswith("data: ") and until(json.loads(line[6:])):
            return seen
    return seen


def is_end(event):
    return event["kind"] == "turn.ended"


async def test_a_reader_gets_what_was_and_what_comes(site):
    short = (await site.ask("!x"))["session"]
    async with stream(site, short) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        reading = asyncio.create_task(numbers(answer, is_end))
        work = await site.begin()
        for number in range(50):
            await work.output(f"{number}\n")
        await work.end()
        seen = await asyncio.wait_for(reading, 100)
    assert seen == list(range(1, seen[-1] + 1))


async def test_readers_that_keep_reconnecting_miss_and_double_nothing(site):
    short = (await site.ask("!x"))["session"]
    work = await site.begin()
    total = 400

    async def write():
        for begin in range(0, total, 8):
            batch = [
                Event(kind="output", body={"stream": "stdout", "text": f"{begin + i}\n"})
                for i in range(8)
            ]
            await work.emit_all(batch)
        await work.end()

    async def read(every):
        """Reconnects after each `every` events, as a browser does: with the last id."""
        seen, texts, last, ended = [], [], 0, False
        while not ended:
            async with stream(site, short, **{"Last-Event-ID": str(last)}) as answer:
                fresh = 0
                async for line in answer.aiter_lines():
                    if not line.startswith("data: "):
                        continue
                    event = json.loads(line[6:])
                    seen.append(event["number"])
                    last = event["number"]
                    if event["kind"] == "output":
                        texts.append(int(event["body"]["text"]))
                    ended = is_end(event)
                    fresh += 1
                    if ended or fresh == every:
                        break
        return seen, texts

    writing = asyncio.create_task(write())
    async with asyncio.timeout(100):
        results = await asyncio.gather(read(7), read(33), read(1000))
    await writing
    for seen, texts in results:
        assert seen == list(range(1, len(seen) + 1))
        assert texts == list(range(total))


async def test_a_stream_beats_while_nothing_happens(site, monkeypatch):
    monkeypatch.setattr(following, "POLL_SECONDS", 0.05)
    short = (await site.ask("!x"))["session"]
    async with stream(site, short) as answer, asyncio.timeout(100):
        async for line in answer.aiter_lines():
            if line == following.HEARTBEAT.strip():
                return
    pytest.fail("the stream ended without a heartbeat")


async def test_a_lost_hint_is_made_up_for_by_the_poll(site, monkeypatch):
    monkeypatch.setattr(following, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(site.services.listener, "on", lambda channel, hear: lambda: None)
    short = (await site.ask("!x"))["session"]
    async with stream(site, short) as answer:
        reading = asyncio.create_task(numbers(answer, is_end))
        work = await site.begin()
        await work.end()
        assert await asyncio.wait_for(reading, 100)


async def test_there_are_only_so_many_streams_at_once(database_url, tmp_path):
    async with running_site(database_url, tmp_path, streams_max=1) as site:
        short = (await site.ask("!x"))["session"]
        async with stream(site, short) as first:
            lines = first.aiter_lines()
            await anext(lines)
            async with stream(site, short) as second:
                assert second.status_code == 503
                assert second.headers["retry-after"]
                assert "live streams" in (await second.aread()).decode()
        async with asyncio.timeout(100):
            while True:
                async with stream(site, short) as third:
                    if third.status_code == 200:
                        return


async def test_streams_end_when_the_process_is_about_to(site):
    short = (await site.ask("!x"))["session"]
    async with stream(site, short) as answer:
        lines = answer.aiter_lines()
        await anext(lines)
        site.services.stopping.set()
        async with asyncio.timeout(100):
            async for _ in lines:
                pass


async def test_an_unknown_session_is_no_stream(site):
    async with stream(site, "s-nope") as answer:
        assert answer.status_code == 404
        assert "no session s-nope" in (await answer.aread()).decode()


async def test_a_stream_outlives_a_database_that_goes_away(site, postgres):
    short = (await site.ask("!x"))["session"]
    async with stream(site, short) as answer:
        beat = asyncio.Event()
        reading = asyncio.create_task(numbers(answer, is_end, beat=beat))
        with site.cut_off(postgres):
            beat.clear()
            await asyncio.wait_for(beat.wait(), 100)
        await (await site.begin()).end()
        seen = await asyncio.wait_for(reading, 100)
    assert seen == list(range(seen[0], seen[-1] + 1))
