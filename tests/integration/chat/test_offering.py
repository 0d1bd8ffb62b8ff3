"""Who got a pull request that we opened is offered to connect, once and alone."""

from sqlalchemy import text

from bot.conversation.offering import Offering
from bot.store.ids import new_id
from tests.integration.chat.conftest import WhisperingChat
from tests.integration.conftest import Town

_PULL = text(
    """
    INSERT INTO pull_request (id, session_id, surface, repository, number, url, state, draft, head,
                              base, opened_by, asker_id, offer)
    SELECT :id, session.id, 'github', 'acme/shop', 5, 'https://x/5', 'open', true, session.branch,
           'main', 'ona[bot]', :ann, true FROM session
    """
)


async def test_it_is_whispered_once_where_they_asked(town: Town) -> None:
    chat = WhisperingChat()
    offering = Offering(town.database, {"slack": chat}, pages="https://ona.example")
    await town.say("fix it")
    async with town.database.begin() as tx:
        await tx.execute(text("UPDATE thread SET surface = 'slack'"))
        await tx.execute(text("UPDATE prompt SET asker = 'U1', language = 'de'"))
        await tx.execute(_PULL, {"id": new_id(), "ann": town.people["Ann"]})
    assert await offering.once() == 1
    assert await offering.once() == 0
    ((person, words, _),) = chat.whispers
    assert person == "U1"
    assert words.startswith("Pull Request 5 wurde von der App für dich geöffnet")


async def test_where_nobody_can_be_told_alone_nothing_is_said(town: Town) -> None:
    await town.say("fix it")
    async with town.database.begin() as tx:
        await tx.execute(text("UPDATE prompt SET asker = 'U1'"))
        await tx.execute(_PULL, {"id": new_id(), "ann": town.people["Ann"]})
    chat = WhisperingChat()
    assert await Offering(town.database, {"slack": chat}).once() == 0
    assert chat.whispers == []
