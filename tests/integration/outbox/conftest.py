"""A session with replies to send, the surface that they go to, and senders."""

import pytest

from adapters.chat.terminal import TerminalChat
from bot.conversation.replies import Replies
from tests.fakes.chat import ChatServer, FakeChat
from tests.integration.outbox.rig import SURFACE, Office, Sending


@pytest.fixture
async def office(town) -> Office:
    return await Office.open(town.database)


@pytest.fixture
async def server():
    async with ChatServer() as server:
        yield server


@pytest.fixture
async def sending(office, server):
    """Make a sender of the fake surface; its words go to the port."""
    made = []

    def make(**port) -> Sending:
        made.append(Sending(office, server, **port))
        return made[-1]

    yield make
    for one in made:
        await one.port.close()


@pytest.fixture
async def port():
    """The fake surface as the projector knows it: nothing is sent."""
    port = FakeChat("http://127.0.0.1:1")
    yield port
    await port.close()


@pytest.fixture
def replies(office, port) -> Replies:
    return Replies(office.database, {SURFACE: port, "terminal": TerminalChat()})
