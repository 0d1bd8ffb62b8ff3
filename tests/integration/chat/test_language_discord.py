"""Discord tells a person's language with an interaction, and their zone never: it is asked once."""

from collections.abc import AsyncIterator

import pytest

from bot.conversation.zones import likely, said_zone
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
        assert question.text.startswith(
            f"<#{office.general.id}> What you asked does not wait for this"
        )
        await office.answered(office.asks("!echo two"), "two")
        office.asks("timezone Asia/Tokyo")
        await confided(office, "Times are shown in Asia/Tokyo.")
        office.ann.clicks(question, "UTC")
        # A click tells the language, in which it is answered.
        await confided(office, "Zeiten werden in UTC angezeigt.")
        answer = await office.answered(office.asks("!echo three"), "three", "Fertig")
        direct = office.ours(office.ann.direct(office.app))
    assert "Done" not in answer.text
    assert len([one for one in direct if "time zone" in one.text]) == 1
    missed = office.asks("!echo missed")
    async with office.serving(), Shift(office.town, places, "w"):
        # What was said an hour ago at most is read back, the zone that was said first with it.
        await office.answered(missed, "missed")
    known = "SELECT name, locale, zone, zone_chosen FROM person WHERE zone_asked_at IS NOT NULL"
    assert [tuple(row) for row in await office.town.rows(known)] == [("Ann", "de", "UTC", True)]


@pytest.mark.parametrize("locale", ["", "en", "es-419"])
def test_of_whom_no_country_is_known_zones_around_the_world_are_offered(locale):
    continents = [zone.partition("/")[0] for zone in likely(locale)]
    assert continents == ["America", "Europe", "Asia", "Asia", "UTC"]


@pytest.mark.parametrize(
    ("words", "zone"),
    [
        ("timezone Europe/Berlin", "Europe/Berlin"),
        (" Timezone asia/kolkata ", "Asia/Kolkata"),
        ("timezone Europe/Nowhere", None),
        ("timezone of the server is wrong", None),
        ("zone Europe/Berlin", None),
    ],
)
def test_a_zone_can_be_said(words, zone):
    assert said_zone(words) == zone


@pytest.mark.parametrize(
    ("locale", "first"),
    [
        ("de", "Europe/Berlin"),
        ("de-AT", "Europe/Vienna"),
        ("en-US", "America/New_York"),
        ("en-GB", "Europe/London"),
        ("pt-BR", "America/Sao_Paulo"),
        ("zh-CN", "Asia/Shanghai"),
        ("es-419", "America/New_York"),
        ("nonsense/../", "America/New_York"),
        ("", "America/New_York"),
        ("en", "America/New_York"),
    ],
)
def test_the_zones_of_the_country_that_a_language_means_are_offered(locale, first):
    offered = likely(locale)
    assert offered[0] == first
    assert offered[-1] == "UTC"
    assert len(offered) == len(set(offered)) <= 5
