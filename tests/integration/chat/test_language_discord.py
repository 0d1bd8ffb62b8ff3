"""Discord tells a person's language with an interaction, and their zone never: it is asked once."""

from collections.abc import AsyncIterator

import pytest

from bot.conversation.zones import likely
from tests.integration.chat.discord_rig import Office, open_office
from tests.support.shift import Shift


@pytest.fixture
async def office(town) -> AsyncIterator[Office]:
    async with open_office(town) as office:
        office.ann.user.locale = "de"
        yield office


async def confided(office: Office, words: str):
    """The direct message to Ann that has these words in it."""

    def found():
        direct = office.ann.direct(office.app)
        return next((one for one in office.ours(direct) if words in one.text), None)

    await office.fake.until(found)
    return found()


async def test_the_zone_is_asked_once_and_kept(office, places):
    async with office.serving(), Shift(office.town, places, "w"):
        await office.ready()
        await office.answered(office.asks("!echo one"), "one")
        question = await confided(office, "In which time zone are you?")
        await office.answered(office.asks("!echo two"), "two")
        office.ann.clicks(question, "UTC")
        # A click tells the language, in which it is answered.
        await confided(office, "Zeiten werden in UTC angezeigt.")
        answer = await office.answered(office.asks("!echo three"), "three", "Fertig")
        direct = office.ours(office.ann.direct(office.app))
    assert "Done" not in answer.text
    assert len([one for one in direct if "time zone" in one.text]) == 1
    known = "SELECT name, locale, zone, zone_chosen FROM person WHERE zone_asked_at IS NOT NULL"
    assert [tuple(row) for row in await office.town.rows(known)] == [("Ann", "de", "UTC", True)]


@pytest.mark.parametrize(
    ("locale", "first"),
    [
        ("de", "Europe/Berlin"),
        ("de-AT", "Europe/Vienna"),
        ("en-US", "America/New_York"),
        ("en-GB", "Europe/London"),
        ("pt-BR", "America/Sao_Paulo"),
        ("zh-CN", "Asia/Shanghai"),
        ("es-419", "UTC"),
        ("nonsense/../", "UTC"),
        ("", "UTC"),
    ],
)
def test_the_zones_of_the_country_that_a_language_means_are_offered(locale, first):
    offered = likely(locale)
    assert offered[0] == first
    assert offered[-1] == "UTC"
    assert len(offered) == len(set(offered)) <= 5
