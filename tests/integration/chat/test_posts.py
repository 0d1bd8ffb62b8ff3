"""Which session an answered post of ours belongs to."""

import asyncio

from adapters.chat.incoming import Author, Said, Spot
from bot.conversation import posts
from bot.conversation.message import IncomingMessage
from bot.store.ids import new_id
from tests.integration.chat.conftest import SURFACE

HERE, TARGET = "T/C/1", "T/C/1~s-two"


class Looking:
    """A database of which it is seen how often it was asked."""

    def __init__(self, database):
        self.database = database
        self.looked = asyncio.Event()

    async def run(self, statement, values):
        found = await self.database.run(statement, values)
        self.looked.set()
        return found


async def posted(town, ref: str | None) -> None:
    """A post of ours for a target of a fleet, which talks in the fleet's thread."""
    await town.say("!one", place=TARGET)
    await town.rows(
        "UPDATE thread SET surface = :s WHERE place = :place RETURNING id", s=SURFACE, place=TARGET
    )
    await town.rows(
        "INSERT INTO reply (id, thread_id, kind, key, body, state, posted_ref)"
        " SELECT :id, thread.id, 'notice', 'notice:1', 'done', 'pending', :ref FROM thread"
        " WHERE place = :place RETURNING id",
        id=new_id(),
        ref=ref,
        place=TARGET,
    )


def answered(town, ref: str) -> tuple[Said, IncomingMessage]:
    ann = Author(account="T", id="ann", name="Ann")
    spot = Spot(surface=SURFACE, channel="T/C", place=HERE, shared=False)
    said = Said(
        spot=spot, author=ann, delivery="d", key="k", ref="r", text="why?", to_us=True, post=ref
    )
    message = IncomingMessage(
        surface=SURFACE,
        delivery_key="d",
        message_key="k",
        place=HERE,
        person_id=town.people["Ann"],
        text="why?",
    )
    return said, message


async def test_an_answer_that_is_quicker_than_our_note_of_the_post_is_for_its_session(
    town, monkeypatch
):
    monkeypatch.setattr(posts, "POST_PAUSES", (0.05,) * 1000)
    await posted(town, None)
    looking = Looking(town.database)
    asking = asyncio.create_task(posts.about(looking, *answered(town, "77")))
    await looking.looked.wait()
    await town.rows("UPDATE reply SET posted_ref = '77' RETURNING id")
    _said, message = await asking
    assert message.place == TARGET


async def test_an_answer_to_another_post_of_ours_is_waited_for_by_nobody(town, monkeypatch):
    monkeypatch.setattr(posts, "POST_PAUSES", (3600.0,))
    await posted(town, "77")
    await town.rows("UPDATE thread SET place = 'T/C/2' RETURNING id")
    _said, message = await posts.about(town.database, *answered(town, "77"))
    assert message.place == HERE
