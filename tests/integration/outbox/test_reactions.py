"""The sign at a prompt's message: set, changed and taken away, without a post."""

from adapters.chat.port import AfterUncertain, Gone, Rate, Sign, Uncertain
from bot.conversation.outbox import Outbox
from bot.conversation.replies import Replies
from tests.fakes.chat import ChatServer, FakeChat
from tests.integration.outbox.rig import SURFACE


class ReactingChat(FakeChat):
    """A surface whose messages bear reactions."""

    def __init__(self, *trouble: Exception, **more) -> None:
        super().__init__("http://127.0.0.1:1", **more)
        self.trouble = list(trouble)
        self.calls: list[tuple[str, str, Sign | None]] = []

    async def react(self, place, ref, sign, deadline):
        if self.trouble:
            raise self.trouble.pop(0)
        self.calls.append((place, ref, sign))


async def queue(office, *, ref="7", prompt="p"):
    thread = await office.thread("acct/t")
    body = {"prompt": prompt, "ref": ref, "asked_in": str(thread)}
    await office.happen(("prompt.queued", body))


async def start(office, *, prompt="p"):
    thread = await office.thread("acct/t")
    await office.happen(("turn.started", {"prompt": prompt, "asked_in": str(thread)}))


async def pass_on(office, port, **times):
    """Write the rows and send them."""
    await Replies(office.database, {SURFACE: port}, **times).once()
    outbox = Outbox(
        office.database, {SURFACE: port}, sender="s", lease_seconds=0.4, send_seconds=0.2
    )
    return await outbox.once()


async def test_a_sign_is_set_changed_and_taken_away(office):
    port = ReactingChat()
    await queue(office)
    await pass_on(office, port)
    await start(office)
    await office.happen(("turn.ended", {"outcome": "failed"}))
    await pass_on(office, port)
    signs = [sign for _, ref, sign in port.calls if ref == "7"]
    assert signs[0] is Sign.SEEN
    assert signs[-1] is Sign.FAILED
    await port.close()


async def test_every_message_of_a_prompt_loses_its_sign_when_the_turn_begins(office):
    port = ReactingChat()
    await queue(office)
    await queue(office, ref="8")
    await queue(office, ref="9", prompt="q")
    await pass_on(office, port)
    await start(office)
    await pass_on(office, port, live_seconds=0)
    assert sorted(ref for _, ref, sign in port.calls if sign is None) == ["7", "8"]
    await port.close()


async def test_a_sign_that_nobody_has_set_yet_is_never_set(office):
    port = ReactingChat()
    await queue(office)
    await start(office)
    await pass_on(office, port)
    assert port.calls == []
    await port.close()


async def test_an_uncertain_sign_is_set_again_whatever_the_surface_can_look_up(office):
    port = ReactingChat(Uncertain("?"), after_uncertain=AfterUncertain.GIVE_UP)
    await queue(office)
    await pass_on(office, port)
    await office.do("UPDATE reply SET sender_until = now() - interval '1 s'")
    await pass_on(office, port)
    assert port.calls == [("acct/t", "7", Sign.SEEN)]
    await port.close()


async def test_a_sign_at_a_message_that_is_gone_is_no_news_and_holds_up_no_answer(office):
    async with ChatServer() as server:
        port = ReactingChat(Gone("deleted"))
        port._url = server.url
        await queue(office)
        await office.happen(("notice", {"text": "hello"}))
        await pass_on(office, port)
        assert server.texts("acct/t") == ["hello"]
        await pass_on(office, port)
        assert server.texts("acct/t") == ["hello"]
        await port.close()


async def test_signs_have_a_budget_of_their_own(office):
    port = ReactingChat(rates={"react": Rate(burst=2, per_second=0.001)})
    for number in range(4):
        await queue(office, ref=str(number), prompt=f"p{number}")
    await pass_on(office, port)
    assert len(port.calls) == 2
    await port.close()


async def test_a_surface_without_reactions_gets_none(office):
    async with ChatServer() as server:
        port = FakeChat(server.url)
        await queue(office)
        assert await pass_on(office, port) == 0
        await port.close()
