"""Connecting accounts and signing in by a forge, in a browser."""

import asyncio
import re
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from adapters.forge.accounts import Accounts, github
from adapters.forge.port import Permission
from bot.govern import credentials
from tests.fakes.forge import KnowingForge
from tests.fakes.oauth import oauth
from tests.integration.web.site import running_site


class Forge(KnowingForge):
    """The one that accounts are of."""

    def __init__(self, host):
        super().__init__()
        self.host = host

    def repository(self, url):
        head = "https://forge.test/"
        return url.removeprefix(head) if url.startswith(head) else None


@pytest.fixture(params=["s3cret", None], ids=["redirects", "codes"])
async def place(request, database_url, tmp_path):
    async with oauth() as fake, aiohttp.ClientSession() as session:
        accounts = Accounts(
            github(fake.url, fake.url), session, client_id="app", client_secret=request.param
        )
        forge = Forge(accounts.host)
        running = running_site(
            database_url, tmp_path, forges={"github": forge}, accounts={"github": accounts}
        )
        async with running as site:
            await site.rows(
                "UPDATE project SET repository_url = 'https://forge.test/acme/demo' RETURNING id"
            )
            yield site, fake, forge
        await forge.close()


@asynccontextmanager
async def browser_of(site, person):
    async with site.client("none") as client:
        del client.headers["authorization"]
        client.headers["Origin"] = site.url
        await client.post("/sign-in", data={"link": await site.link(person)})
        (secret,) = client.cookies.values()
        client.csrf = {"csrf": credentials.csrf_token(secret)}
        yield client


async def forge_says(client, fake, account, *, purpose, csrf):
    """Go to the forge by whichever way there is, and agree there; the last answer."""
    page = await client.get("/connect" if purpose == "connect" else "/sign-in")
    if f"/go/github/{purpose}" in page.text:
        gone = await client.get(f"/go/github/{purpose}")
        came = fake.agrees(gone.headers["location"], account)
        return await client.get(came)
    shown = await client.post(f"/{purpose}/github", data=csrf)
    link = re.search(r"link=([\w-]+)", shown.text)
    if link is not None:
        early = await client.get("/sign-in/ready", params={"link": link[1]})
        assert early.status_code == 409
        assert "The code was not typed yet" in early.text
    fake.types(re.search(r'<code class="copyable">(\w+)</code>', shown.text)[1], account)
    while link is not None:
        client.headers["hx-request"] = "true"
        ready = await client.get("/sign-in/ready", params={"link": link[1]})
        if ready.status_code != 204:
            del client.headers["hx-request"]
            where = parse_qs(urlsplit(ready.headers["hx-redirect"]).query)
            return await client.post("/sign-in", data={"link": where["link"][0]})
    return shown


async def accounts(site, person, count):
    for _ in range(200):
        found = await site.rows(
            "SELECT external_id FROM identity WHERE surface LIKE 'github:%' AND person_id = :p",
            p=person,
        )
        if len(found) == count:
            return [row[0] for row in found]
    raise AssertionError(found)


async def test_a_forge_account_is_connected(place):
    site, fake, _ = place
    async with browser_of(site, site.bo) as client:
        await forge_says(client, fake, 2, purpose="connect", csrf=client.csrf)
        assert await accounts(site, site.bo, 1) == ["2"]
        assert "github:" in (await client.get("/connect")).text


async def test_who_may_read_a_project_signs_in_and_a_stranger_does_not(place):
    site, fake, forge = place
    people = "SELECT count(*) FROM person"
    before = await site.rows(people)
    async with site.client("none") as client:
        del client.headers["authorization"]
        client.headers["Origin"] = site.url
        if "/go/" in (await client.get("/sign-in")).text:
            refused = await forge_says(client, fake, 1, purpose="sign-in", csrf={})
            assert refused.status_code == 422
            assert "may read no repository" in refused.text
            assert await site.rows(people) == before
        forge.levels["acme/demo", "2"] = Permission.READ
        signed = await forge_says(client, fake, 2, purpose="sign-in", csrf={})
        assert signed.status_code == 303
        assert (await client.get("/")).status_code == 200
        assert "bo" in (await client.get("/")).text


async def ended(client, fake, type_code) -> str:
    """Begin to sign in with a code, and what the page comes to."""
    shown = await client.post("/sign-in/github")
    type_code(re.search(r'<code class="copyable">(\w+)</code>', shown.text)[1])
    where = re.search(r'hx-get="([^"]+)"', shown.text)[1].replace("&amp;", "&")
    while (ready := await client.get(where, headers={"hx-request": "true"})).status_code == 204:
        await asyncio.sleep(0.05)
    said = await client.get(ready.headers["hx-redirect"])
    assert said.status_code == 409
    return said.text


@pytest.mark.parametrize("place", [None], indirect=True)
async def test_a_page_that_waits_for_a_code_ends_in_words(place):
    site, fake, _ = place
    async with site.client("none") as client:
        del client.headers["authorization"]
        client.headers["Origin"] = site.url
        refused = await ended(client, fake, lambda code: fake.types(code, 1))
        assert "Ann may read no repository of the projects here" in refused
        declined = await ended(client, fake, fake.declines)
        assert "says no" in declined
        fake.expires_seconds = 0.3
        expired = await ended(client, fake, lambda code: None)
        assert "The code was not typed within 0 minutes" in expired
        lost = await client.get("/sign-in/ready", params={"link": "x" * 43, "until": 1})
        assert "The code is too old" in lost.text


async def test_a_code_is_made_and_used(place):
    site, _, _ = place
    async with browser_of(site, site.ann) as ann, browser_of(site, site.bo) as bo:
        shown = await ann.post("/connect/code", data=ann.csrf)
        code = re.search(r"connect ([\w-]+)</code>", shown.text)[1]
        done = await bo.post("/connect/use", data={**bo.csrf, "code": code})
        assert "You are Ann now" in done.text
        again = await bo.post("/connect/use", data={**bo.csrf, "code": code})
        assert again.status_code == 422


@pytest.mark.parametrize("place", ["s3cret"], indirect=True)
async def test_what_did_not_begin_in_this_browser_connects_nothing(place):
    site, fake, _ = place
    async with browser_of(site, site.bo) as client:
        gone = await client.get("/go/github/connect")
        came = fake.agrees(gone.headers["location"], 2)
        for forged in (re.sub("state=[^&]*", "state=connect.x", came), came.replace("&", "&x=")):
            assert (await client.get(forged)).status_code == 422
        client.cookies.clear()
        assert (await client.get(came)).status_code == 422
    await accounts(site, site.bo, 0)


async def test_nobody_is_sent_anywhere_else(place):
    site, _, _ = place
    async with browser_of(site, site.bo) as client:
        for path in ("/go/evil/connect", "/go/github/evil"):
            assert (await client.get(path)).status_code == 404
        assert (await client.get("/back/github?code=1&state=")).status_code == 422
