"""Service accounts: nobody signs in as one, an operator says which account on a forge it has."""

import json
import re

import pytest

from bot.errors import Refused
from bot.govern import credentials, people
from bot.govern.connecting import merge
from bot.govern.people import ensure_person
from tests.fakes.forge import KnowingForge
from tests.integration.web.site import running_site, sign_in
from tests.integration.web.test_cli import ona  # noqa: F401  (a fixture)

ROBOT = {"forge": "github", "id": "4711", "login": "acme-robot"}


@pytest.fixture
async def site(database_url, tmp_path):
    forge = KnowingForge()
    async with running_site(database_url, tmp_path, forges={"github": forge}) as site:
        yield site
    await forge.close()


async def robot_of(site):
    async with site.database.begin() as tx:
        return await people.add_person(tx, "robot", is_service=True)


async def test_an_operator_adds_one_and_connects_its_account(site):
    async with site.client() as ann, site.client(await site.token_of(site.bo)) as bo:
        refused = await bo.post("/api/v1/people/services", json={"name": "robot"})
        assert refused.status_code == 422
        added = await ann.post("/api/v1/people/services", json={"name": "robot"})
        assert added.status_code == 201, added.text
        assert (await bo.post("/api/v1/people/robot/accounts", json=ROBOT)).status_code == 422
        told = (await ann.post("/api/v1/people/robot/accounts", json=ROBOT)).json()["text"]
        assert told == "robot is acme-robot on forge.test from now on."
        everybody = (await ann.get("/api/v1/people")).json()["people"]
        (robot,) = [one for one in everybody if one["is_service"]]
        assert (robot["name"], robot["identities"]) == ("robot", ["github:forge.test:acme-robot"])
        other = {**ROBOT, "id": "4712", "login": "acme-two"}
        await ann.post("/api/v1/people/robot/accounts", json=other)
        assert await site.rows(
            "SELECT external_id FROM identity WHERE surface = 'github:forge.test'"
        ) == [("4712",)]
        gone = await ann.delete("/api/v1/people/robot/accounts/github")
        assert "not acme-two" in gone.json()["text"]
        assert (await ann.delete("/api/v1/people/robot/accounts/github")).status_code == 409
    kinds = await site.rows("SELECT DISTINCT kind FROM audit_event WHERE kind LIKE 'service.%'")
    assert {kind for (kind,) in kinds} == {
        "service.added",
        "service.connected",
        "service.disconnected",
    }


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("Bo", ROBOT, 422),
        ("nobody", ROBOT, 404),
        ("robot", {**ROBOT, "forge": "gitlab"}, 404),
        ("robot", {**ROBOT, "forge": "local"}, 422),
        ("robot", {**ROBOT, "id": "acme-robot"}, 422),
        ("robot", {**ROBOT, "id": "\u0664"}, 422),
        ("robot", {**ROBOT, "login": " "}, 422),
    ],
)
async def test_what_can_t_be_connected_is_refused(site, name, body, status):
    await robot_of(site)
    async with site.client() as ann:
        answer = await ann.post(f"/api/v1/people/{name}/accounts", json=body)
        assert answer.status_code == status, answer.text
    assert await site.rows("SELECT 1 FROM identity WHERE surface LIKE 'github:%'") == []


async def test_an_account_that_is_somebody_s_stays_theirs(site):
    await robot_of(site)
    async with site.database.begin() as tx:
        await ensure_person(tx, surface="github:forge.test", external_id="4711", name="carol")
    async with site.client() as ann:
        answer = await ann.post("/api/v1/people/robot/accounts", json=ROBOT)
        assert (answer.status_code, "somebody's already" in answer.text) == (422, True)


async def test_nobody_signs_in_as_one_or_asks_in_its_name(site):
    robot = await robot_of(site)
    async with site.client() as ann:
        await ann.post("/api/v1/people/robot/accounts", json=ROBOT)
        link = await ann.post("/api/v1/people/robot/link")
        assert (link.status_code, "service account" in link.text) == (422, True)
    kinds = ("token", "link", "browser", "connect", "device")
    for kind in kinds:
        with pytest.raises(Refused, match="service account"):
            async with site.database.begin() as tx:
                await credentials.issue(tx, kind, robot.person_id, seconds=60)
    with pytest.raises(Refused, match="service account"):
        async with site.database.begin() as tx:
            await ensure_person(tx, surface="github:forge.test", external_id="4711", name="x")
    for keep, gone in ((site.bo, robot.person_id), (robot.person_id, site.bo)):
        with pytest.raises(Refused, match="service account"):
            async with site.database.begin() as tx:
                await merge(tx, keep=keep, gone=gone)
    assert (
        await site.rows("SELECT 1 FROM credential WHERE person_id = :id", id=robot.person_id) == []
    )


async def test_credentials_of_somebody_who_became_one_hold_no_longer(site):
    token = await site.token_of(site.bo)
    await site.rows("UPDATE person SET is_service = true WHERE id = :id RETURNING id", id=site.bo)
    async with site.client(token) as bo:
        assert (await bo.get("/api/v1/people")).status_code == 401


async def test_the_page_shows_which_are_service_accounts(site):
    async with site.client() as browser:
        csrf = await sign_in(site, browser)
        form = {"csrf": csrf, "name": "robot", "service": "yes"}
        assert (await browser.post("/people", data=form)).status_code == 303
        page = (await browser.get("/people")).text
        assert "service account</span>" in page
        assert "Make a sign-in link for robot" not in page
        person = re.search(r'action="/people/([^/]+)/accounts"', page)[1]
        form = {"csrf": csrf, "forge": "github", "account": "4711", "login": "acme-robot"}
        assert (await browser.post(f"/people/{person}/accounts", data=form)).status_code == 303
        assert "github:forge.test:acme-robot" in (await browser.get("/people")).text


async def test_the_command_line_does_the_same(site, ona):  # noqa: F811
    added = await ona("people", "add", "--service", "robot")
    assert "service account robot" in added.out, added.err
    connected = await ona("people", "connect", "robot", "github", "4711", "acme-robot")
    assert "robot is acme-robot on forge.test" in connected.out
    everybody = json.loads((await ona("people", "--json")).out)["people"]
    assert [one["name"] for one in everybody if one["is_service"]] == ["robot"]
    gone = await ona("people", "disconnect", "robot", "github")
    assert "not acme-robot" in gone.out
    assert (await ona("people", "link", "robot")).code == 2
