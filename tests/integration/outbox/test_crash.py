"""Invariant 1, the second half: a reply is posted once, whatever becomes of its sender."""

import asyncio
import os
import random
import signal

import pytest

from tests.fakes.chat import Bad, ChatServer
from tests.integration.outbox.rig import SenderFactory, Senders

LEASE_SECONDS = 2.0
SEND_SECONDS = 1.0
KILLS = int(os.environ.get("ONA_TEST_OUTBOX_KILLS", "15"))
THREADS = 10 + KILLS // 4


@pytest.fixture(scope="module")
def factory():
    factory = SenderFactory()
    yield factory
    factory.close()


@pytest.fixture
def senders(factory, database_url, server):
    senders = Senders(factory, database_url, server.url, str(LEASE_SECONDS), str(SEND_SECONDS))
    yield senders
    senders.close()


def methods(server: ChatServer) -> list[str]:
    """What was asked of the surface; looking again after a slow answer changes nothing."""
    asked = [method for method, _ in server.requests]
    return [one for one, before in zip(asked, [None, *asked], strict=False) if one != before]


def assert_posted_once(server: ChatServer, rows, place: str) -> None:
    here = [post for post in server.posts if post.place == place]
    assert [post.mark for post in here] == [str(row.id) for row in rows]
    assert [post.ref for post in here] == [row.posted_ref for row in rows]
    assert [post.text for post in here] == [row.body for row in rows]
    assert {row.state for row in rows} == {"sent"}


async def test_answered_once_senders_killed_at_random_points_post_each_reply_once(
    office, server, senders
):
    seed = int(os.environ.get("ONA_TEST_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"seed {seed}: set ONA_TEST_SEED to repeat")
    chance = random.Random(seed)
    places = [f"acct/t{n}" for n in range(THREADS)]
    said = 0

    async def say() -> None:
        nonlocal said
        said += 1
        for place in places:
            await office.reply(f"{place} says {said}", place=place)

    await say()
    died = asyncio.Event()
    pid = await senders.start()
    kills = 0

    def kill() -> None:
        nonlocal kills
        # A point that was passed late must not end the last one, which nobody replaces.
        if not died.is_set() and kills < KILLS:
            kills += 1
            senders.signal(pid, signal.SIGKILL)
            died.set()

    points = ("received", "stored", "answered", "time", "time")
    while kills < KILLS:
        if await office.count("state <> 'sent'") < THREADS:
            await say()
        point = chance.choice(points)
        if point == "time":
            asyncio.get_running_loop().call_later(chance.uniform(0, 0.25), kill)
        else:
            calm = [Bad() for _ in range(chance.randrange(3))]
            server.behave("post", *calm, Bad(**{point: kill}))
        try:
            async with asyncio.timeout(LEASE_SECONDS * 2):
                await died.wait()
        except TimeoutError:
            continue
        died.clear()
        pid = await senders.start()
    server.bad.clear()
    await office.until("state = 'sent'", THREADS * said)
    print(f"{kills} kills, {len(server.requests)} requests")
    for place in places:
        assert_posted_once(server, await office.replies(place), place)


async def test_fenced_a_sender_stopped_before_its_post_posts_nothing_when_it_wakes(
    office, server, senders
):
    key = await office.reply("hello")
    first = await senders.start("stops")
    await senders.until_stopped(first)
    assert (await office.row(key)).state == "sending"
    second = await senders.start()
    await office.until("state = 'sent'", 1)
    assert methods(server) == ["history", "post"]
    senders.signal(second, signal.SIGKILL)
    senders.signal(first, signal.SIGCONT)
    # It works on after its loss: what is due next is sent by it, so its late post had its chance.
    await office.reply("again")
    await office.until("state = 'sent'", 2)
    assert_posted_once(server, await office.replies(), "acct/t")


async def test_fenced_a_post_whose_sender_was_stopped_is_waited_out_found_and_not_doubled(
    office, server, senders
):
    key = await office.reply("hello")
    first = await senders.start()
    server.behave("post", Bad(stored=lambda: senders.signal(first, signal.SIGSTOP)))
    await server.until(lambda: len(server.posts) == 1)
    held = await office.row(key)
    assert held.state == "sending"
    second = await senders.start()
    await office.until("state = 'sent'", 1)
    found = await office.row(key)
    assert found.posted_ref == server.posts[0].ref
    assert methods(server) == ["post", "history"]
    senders.signal(second, signal.SIGKILL)
    senders.signal(first, signal.SIGCONT)
    await office.reply("again")
    await office.until("state = 'sent'", 2)
    assert_posted_once(server, await office.replies(), "acct/t")


async def test_the_successor_looks_only_after_the_deadline_of_the_sender_that_died(
    office, server, senders
):
    await office.reply("hello")
    first = await senders.start()
    server.behave("post", Bad(received=lambda: senders.signal(first, signal.SIGKILL)))
    loop = asyncio.get_running_loop()
    await server.until(lambda: len(server.posts) == 1)
    posted = loop.time()
    await senders.start()
    await office.until("state = 'sent'", 1)
    assert loop.time() - posted > LEASE_SECONDS - SEND_SECONDS
    assert methods(server) == ["post", "history"]
    assert len(server.posts) == 1
