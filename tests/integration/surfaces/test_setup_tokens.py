"""`ona setup gitlab` and `ona setup slack`: tokens are tried, kept, and never shown."""

import socket
import stat
import tomllib
from pathlib import Path

import pytest

from tests.fakes.gitlab import FakeGitLab
from tests.fakes.slack import FakeSlack
from tests.integration.surfaces.terminal import command


@pytest.fixture
async def gitlab():
    async with FakeGitLab() as gitlab:
        yield gitlab


@pytest.fixture
async def slack():
    async with FakeSlack() as slack:
        yield slack


def kept(home, section):
    return tomllib.loads((home / "ona.toml").read_text())[section]


async def test_a_gitlab_token_is_tried_kept_and_not_shown(gitlab, tmp_path):
    bot = gitlab.person("ona-bot", is_bot=True)
    async with command("setup", "gitlab", "--url", gitlab.url, home=tmp_path) as running:
        await running.until("2. Its token")
        running.type("glpat-wrong")
        await running.until("2. Its token", times=2)
        running.type(bot.token)
        assert await running.end() == 0, running.said
    assert "It works: ona-bot." in running.said
    assert kept(tmp_path, "gitlab") == {"token": bot.token, "url": gitlab.url}
    assert stat.S_IMODE((tmp_path / "ona.toml").stat().st_mode) == 0o600
    for secret in (bot.token, "glpat-wrong"):
        assert secret not in running.said + running.shown


async def test_with_a_public_address_the_secret_of_the_webhook_is_asked_for(gitlab, tmp_path):
    bot = gitlab.person("ona-bot", is_bot=True)
    settings = {"ONA_PUBLIC_URL": "https://ona.example.org", "ONA_GITLAB__URL": gitlab.url}
    given = f"{bot.token}\nwhsec_c2VjcmV0\n"
    async with command("setup", "gitlab", home=tmp_path, given=given, **settings) as running:
        assert await running.end() == 0, running.said
    assert "https://ona.example.org/hooks/gitlab" in running.said
    assert kept(tmp_path, "gitlab") == {"token": bot.token, "webhook_secret": "whsec_c2VjcmV0"}
    assert "whsec_c2VjcmV0" not in running.said


async def test_a_wrong_gitlab_token_of_a_program_ends_it_and_nothing_is_written(gitlab, tmp_path):
    given = ("setup", "gitlab", "--url", gitlab.url)
    async with command(*given, home=tmp_path, given="glpat-wrong\n") as running:
        assert await running.end() == 2
    assert "Nothing was written" in running.said
    assert "Traceback" not in running.said
    assert not (tmp_path / "ona.toml").exists()


async def test_a_gitlab_that_does_not_answer_is_named_and_its_token_is_not_blamed(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    given = ("setup", "gitlab", "--url", address)
    async with command(*given, home=tmp_path, given="glpat-x\n") as running:
        assert await running.end() == 3
    assert f"GitLab can't be reached (at {address})" in running.said.replace("\n", " ")
    assert "Give another one" not in running.said
    assert not (tmp_path / "ona.toml").exists()


async def test_setup_before_the_first_start_names_what_works_without_it(tmp_path):
    async with command("setup", home=tmp_path, given="") as running:
        assert await running.end() == 3
    said = " ".join(running.said.split())
    assert "`ona setup slack`, `discord`, `github` and `gitlab` work" in said


async def test_what_a_gitlab_token_lacks_is_told_and_it_is_kept(gitlab, tmp_path):
    bot = gitlab.person("ona-bot", is_bot=True)
    bot.scopes = ("read_api",)
    given = ("setup", "gitlab", "--url", gitlab.url)
    async with command(*given, home=tmp_path, given=f"{bot.token}\n") as running:
        assert await running.end() == 0
    assert "It lacks the scope `api`" in running.said
    assert kept(tmp_path, "gitlab")["token"] == bot.token


async def test_a_variable_that_goes_before_the_file_is_named(gitlab, tmp_path):
    bot = gitlab.person("ona-bot", is_bot=True)
    settings = {"ONA_GITLAB__URL": gitlab.url, "ONA_GITLAB__TOKEN": "glpat-old"}
    given = f"{bot.token}\n"
    async with command("setup", "gitlab", home=tmp_path, given=given, **settings) as running:
        assert await running.end() == 0
    assert "ONA_GITLAB__TOKEN goes before the file" in running.said
    assert "glpat-old" not in running.said


async def test_enter_alone_leaves_everything_as_it_is(gitlab, tmp_path):
    given = ("setup", "gitlab", "--url", gitlab.url)
    async with command(*given, home=tmp_path, given="\n") as running:
        assert await running.end() == 0
    assert "nothing is changed" in running.said
    assert not (tmp_path / "ona.toml").exists()


async def test_both_slack_tokens_are_tried_kept_and_not_shown(slack, tmp_path):
    bot = slack.install(slack.workspace("acme"))
    (app_token,) = slack.app.app_tokens
    (tmp_path / "ona.toml").write_text(
        '[slack]\nsigning_secret = "old"\nstart_reaction = "robot"\n'
    )
    settings = {"ONA_SLACK__API_URL": slack.api_url}
    async with command("setup", "slack", home=tmp_path, **settings) as running:
        said = await running.until("2. The bot token")
        running.type(bot.token)
        await running.until("3. The app's own token")
        running.type(app_token)
        assert await running.end() == 0, running.said
    assert "manifest_yaml=" in said
    assert "deploy/slack/manifest.yaml" in said
    assert kept(tmp_path, "slack") == {
        "bot_token": bot.token,
        "app_token": app_token,
        "start_reaction": "robot",
    }
    for secret in (bot.token, app_token):
        assert secret not in running.said + running.shown


async def test_over_http_the_signing_secret_takes_the_place_of_the_apps_token(slack, tmp_path):
    bot = slack.install(slack.workspace("acme"))
    settings = {"ONA_SLACK__API_URL": slack.api_url, "ONA_PUBLIC_URL": "https://ona.example.org"}
    given = f"{bot.token}\nsigning\n"
    async with command("setup", "slack", "--http", home=tmp_path, given=given, **settings) as runs:
        assert await runs.end() == 0, runs.said
    assert "https://ona.example.org/hooks/slack" in runs.said
    assert kept(tmp_path, "slack") == {"bot_token": bot.token, "signing_secret": "signing"}


async def test_over_http_needs_a_public_address(tmp_path):
    async with command("setup", "slack", "--http", home=tmp_path, given="") as running:
        assert await running.end() == 2
    assert "--http needs a public address" in running.said


@pytest.mark.parametrize("wrong", ["bot", "app"])
async def test_a_wrong_slack_token_says_which_one_and_nothing_is_written(slack, tmp_path, wrong):
    bot = slack.install(slack.workspace("acme"))
    (app_token,) = slack.app.app_tokens
    tokens = ("xoxb-wrong", app_token) if wrong == "bot" else (bot.token, "xapp-wrong")
    settings = {"ONA_SLACK__API_URL": slack.api_url}
    given = "\n".join(tokens) + "\n"
    async with command("setup", "slack", home=tmp_path, given=given, **settings) as running:
        assert await running.end() == 2
    said = "The bot token: " if wrong == "bot" else "The app's token: "
    assert f"{said}Slack says invalid_auth" in running.said
    assert not (tmp_path / "ona.toml").exists()


async def test_slack_tokens_given_for_each_other_are_told_apart(slack, tmp_path):
    bot = slack.install(slack.workspace("acme"))
    (app_token,) = slack.app.app_tokens
    given, settings = f"{app_token}\n{bot.token}\n", {"ONA_SLACK__API_URL": slack.api_url}
    async with command("setup", "slack", home=tmp_path, given=given, **settings) as running:
        assert await running.end() == 2, running.said
    assert "bot_token begins with xapp-. Nothing was written." in running.said
    assert "the bot token begins with xoxb-, the app's own with xapp-" in running.said
    assert not (tmp_path / "ona.toml").exists()


async def test_a_secret_is_in_no_argument_of_the_process(gitlab, tmp_path):
    bot = gitlab.person("ona-bot", is_bot=True)
    async with command("setup", "gitlab", "--url", gitlab.url, home=tmp_path) as running:
        await running.until("2. Its token")
        arguments = Path(f"/proc/{running.process.pid}/cmdline").read_bytes()
        running.type(bot.token)
        assert await running.end() == 0
    assert bot.token.encode() not in arguments
