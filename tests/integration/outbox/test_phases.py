"""What goes on in a thread, where a surface shows that in its own way."""

from dataclasses import replace

import pytest

from adapters.chat.port import Phase
from bot.conversation.outbox import Outbox
from bot.conversation.replies import Replies
from tests.fakes.chat import FakeChat
from tests.integration.outbox.rig import SURFACE

QUESTION = {"question": "q", "text": "really?", "choices": ["yes"]}


class PhasedChat(FakeChat):
    """A surface that shows what goes on."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1")
        self.limits = replace(self.limits, working_seconds=600.0)
        self.shown: list[tuple[str, Phase, str]] = []

    async def show_phase(self, place, phase, title, deadline):
        self.shown.append((place, phase, title))

    async def post(self, place, content, mark, deadline):
        return mark

    async def edit(self, place, ref, content, deadline):
        pass


@pytest.fixture
async def port():
    port = PhasedChat()
    yield port
    await port.close()


async def pass_on(office, port):
    """Write the rows and send them."""
    await Replies(office.database, {SURFACE: port}, live_seconds=0.0).once()
    await Outbox(office.database, {SURFACE: port}, sender="s").once()
    return [phase for _, phase, _ in port.shown]


async def test_a_turn_works_waits_works_and_ends(office, port):
    await office.thread("acct/t")
    await office.happen(("turn.started", {"prompt": "p"}))
    assert await pass_on(office, port) == [Phase.WORKING]
    await office.happen(("question", QUESTION))
    await pass_on(office, port)
    await office.happen(("question.answered", {"question": "q", "answer": "yes", "name": "Ann"}))
    await pass_on(office, port)
    await office.happen(("turn.ended", {"outcome": "succeeded", "seconds": 40}))
    shown = await pass_on(office, port)
    assert shown == [Phase.WORKING, Phase.WAITING, Phase.WORKING, Phase.IDLE]
    assert {(place, title) for place, _, title in port.shown} == {("acct/t", "x")}


async def test_every_thread_of_the_session_shows_it_and_a_quick_turn_shows_nothing(office, port):
    for place in ("acct/t", "acct/u"):
        await office.thread(place)
    await office.happen(("turn.started", {}), ("turn.ended", {"outcome": "succeeded"}))
    assert await pass_on(office, port) == []
    await office.happen(("turn.started", {}))
    assert await pass_on(office, port) == [Phase.WORKING, Phase.WORKING]


async def test_what_was_asked_first_names_only_the_thread_in_which_it_was_asked(office, port):
    await office.thread("acct/joined")
    await office.turn("acct/t")
    await office.turn("acct/joined")
    await office.happen(("turn.started", {"prompt": "p"}))
    await pass_on(office, port)
    assert {place: title for place, _, title in port.shown} == {"acct/t": "x", "acct/joined": ""}


async def test_only_that_we_work_is_said_again(office, port):
    await office.thread("acct/t")
    await office.happen(("turn.started", {}))
    await pass_on(office, port)
    await office.do("UPDATE reply SET due_at = due_at - interval '9 min' WHERE kind = 'phase'")
    assert await pass_on(office, port) == [Phase.WORKING]
    await office.do("UPDATE reply SET due_at = due_at - interval '1 min' WHERE kind = 'phase'")
    assert await pass_on(office, port) == [Phase.WORKING, Phase.WORKING]
    await office.happen(("question", QUESTION))
    assert (await pass_on(office, port))[-1] is Phase.WAITING
    await office.do("UPDATE reply SET due_at = due_at - interval '2 h' WHERE kind = 'phase'")
    assert len(await pass_on(office, port)) == 3
