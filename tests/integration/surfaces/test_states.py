"""A surface that does not work says why, for every process to tell, and the others go on."""

import asyncio

import pytest
from pydantic import SecretStr

from adapters.forge.port import Permission
from adapters.listening import Condition
from bot.config import DatabaseSettings, GitHubSettings, Settings
from bot.doctor.examine import CHECKS
from bot.errors import NotPermitted
from bot.govern.access import Standing
from bot.store.surface_states import Said, put
from bot.surfaces import open_surfaces
from tests.fakes.github import FakeGitHub
from tests.fakes.gitlab import FakeGitLab
from tests.fakes.slack import Bad
from tests.integration.chat import discord_rig
from tests.integration.chat.serving import serving as serving_here
from tests.integration.chat.slack_rig import open_office
from tests.integration.surfaces.process import known, serving, until

STOP_SECONDS_MAX = 100


def of_slack(office) -> dict[str, str]:
    return {
        "ONA_SLACK__BOT_TOKEN": office.bot.token,
        "ONA_SLACK__APP_TOKEN": office.slack.app.token,
        "ONA_SLACK__API_URL": office.slack.api_url,
    }


def of_github(github, **more: str) -> dict[str, str]:
    return {
        "ONA_GITHUB__APP_ID": str(github.app.id),
        "ONA_GITHUB__PRIVATE_KEY": github.private_key,
        "ONA_GITHUB__API_URL": github.url,
        "ONA_GITHUB__URL": github.url,
        **more,
    }


async def test_wrong_credentials_of_forges_leave_slack_answering_and_say_why(
    town, tmp_path, github_emulator
):
    async with (
        open_office(town) as office,
        FakeGitHub(github_emulator) as github,
        FakeGitLab() as gitlab,
    ):
        wrong = {
            "ONA_GITLAB__TOKEN": "glpat-hunter2",
            "ONA_GITLAB__URL": gitlab.url,
            **of_github(github, ONA_GITHUB__APP_ID="99"),
        }
        async with serving(town, tmp_path, **of_slack(office), **wrong) as process:
            found = await until(town, slack="listening", github="failing", gitlab="failing")
            asked = office.asks("!true")
            await office.slack.until(lambda: "eyes" in asked.reactions)
            office.ann.says(office.general, "status", thread=asked)
            await office.answered(asked, "Session s-")
            process.terminate()
            said, _ = await asyncio.wait_for(process.communicate(), STOP_SECONDS_MAX)
    assert process.returncode == 0, said.decode()
    assert "GitHub answered 401" in found["github"].why
    assert "GitLab answered 401" in found["gitlab"].why
    assert found["discord"].why == "discord.token is not set"
    assert (found["github"].mode, found["github"].delay_seconds) == ("poll", 30)
    assert b"glpat-hunter2" not in said
    assert all(one.state is None for one in (await known(town)).values()), "it has ended"


async def test_a_wrong_slack_token_and_a_missing_key_file_leave_gitlab_listening(
    town, tmp_path, github_emulator
):
    async with (
        open_office(town) as office,
        FakeGitHub(github_emulator) as github,
        FakeGitLab() as gitlab,
    ):
        bot = gitlab.person("ona-bot", is_bot=True)
        settings = {
            **of_slack(office),
            **of_github(github, ONA_GITHUB__PRIVATE_KEY=""),
            "ONA_SLACK__BOT_TOKEN": "xoxb-hunter2",
            "ONA_GITHUB__PRIVATE_KEY_FILE": str(tmp_path / "nowhere.pem"),
            "ONA_GITLAB__TOKEN": bot.token,
            "ONA_GITLAB__URL": gitlab.url,
            "ONA_GITLAB__WEBHOOK_SECRET": "whsec_%%%",
        }
        async with serving(town, tmp_path, **settings) as process:
            found = await until(town, slack="failing", github="failing", gitlab="listening")
            process.terminate()
            said, _ = await asyncio.wait_for(process.communicate(), STOP_SECONDS_MAX)
    assert process.returncode == 0, said.decode()
    assert found["slack"].why == "Slack says invalid_auth"
    assert "key" in found["github"].why
    assert "gitlab.webhook_secret" in found["gitlab"].why
    assert found["gitlab"].mode == "poll"
    assert b"xoxb-hunter2" not in said


async def test_a_wrong_app_token_is_told_and_not_tried_in_silence(town):
    async with open_office(town) as office:
        settings = office.settings
        wrong = settings.slack.model_copy(update={"app_token": SecretStr("xapp-wrong")})
        async with serving_here(town, settings.model_copy(update={"slack": wrong})):
            found = await until(town, slack="failing")
    assert found["slack"].why == "Slack says invalid_auth"


async def test_a_wrong_discord_token_is_told(town):
    async with discord_rig.open_office(town) as office, office.serving(token="wrong"):
        found = await until(town, discord="failing")
    assert "token" in found["discord"].why
    assert "wrong" not in found["discord"].why


async def test_of_two_processes_one_listens_to_discord_and_the_other_waits(town):
    async with discord_rig.open_office(town) as office, office.serving():
        await until(town, discord="listening")
        async with office.serving():
            async with asyncio.timeout(100):
                while len((await known(town))["discord"].processes) < 2:
                    await asyncio.sleep(0.1)
                while "waiting" not in [
                    one.state for one in (await known(town))["discord"].processes
                ]:
                    await asyncio.sleep(0.1)
            assert (await known(town))["discord"].state == "listening"


async def test_since_when_it_fails_stays_while_it_is_tried_again(town):
    def failing(why: str) -> Said:
        return Said(surface="slack", state=Condition.FAILING, why=why)

    await put(town.database, "one", [failing("first")])
    first = (await known(town))["slack"]
    await put(town.database, "one", [failing("second")])
    again = (await known(town))["slack"]
    assert (again.why, again.since) == ("second", first.since)
    await town.rows("UPDATE surface_state SET seen_at = now() - interval '40 s' RETURNING owner")
    assert (await known(town))["slack"].state is None


async def test_the_doctor_tells_what_a_running_process_says(town, tmp_path):
    check = dict(CHECKS)["Slack"]
    async with open_office(town) as office:
        settings = office.settings.model_copy(
            update={"database": DatabaseSettings(url=town.database.url), "data_dir": tmp_path}
        )
        before = await check(settings)
        async with office.serving():
            await until(town, slack="listening")
            found = await check(settings)
            other = await check(
                Settings(data_dir=tmp_path, database=DatabaseSettings(url=town.database.url))
            )
    assert found.found == f"{before.found}; `ona serve` listens"
    assert "a running `ona serve` has it on" in other.found


@pytest.mark.parametrize("repository", [True, False])
async def test_a_forge_that_is_polled_says_that_it_listens_whether_or_not_there_are_projects(
    town, tmp_path, github_emulator, repository
):
    async with FakeGitHub(github_emulator) as github:
        shop = await github.repository()
        if repository:
            await town.rows(
                "UPDATE project SET repository_url = :url RETURNING id",
                url=f"{github.url}/{shop.name}",
            )
        async with serving(town, tmp_path, **of_github(github)):
            found = await until(town, github="listening")
    assert found["github"].why == ""


async def test_a_slack_connection_that_breaks_is_told_and_so_is_the_next_one(town):
    async with open_office(town) as office, office.serving():
        before = (await until(town, slack="listening"))["slack"].since
        office.slack.behave("apps.connections.open", *[Bad(status=500)] * 3)
        office.slack.out.sockets.drop_all()
        broken = await until(town, slack="connecting")
        assert broken["slack"].why == "the connection to Slack broke"
        again = await until(town, slack="listening")
    assert again["slack"].since > before


async def test_repositories_of_a_forge_whose_key_is_unreadable_are_closed_and_not_open(
    town, tmp_path, github_emulator
):
    async with FakeGitHub(github_emulator) as github:
        shop = await github.repository()
        url = f"{github.url}/{shop.name}"
        (project,) = await town.rows(
            "UPDATE project SET repository_url = :url RETURNING id", url=url
        )
        given = GitHubSettings(
            app_id=github.app.id,
            private_key_file=tmp_path / "nowhere.pem",
            url=github.url,
            api_url=github.url,
        )
        person = town.people["Ann"]
        await town.rows(
            "INSERT INTO identity (id, surface, external_id, name, person_id)"
            " VALUES (gen_random_uuid(), :surface, '1', 'ann', :person) RETURNING person_id",
            surface=f"github:{github.url.partition('://')[2]}",
            person=person,
        )
        who = Standing(person_id=person, name="Ann", active=True, operator=False)
        settings = Settings(data_dir=tmp_path, github=given)
        async with open_surfaces(settings, town.database, owner="serve") as surfaces:
            rights = surfaces.rights
            with pytest.raises(NotPermitted):
                await rights.require(who, project[0], Permission.READ)
