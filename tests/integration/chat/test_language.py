"""People of one workspace read us in their own language, each post in one."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.chat.slack_rig import Office, open_office
from tests.support.shift import Shift


@pytest.fixture
async def office(town) -> AsyncIterator[Office]:
    """Ann has set her Slack to German; Bo to English, in another zone."""
    async with open_office(town) as office:
        office.ann.locale, office.ann.tz = "de-DE", "Europe/Berlin"
        office.bo.locale, office.bo.tz = "en-GB", "America/New_York"
        yield office


async def whispered(office: Office, person, *words: str) -> str:
    """What the person alone is told in the channel."""

    def found() -> str:
        told = [one.text for one in office.general.messages if one.only_for is person]
        return next((text for text in told if all(word in text for word in words)), "")

    await office.slack.until(found)
    return found()


STARTS = {"ann": "Das ist ein Auftrag; schreib nur", "bo": "This is a prompt; write just"}


@pytest.mark.parametrize("name", ["ann", "bo"])
async def test_a_hint_is_in_the_language_of_whom_it_is_for(office, name):
    who = getattr(office, name)
    async with office.serving():
        office.asks("stop please", by=who)
        hint = await whispered(office, who, "`stop`")
    assert STARTS[name] in hint
    assert STARTS["bo" if name == "ann" else "ann"] not in hint


REFUSED = {
    "ann": "Es gibt keine Größe huge; bekannt sind: small, medium.",
    "bo": "There is no size huge; known are: small, medium.",
}


@pytest.mark.parametrize("name", ["ann", "bo"])
async def test_a_refusal_is_in_the_language_of_whom_it_is_for(office, name):
    who = getattr(office, name)
    async with office.serving():
        office.asks("size=huge !true", by=who)
        assert await whispered(office, who, "huge") == REFUSED[name]


async def test_a_guest_is_refused_in_the_language_of_their_slack(office):
    guest = office.slack.person(office.team, "eve", is_restricted=True, locale="de-AT")
    office.general.members.append(guest)
    async with office.serving():
        office.asks("!true", by=guest)
        told = await whispered(office, guest, "Workspace")
    assert told.startswith("Das können nur Mitglieder dieses Workspace nutzen")
    assert await office.town.rows("SELECT locale FROM person WHERE locale IS NOT NULL") == []


SPOKEN = {
    "ann": ("In Arbeit …", "Stopp", "Gestoppt auf Wunsch von bo", "Fertig: Exit-Status 0"),
    "bo": ("Working …", "Stop", "Stopped on request by bo", "Done: exit status 0"),
}


@pytest.mark.parametrize("name", ["ann", "bo"])
async def test_a_thread_is_told_in_the_language_of_whoever_asked(office, places, name):
    """The other one stops it, and nothing turns into their language."""
    who = getattr(office, name)
    working, stop, stopped, done = SPOKEN[name]
    async with office.serving(), Shift(office.town, places, "w"):
        asked = office.asks("!echo begun; sleep 60", by=who)
        live = await office.answered(asked, working, "begun")
        office.bo.clicks(live, stop)
        await office.answered(asked, stopped)
        other = office.asks("!sleep 0.3; echo over", by=who)
        await office.answered(other, "over", done)
    words = SPOKEN["bo" if name == "ann" else "ann"]
    said = " ".join(one.text for one in (*office.ours(asked), *office.ours(other)))
    assert not any(foreign in said for foreign in (words[0], words[2], words[3]))


async def test_the_next_turn_of_a_thread_is_told_in_its_own_asker_s_language(office, places):
    async with office.serving(), Shift(office.town, places, "w"):
        asked = office.asks("!echo one")
        first = await office.answered(asked, "one", "Fertig")
        mention = office.bot.user.mention
        office.bo.says(office.general, f"{mention} !echo two", thread=asked)
        second = await office.answered(asked, "two", "Done")
        office.bo.says(office.general, f"{mention} status", thread=asked)
        await office.answered(asked, "No prompt is queued.")
        office.ann.says(office.general, f"{mention} status", thread=asked)
        await office.answered(asked, "Kein Auftrag wartet.")
    assert "Done" not in first.text
    assert "Fertig" not in second.text


async def test_what_slack_says_of_a_person_is_kept(office, places):
    async with office.serving(), Shift(office.town, places, "w"):
        await office.answered(office.asks("!echo one"), "one")
        await office.answered(office.asks("!echo two", by=office.bo), "two")
    known = await office.town.rows(
        "SELECT name, locale, zone FROM person WHERE locale IS NOT NULL ORDER BY name"
    )
    assert [tuple(row) for row in known] == [
        ("ann", "de-DE", "Europe/Berlin"),
        ("bo", "en-GB", "America/New_York"),
    ]


async def test_what_a_person_chose_holds(office, places):
    async with office.serving(), Shift(office.town, places, "w"):
        await office.answered(office.asks("!echo one"), "one", "Fertig")
        chosen = "UPDATE person SET locale = 'en', locale_chosen = true WHERE name = 'ann'"
        await office.town.rows(f"{chosen} RETURNING id")
        await office.answered(office.asks("!echo two"), "two", "Done")


async def test_the_page_in_slack_is_in_the_language_of_whose_it_is(office):
    async with office.serving():
        for who, title in ((office.ann, "Deine Sitzungen"), (office.bo, "Your sessions")):
            who.opens_home()
            await office.slack.until(lambda who=who: who.home)
            assert title in str(who.home)
            assert who.tz in str(who.home)


async def test_a_person_chooses_their_language_on_that_page(office):
    async with office.serving():
        office.ann.opens_home()
        await office.slack.until(lambda: "Mit dir spreche ich Deutsch." in str(office.ann.home))
        office.ann.clicks(office.ann.home, "English")
        await office.slack.until(lambda: "I speak English with you." in str(office.ann.home))
        office.asks("stop please")
        assert STARTS["bo"] in await whispered(office, office.ann, "`stop`")
        office.ann.clicks(office.ann.home, "As my Slack is set")
        await office.slack.until(lambda: "Mit dir spreche ich Deutsch." in str(office.ann.home))


async def test_a_channel_that_the_bot_is_not_in_says_so_in_the_language_of_who_asks(office):
    quiet = office.slack.channel(office.team, "quiet", office.ann, office.bo)
    async with office.serving():
        for who, words in ((office.ann, "Ich bin kein Mitglied"), (office.bo, "I am no member")):
            who.commands(quiet, "/ona", "do something")
            await office.slack.until(
                lambda who=who, words=words: any(
                    words in one.text for one in quiet.messages if one.only_for is who
                )
            )
