"""Language and zone on the pages: chosen there, taken from a browser, seen by everybody."""

from contextlib import asynccontextmanager

import pytest

from bot.govern import credentials
from bot.govern.connecting import merge

KNOWN = "SELECT locale, locale_chosen, zone, zone_chosen FROM person WHERE name = 'Ann'"


@asynccontextmanager
async def browser_of(site, **form):
    """A browser in which Ann signs in, with what else its form holds."""
    async with site.client("none") as client:
        del client.headers["authorization"]
        client.headers["Origin"] = site.url
        await client.post("/sign-in", data={"link": await site.link(), **form})
        (secret,) = client.cookies.values()
        client.csrf = {"csrf": credentials.csrf_token(secret)}
        yield client


async def test_a_language_and_a_zone_are_chosen_and_given_back(site):
    chosen = {"locale": "de", "zone": "Europe/Berlin"}
    async with browser_of(site) as browser:
        page = await browser.post("/language", data={**browser.csrf, **chosen})
        assert page.status_code == 200
        assert '<option value="de" selected>Deutsch</option>' in page.text
        assert 'value="Europe/Berlin"' in page.text
        assert await site.rows(KNOWN) == [("de", True, "Europe/Berlin", True)]
        people = (await browser.get("/people")).text
        assert "Reads de" in people
        assert "Times in Europe/Berlin" in people
        await browser.post("/language", data={**browser.csrf, "locale": "", "zone": ""})
    assert await site.rows(KNOWN) == [("de", False, "Europe/Berlin", False)]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"locale": "tlh"}, "speak tlh"),
        ({"locale": "de", "zone": "Mars/Base"}, "no time zone Mars/Base"),
        ({"zone": "../../etc/passwd"}, "no time zone"),
    ],
)
async def test_what_there_is_not_is_refused_and_changes_nothing(site, given, told):
    async with browser_of(site) as browser:
        refused = await browser.post("/language", data={**browser.csrf, **given})
    assert refused.status_code >= 400
    assert told in refused.text
    assert await site.rows(KNOWN) == [(None, False, None, False)]


async def test_a_browser_s_zone_is_kept_only_when_it_is_sent_and_none_is_known(site):
    async with browser_of(site):
        assert await site.rows(KNOWN) == [(None, False, None, False)]
    async with browser_of(site, zone="Not/AZone"):
        assert await site.rows(KNOWN) == [(None, False, None, False)]
    async with browser_of(site, zone="Asia/Tokyo"):
        assert await site.rows(KNOWN) == [(None, False, "Asia/Tokyo", False)]
    async with browser_of(site, zone="Europe/Paris"):
        assert await site.rows(KNOWN) == [(None, False, "Asia/Tokyo", False)]


async def test_programs_see_them_too(site):
    known = "UPDATE person SET locale = 'de-DE', zone = 'UTC' WHERE name = 'Ann' RETURNING id"
    await site.rows(known)
    async with site.client() as client:
        listed = (await client.get("/api/v1/people")).json()["people"]
    found = {one["name"]: (one["locale"], one["zone"]) for one in listed}
    assert found == {"Ann": ("de-DE", "UTC"), "Bo": (None, None)}


@pytest.mark.parametrize("chosen", [True, False])
async def test_whoever_becomes_another_person_keeps_what_they_chose(site, chosen):
    """What is chosen goes before what a surface says, on whichever side."""
    statement = (
        "UPDATE person SET locale = :locale, locale_chosen = :chosen, zone = :zone"
        " WHERE id = :person RETURNING id"
    )
    await site.rows(statement, locale="en-US", chosen=False, zone=None, person=site.ann)
    await site.rows(statement, locale="de", chosen=chosen, zone="Europe/Berlin", person=site.bo)
    async with site.database.begin() as tx:
        await merge(tx, keep=site.ann, gone=site.bo)
    locale = "de" if chosen else "en-US"
    assert await site.rows(KNOWN) == [(locale, chosen, "Europe/Berlin", False)]
