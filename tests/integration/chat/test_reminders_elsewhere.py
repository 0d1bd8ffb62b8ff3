"""Reminders for channels and people of a chat that are set by API, page and terminal."""

import asyncio
import re
from contextlib import asynccontextmanager
from html import unescape

import httpx2
import pytest
from sqlalchemy import text

from bot.govern import credentials, people
from bot.store.ids import new_id
from tests.integration.chat import discord_rig
from tests.integration.chat.serving import serving
from tests.integration.chat.slack_rig import open_office
from tests.integration.chat.test_reminders_slack import alone_with, due_now, in_channel
from tests.integration.web.test_cli import run_ona

_CONNECT = text(
    "INSERT INTO identity (id, person_id, surface, external_id, name)"
    " VALUES (:id, :ann, :at, :external, 'ann')"
)


@pytest.fixture
async def office(town):
    async with open_office(town) as office:
        yield office


@asynccontextmanager
async def api_of(office, *, connected: bool = True):
    """The API of an installation that serves the office, for Ann."""
    town = office.town
    ann = town.people["Ann"]
    workspace = f"slack:{office.team.id}"
    async with town.database.begin() as tx:
        if connected:
            known_as = {"id": new_id(), "ann": ann, "at": workspace, "external": office.ann.id}
            await tx.execute(_CONNECT, known_as)
        await people.ensure_person(tx, surface=workspace, external_id=office.bo.id, name="bo")
    async with api_for(town, office.settings, ann) as api:
        yield api


@asynccontextmanager
async def api_for(town, settings, person):
    """The API of an installation with these surfaces, for a person."""
    known = asyncio.get_running_loop().create_future()

    async def hooked(address: str) -> None:
        known.set_result(address)

    async with town.database.begin() as tx:
        token = await credentials.issue_token(tx, person, "tests", None)
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        serving(town, settings, hooked=hooked),
        httpx2.AsyncClient(base_url=await known, headers=headers, timeout=60) as api,
    ):
        yield api


async def test_one_set_over_the_api_is_posted_in_a_channel_and_to_people_alone(office):
    payments = office.slack.channel(office.team, "payments", office.ann, office.bot.user)
    async with api_of(office) as api:
        wanted = {"when": "every day at 9", "what": "stand-up"}
        to = ["slack:#payments, Slack:@bo", "slack:me", "slack:me"]
        tried = await api.post("/api/v1/reminders", json={**wanted, "to": to, "dry_run": True})
        assert (tried.status_code, tried.json()["to"]) == (200, to), tried.text
        assert await office.town.value("SELECT count(*) FROM thread") == 0
        made = await api.post("/api/v1/reminders", json={**wanted, "to": to})
        assert made.status_code == 201, made.text
        await due_now(office)
        await office.slack.until(
            lambda: (
                in_channel(office, payments, "stand-up", "A reminder of")
                and alone_with(office, office.bo, "stand-up")
                and alone_with(office, office.ann, "stand-up")
            )
        )
        office.slack.leaves(payments, office.ann)
        await due_now(office)
        # Its creator must still be in the channel.
        async with asyncio.timeout(60):
            while await office.town.rows("SELECT state, why FROM schedule") != [
                ("paused", "member")
            ]:
                await asyncio.sleep(0.05)


REFUSED = (
    ("slack:#theirs", "I find no channel #theirs that you are in"),
    ("slack:@nobody", "I know nobody there who is called nobody"),
    ("discord:#ops", "nobody is reminded on “discord” from here"),
    ("#payments", "“#payments” is no channel or person"),
    ("slack:", "“slack:” is no channel or person"),
    ("slack:#", "“slack:#” is no channel or person"),
    (",".join(f"slack:@p{i}" for i in range(21)), "at most 20 people and channels"),
)


async def refused(api, to: str) -> dict[str, str]:
    wanted = {"when": "every day at 9", "what": "stand-up", "to": [to]}
    answer = await api.post("/api/v1/reminders", json=wanted)
    assert answer.status_code == 422, answer.text
    return answer.json()


async def test_whom_its_creator_does_not_reach_is_refused(office):
    office.slack.channel(office.team, "theirs", office.bo, office.bot.user)
    async with api_of(office) as api:
        for to, said in REFUSED:
            problem = await refused(api, to)
            assert (said in problem["error"], problem["kept"]) == (True, "nothing was saved")
    assert await office.town.value("SELECT count(*) FROM reminder") == 0


async def test_who_has_no_account_there_is_told_how_to_connect_it(office):
    async with api_of(office, connected=False) as api:
        problem = await refused(api, "slack:#general")
    assert "which account on slack is yours" in problem["error"]
    assert problem["do"].startswith("say `connect` to me in a direct message there")


async def test_the_page_sets_one_for_a_channel_once_its_visitor_is_sure(office):
    payments = office.slack.channel(office.team, "payments", office.ann, office.bot.user)
    async with api_of(office) as api, httpx2.AsyncClient(base_url=api.base_url) as browser:
        browser.headers["Origin"] = str(api.base_url).rstrip("/")
        async with office.town.database.begin() as tx:
            link = await credentials.issue(tx, "link", office.town.people["Ann"], seconds=600)
        await browser.post("/sign-in", data={"link": link})
        csrf = re.search(r'name="csrf" value="([^"]+)"', (await browser.get("/reminders")).text)[1]
        form = {"csrf": csrf, "when": "every day at 9", "what": "stand-up"}
        refused = await browser.post("/reminders", data={**form, "to": "slack:#theirs"})
        assert "I find no channel #theirs that you are in" in refused.text
        assert 'name="to" maxlength="2000" value="slack:#theirs"' in refused.text
        asked = await browser.post("/reminders", data={**form, "to": "slack:#payments"})
        understood = asked.text.partition("Is that right?")[2].partition("</section>")[0]
        assert "It is for slack:#payments." in understood
        assert await office.town.value("SELECT count(*) FROM reminder") == 0
        hidden = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', understood)
        sent = {name: unescape(value) for name, value in hidden}
        assert (await browser.post("/reminders", data=sent)).status_code == 303
        await due_now(office)
        await office.slack.until(lambda: in_channel(office, payments, "stand-up"))


async def test_the_command_line_sets_one_for_a_channel_and_for_somebody(
    office, monkeypatch, tmp_path
):
    payments = office.slack.channel(office.team, "payments", office.ann, office.bot.user)
    async with api_of(office) as api:
        monkeypatch.setenv("ONA_URL", str(api.base_url))
        monkeypatch.setenv("ONA_TOKEN", api.headers["Authorization"].partition(" ")[2])
        monkeypatch.setenv("ONA_DATA_DIR", str(tmp_path))
        add = ("reminders", "add", "every day at 9", "stand-up", "--to")
        refused = await run_ona(*add, "slack:#theirs")
        assert "i find no channel #theirs that you are in" in refused.err.casefold()
        assert await office.town.value("SELECT count(*) FROM reminder") == 0
        saved = await run_ona(*add, "slack:#payments", "--to", "slack:@bo")
        assert "For: slack:#payments, slack:@bo" in saved.out, saved.err
        await due_now(office)
        await office.slack.until(
            lambda: (
                in_channel(office, payments, "stand-up")
                and alone_with(office, office.bo, "stand-up")
            )
        )


async def test_one_for_discord_needs_its_creator_in_the_channel_then_and_later(town):
    async with discord_rig.open_office(town) as office:
        office.fake.channel(office.guild, "secret", office.app, private=True)
        async with office.serving():
            await office.ready()
            office.asks("help", by=office.bo)
            direct = office.bo.direct(office.app)
            await office.fake.until(lambda: office.bo.sees(direct))
        bo = await town.value("SELECT person_id FROM identity WHERE surface LIKE 'discord:%'")
        async with api_for(town, office.settings(), bo) as api:
            await office.ready()
            assert "no channel #secret" in (await refused(api, "discord:#secret"))["error"]
            wanted = {"when": "every day at 9", "what": "stand-up"}
            to = {"to": ["discord:#general, discord:me"]}
            made = await api.post("/api/v1/reminders", json={**wanted, **to})
            assert made.status_code == 201, made.text
            await due_now(office)
            await office.posted(office.general, "A reminder of", "stand-up")
            await office.fake.until(
                lambda: any("stand-up" in one.text for one in office.bo.sees(direct))
            )
            office.bo.hides(office.general, office.bo)
            await due_now(office)
            # Its creator must still be in the channel.
            async with asyncio.timeout(60):
                while await town.rows("SELECT state, why FROM schedule") != [("paused", "member")]:
                    await asyncio.sleep(0.05)
