"""`ona doctor` about Slack and Discord, asked over the real SDKs."""

import pytest
from pydantic import SecretStr

from bot.config import DiscordSettings, Settings, SlackSettings
from bot.doctor.finding import Verdict
from bot.doctor.surfaces import check_discord, check_slack
from tests.fakes.discord import FakeDiscord
from tests.fakes.discord.pointed import pointed_at
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.installed import DEFAULT_SCOPES

NOWHERE = "http://127.0.0.1:9/"


def on_slack(bot_token: str, app_token: str, api: str) -> Settings:
    return Settings(
        slack=SlackSettings(
            bot_token=SecretStr(bot_token), app_token=SecretStr(app_token), api_url=api
        )
    )


def on_discord(token: str) -> Settings:
    return Settings(discord=DiscordSettings(token=SecretStr(token)))


@pytest.mark.parametrize("wrong", ["bot", "app", "swapped", None])
async def test_slack_says_which_token_is_wrong_and_what_to_do(wrong):
    async with FakeSlack() as slack:
        bot, app = slack.install(slack.workspace("acme")).token, next(iter(slack.app.app_tokens))
        given = {"bot": ("xoxb-no", app), "app": (bot, "xapp-no"), "swapped": (app, bot)}
        found = await check_slack(on_slack(*given.get(wrong, (bot, app)), slack.api_url))
    if wrong is None:
        assert found.verdict is Verdict.FINE
        assert "acme" in found.found
        return
    assert found.verdict is Verdict.LESS
    if wrong == "swapped":
        assert found.found == "slack.bot_token begins with xapp-"
        assert found.do.startswith("The bot token begins with xoxb-, the app's own with xapp-")
    else:
        assert found.found.startswith("the app's token: " if wrong == "app" else "the bot token: ")
        assert found.do.startswith("Make the tokens anew")


@pytest.mark.parametrize("why", ["scope", "feature", ""])
async def test_slack_says_why_there_are_no_agent_sessions_and_that_nothing_else_is_wrong(why):
    async with FakeSlack() as slack:
        team = slack.workspace("acme")
        scopes = DEFAULT_SCOPES - {"assistant:write"} if why == "scope" else DEFAULT_SCOPES
        bot, app = slack.install(team, scopes=scopes).token, next(iter(slack.app.app_tokens))
        team.has_agent_sessions = why != "feature"
        found = await check_slack(on_slack(bot, app, slack.api_url))
    assert found.verdict is Verdict.FINE
    said = {
        "scope": "the app is not declared an agent (scope assistant:write)",
        "feature": "Slack says feature_disabled",
        "": "",
    }[why]
    assert found.found.endswith(f"in acme; no agent sessions: {said}" if why else "in acme")


async def test_a_slack_that_is_out_of_reach_says_nothing_about_the_tokens():
    found = await check_slack(on_slack("xoxb-1", "xapp-1", NOWHERE))
    assert found.verdict is Verdict.LESS
    assert "can't be reached" in found.found
    assert found.do.startswith("See whether this host reaches Slack")


async def test_discord_says_that_its_token_is_wrong_and_where_the_invitation_is():
    async with FakeDiscord() as fake:
        app = fake.app("ona")
        with pointed_at(fake):
            wrong = await check_discord(on_discord("nonsense"))
            right = await check_discord(on_discord(app.token))
    assert wrong.verdict is Verdict.LESS
    assert wrong.do.startswith("Reset the bot's token, then `ona setup discord`")
    assert right.verdict is Verdict.FINE
    assert "oauth2/authorize" in right.found


async def test_a_discord_that_is_out_of_reach_says_nothing_about_the_token():
    async with FakeDiscord() as fake:
        pass
    with pointed_at(fake):
        found = await check_discord(on_discord("nonsense"))
    assert found.verdict is Verdict.LESS
    assert found.do.startswith("See whether this host reaches Discord")
