"""The contract of a chat port, held against the fake surface and the pull surfaces."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest

from adapters.chat.port import (
    AfterUncertain,
    ChatPort,
    Content,
    Deadline,
    Gone,
    Rejected,
    Throttled,
    Unavailable,
    Uncertain,
)
from adapters.chat.terminal import TerminalChat
from bot.conversation.fences import TEXT_LENGTH_MIN
from tests.fakes.chat import Bad, ChatServer, FakeChat, shown

HOSTILE = (
    "plain words",
    "```\n@everyone out of the block\n```",
    "*bold* _thin_ `code` ~~gone~~",
    "<@U123> <!channel> @here @ann",
    "&lt;b&gt; & &amp; <script>alert(1)</script>",
    "\\@ann \\\\@ann \\`x\\`",
    "[a](http://x) ![i](http://y) # head\n> quote\n- item",
    "````\n```\n````",
    "many lines\n\n\n  indented\n",
    "ünïcödé 🦔 \u202e",
)
PLACE = "acct/thread"


class Rig:
    """A port, and the eyes of the people in its threads where there are any."""

    def __init__(self, port: ChatPort, server: ChatServer | None) -> None:
        self.port = port
        self.server = server
        self.mark = str(uuid.uuid4())

    async def post(self, text: str = "hello", *, mark: str | None = None, place: str = PLACE):
        return await self.port.post(
            place, Content(text=text), mark or self.mark, Deadline.after(10)
        )

    async def find(self, mark: str):
        return await self.port.find(PLACE, mark, Deadline.after(10))

    def seen(self) -> list[str] | None:
        return None if self.server is None else self.server.texts(PLACE)


@pytest.fixture
async def pushed() -> AsyncIterator[Rig]:
    """A surface behind a network."""
    async with ChatServer() as server:
        port = FakeChat(server.url)
        yield Rig(port, server)
        await port.close()


@pytest.fixture(params=["fake", "terminal"])
async def rig(request, pushed) -> Rig:
    return pushed if request.param == "fake" else Rig(TerminalChat(), None)


async def test_a_post_has_a_ref_and_is_shown(rig):
    ref = await rig.post()
    assert isinstance(ref, str)
    assert ref
    assert rig.seen() in (None, ["hello"])


async def test_two_replies_have_two_refs(rig):
    first = await rig.post(mark=str(uuid.uuid4()))
    second = await rig.post(mark=str(uuid.uuid4()))
    assert first != second


async def test_a_post_can_be_told_from_none_by_its_mark(rig):
    match rig.port.limits.after_uncertain:
        case AfterUncertain.LOOK_UP:
            assert await rig.find(rig.mark) is None
            ref = await rig.post()
            assert await rig.find(rig.mark) == ref
            assert await rig.find(str(uuid.uuid4())) is None
        case AfterUncertain.POST_AGAIN:
            assert await rig.post() == await rig.post()
        case AfterUncertain.GIVE_UP:
            pass


async def test_an_edit_replaces_the_text_and_can_be_repeated(rig):
    ref = await rig.post("one")
    for _ in range(2):
        await rig.port.edit(PLACE, ref, Content(text="two"), Deadline.after(10))
    assert rig.seen() in (None, ["two"])


@pytest.mark.parametrize("text", HOSTILE)
async def test_what_is_escaped_shows_as_it_is(rig, text):
    prose = rig.port.escape(text, code=False)
    code = rig.port.escape(text, code=True)
    for escaped in (prose, code):
        assert len(text) / 2 <= len(escaped) <= 10 * len(text)
        assert escaped.count("\n") == text.count("\n")
    if rig.server is not None:
        await rig.post(prose)
        assert rig.seen() == [text]
        assert shown(prose).mentions == shown(prose).bold == shown(prose).blocks == ()
        in_block = shown(f"```\n{code}\n```")
        assert in_block.blocks == (text,)
        assert in_block.mentions == in_block.bold == ()


async def test_its_limits_can_be_kept(rig):
    limits = rig.port.limits
    assert limits.text_length_max >= TEXT_LENGTH_MIN
    assert all(rate.burst >= 1 and rate.per_second > 0 for rate in limits.rates.values())
    assert isinstance(rig.port.installation(PLACE), str)
    await rig.post("x" * limits.text_length_max)


async def test_nothing_is_sent_after_the_deadline(pushed):
    with pytest.raises((Unavailable, Uncertain)):
        await pushed.port.post(PLACE, Content(text="late"), pushed.mark, Deadline.after(-0.001))
    assert pushed.server.requests == []


async def test_a_slow_surface_is_left_at_the_deadline(pushed):
    pushed.server.behave("post", Bad(wait=asyncio.Event()))
    with pytest.raises(Uncertain):
        await pushed.port.post(PLACE, Content(text="slow"), pushed.mark, Deadline.after(0.05))


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (Bad(throttle_seconds=7), Throttled),
        (Bad(error=True), Uncertain),
        (Bad(drop=True), Uncertain),
        (Bad(drop_answer=True), Uncertain),
    ],
)
async def test_a_bad_answer_has_its_own_error(pushed, bad, error):
    pushed.server.behave("post", bad)
    with pytest.raises(error) as raised:
        await pushed.post()
    if error is Throttled:
        assert raised.value.retry_seconds == 7
    assert len(pushed.server.posts) == (1 if bad.drop_answer else 0)


async def test_a_thread_that_is_deleted_is_gone(pushed):
    ref = await pushed.post()
    pushed.server.gone.add(PLACE)
    with pytest.raises(Gone):
        await pushed.post()
    with pytest.raises(Gone):
        await pushed.port.edit(PLACE, ref, Content(text="x"), Deadline.after(10))


async def test_a_post_that_is_deleted_is_gone(pushed):
    with pytest.raises(Gone):
        await pushed.port.edit(PLACE, "404", Content(text="x"), Deadline.after(10))


async def test_what_can_never_be_posted_is_rejected(pushed):
    with pytest.raises(Rejected):
        await pushed.post("x" * (pushed.port.limits.text_length_max + 1))


async def test_a_surface_that_is_not_there_did_nothing():
    async with ChatServer() as server:
        port = FakeChat(server.url)
    with pytest.raises(Unavailable):
        await port.post(PLACE, Content(text="x"), "m", Deadline.after(10))
    await port.close()
