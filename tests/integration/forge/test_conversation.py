"""A conversation on a pull request, from the comment to the answer."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from adapters.forge import polled, rereading
from bot.config import GitHubSettings, GitLabSettings, Settings
from bot.conversation import waiting
from tests.fakes.gitlab import DEVELOPER
from tests.integration.chat import slack_rig
from tests.integration.chat.serving import serving
from tests.integration.forge.gitlab_rig import open_shop
from tests.support.shift import Shift


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Nobody waits half a minute here."""
    monkeypatch.setattr(polled, "POLL_SECONDS", 0.2)
    monkeypatch.setattr(polled, "CATCH_UP_SECONDS", 0.2)
    monkeypatch.setattr(rereading, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(waiting, "SETTLED_SECONDS", 0.0)


async def project_at(town, url):
    await town.rows("UPDATE project SET repository_url = :url RETURNING id", url=url)


def on_github(github, **more):
    return Settings(
        github=GitHubSettings(
            app_id=github.app.id,
            private_key=SecretStr(github.private_key),
            api_url=github.url,
            url=github.url,
            **more,
        )
    )


@asynccontextmanager
async def at_github(town, places, github, shop, **more):
    """`ona serve` follows the shop, and a worker works."""
    await project_at(town, f"{github.url}/{shop.name}.git")
    async with serving(town, on_github(github, **more)), Shift(town, places, "w"):
        seen = "SELECT count(*) FROM cursor WHERE name LIKE 'github:%'"
        await until(town, lambda found: found > 0, seen)
        yield


async def until(town, true, statement, tries=400):
    for _ in range(tries):
        if true(await town.value(statement)):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(statement)


def ours(github, place):
    return [one for one in github.world.thread(place) if one.author.endswith("[bot]")]


def reactions(github, shop, message):
    return [one["content"] for one in github.world.reactions[shop.name, message.kind, message.id]]


async def test_on_github_a_comment_is_answered_once_with_its_state_in_a_check_run(
    town, places, github, shop, pull
):
    async with at_github(town, places, github, shop):
        asked = await github.ann.says(pull, "Hm.\n\n/ona !sleep 3; echo one")
        await github.until(lambda: ours(github, pull.place), 30)
        (answer,) = ours(github, pull.place)
        assert "one" in answer.text
        assert answer.mentions == ["ann"]
        head = await pull.head()
        await github.until(lambda: any(r["status"] == "completed" for r in pull.checks(head)), 30)
        (run,) = pull.checks(head)
        assert run["conclusion"] == "success"
        await github.until(lambda: not reactions(github, shop, asked))
        await github.ann.says(pull, "/ona !echo two")
        await github.until(lambda: len(ours(github, pull.place)) == 2, 30)
        assert await town.value("SELECT count(*) FROM session") == 1


async def test_on_github_what_no_webhook_told_is_found_by_asking(town, places, github, shop, pull):
    secret = SecretStr(github.hooks.secret)
    async with at_github(town, places, github, shop, webhook_secret=secret):
        await github.ann.says(pull, "/ona !echo one")
        await github.until(lambda: ours(github, pull.place), 30)


async def test_on_github_who_may_not_write_gets_a_sign_and_nothing_else(
    town, places, github, shop, pull
):
    async with at_github(town, places, github, shop):
        asked = await github.bo.says(pull, "/ona !echo one")
        await github.until(lambda: reactions(github, shop, asked) == ["confused"], 30)
        assert ours(github, pull.place) == []
        assert await town.value("SELECT count(*) FROM prompt") == 0


async def test_on_github_what_is_asked_inline_is_answered_there_in_the_same_session(
    town, places, github, shop, pull
):
    async with at_github(town, places, github, shop):
        await github.ann.says(pull, "/ona !echo one")
        await github.until(lambda: ours(github, pull.place), 30)
        inline = await github.ann.says_inline(pull, "/ona !echo two")
        await github.until(lambda: ours(github, inline.place), 30)
        (answer,) = ours(github, inline.place)
        assert "two" in answer.text
        assert len(ours(github, pull.place)) == 1
        assert await town.value("SELECT count(*) FROM session") == 1


async def test_a_failure_ends_neutral_and_says_so_to_who_asked(town, places, github, shop, pull):
    async with at_github(town, places, github, shop):
        asked = await github.ann.says(pull, "/ona !sleep 3; exit 3")
        await github.until(lambda: ours(github, pull.place), 30)
        (answer,) = ours(github, pull.place)
        assert answer.mentions == ["ann"]
        head = await pull.head()
        await github.until(lambda: any(r["status"] == "completed" for r in pull.checks(head)), 30)
        assert [run["conclusion"] for run in pull.checks(head)] == ["neutral"]
        await github.until(lambda: reactions(github, shop, asked) == ["-1"], 30)


async def test_a_pull_request_and_a_slack_thread_share_a_session(town, places, github, shop, pull):
    async with (
        slack_rig.open_office(town) as office,
        at_github(town, places, github, shop),
        office.serving(),
    ):
        await github.ann.says(pull, "/ona !echo one")
        await github.until(lambda: ours(github, pull.place), 30)
        short = await town.value("SELECT short FROM session")
        await town.rows("UPDATE project SET repository_url = '/srv/demo' RETURNING id")
        asked = office.asks(f"join {short}")
        await office.answered(asked, "talks to session")
        office.ann.says(office.general, "!echo two", thread=asked)
        await office.answered(asked, "two", "Done")
        assert len(ours(github, pull.place)) == 1
        assert "two" not in ours(github, pull.place)[0].text


RUNNING = "SELECT count(*) FROM turn WHERE state = 'running'"
QUEUED = "SELECT count(*) FROM prompt WHERE state = 'queued'"
TEXTS = "SELECT string_agg(text, ' ' ORDER BY text) FROM delivery WHERE prompt_id IS NOT NULL"


async def test_on_github_what_waits_goes_with_its_comment(town, places, github, shop, pull):
    async with at_github(town, places, github, shop):
        await github.ann.says(pull, "/ona !sleep 100")
        await until(town, lambda n: n == 1, RUNNING)
        says = (
            await github.ann.says(pull, "/ona !echo comment"),
            await github.ann.says_inline(pull, "/ona !echo inline"),
            await github.ann.says(pull, "/ona !echo edited"),
        )
        review = await github.ann.reviews(pull, "/ona !echo review")
        await until(town, lambda n: n == 4, QUEUED)
        await github.ann.edits(says[2], "never mind")
        await github.ann.edits(review, "/ona !echo reworded")
        await github.ann.deletes(says[0])
        await github.ann.deletes(says[1])
        await until(town, lambda n: n == 1, QUEUED)
        await until(town, lambda texts: texts == "echo reworded sleep 100", TEXTS)


@asynccontextmanager
async def at_gitlab(town, places, shop, **more):
    token = SecretStr(shop.us.token)
    settings = Settings(gitlab=GitLabSettings(token=token, url=shop.gitlab.url, **more))
    await project_at(town, shop.project.clone_url)
    async with serving(town, settings), Shift(town, places, "w"):
        seen = "SELECT count(*) FROM cursor WHERE name LIKE 'gitlab:%'"
        await until(town, lambda found: found > 0, seen)
        yield


async def test_on_gitlab_a_note_is_answered_once_with_its_state_in_a_status(town, places):
    async with open_shop() as shop, at_gitlab(town, places, shop):
        asked = shop.ann.says(shop.request, "Hm.\n\n/ona !sleep 3; echo one")
        await shop.gitlab.until(lambda: shop.request.by(shop.us), 30)
        (answer,) = shop.request.by(shop.us)
        assert "one" in answer.body
        await shop.gitlab.until(
            lambda: (
                (state := shop.project.shown(shop.request.sha, "ona")) and state.status == "success"
            ),
            30,
        )
        await shop.gitlab.until(lambda: asked.awarded(shop.us) == [])
        shop.ann.says(shop.request, "/ona !echo two")
        await shop.gitlab.until(lambda: len(shop.request.by(shop.us)) == 2, 30)
        assert await town.value("SELECT count(*) FROM session") == 1


async def test_on_gitlab_what_no_webhook_told_is_found_by_asking(town, places):
    async with open_shop() as shop, at_gitlab(town, places, shop, webhook_secret="a secret"):
        shop.ann.says(shop.request, "/ona !echo one")
        await shop.gitlab.until(lambda: shop.request.by(shop.us), 30)


async def test_on_gitlab_a_stop_sign_at_our_note_stops(town, places):
    async with open_shop() as shop, at_gitlab(town, places, shop):
        shop.ann.says(shop.request, "/ona !echo one")
        await shop.gitlab.until(lambda: shop.request.by(shop.us), 30)
        shop.ann.says(shop.request, "/ona !sleep 100")
        await until(town, lambda n: n == 1, "SELECT count(*) FROM turn WHERE state = 'running'")
        shop.ann.awards(shop.request.by(shop.us)[0], "octagonal_sign")
        await until(town, lambda n: n == 1, "SELECT count(*) FROM turn WHERE state = 'stopped'")


async def test_on_gitlab_a_stop_sign_at_ones_own_request_stops_the_first_turn(town, places):
    async with open_shop() as shop, at_gitlab(town, places, shop):
        asked = shop.ann.says(shop.request, "/ona !sleep 100")
        await until(town, lambda n: n == 1, RUNNING)
        assert shop.request.by(shop.us) == [], "there is nothing else that it could stand at"
        shop.ann.awards(asked, "octagonal_sign")
        await until(town, lambda n: n == 1, "SELECT count(*) FROM turn WHERE state = 'stopped'")


async def test_on_gitlab_a_stranger_gets_a_sign_and_nothing_else(town, places):
    async with open_shop() as shop, at_gitlab(town, places, shop):
        eve = shop.gitlab.person("eve")
        shop.project.visibility = "public"
        asked = eve.says(shop.request, "/ona !echo one")
        await shop.gitlab.until(lambda: asked.awarded(shop.us) == ["confused"], 30)
        assert shop.request.by(shop.us) == []


async def test_on_gitlab_what_waits_goes_with_its_note(town, places):
    async with open_shop() as shop, at_gitlab(town, places, shop):
        shop.ann.says(shop.request, "/ona !sleep 100")
        await until(town, lambda n: n == 1, RUNNING)
        gone = shop.ann.says(shop.request, "/ona !echo gone")
        shop.ann.says(shop.request, "/ona !echo kept")
        await until(town, lambda n: n == 2, QUEUED)
        shop.ann.deletes(gone)
        await until(town, lambda n: n == 1, QUEUED)
        assert await town.value(TEXTS) == "echo kept sleep 100"


async def test_on_gitlab_no_bot_prompts_whatever_gitlab_takes_it_for(town, places):
    async with open_shop() as shop, at_gitlab(town, places, shop, bots=["@Renovate"]):
        taken_for_people = ("renovate", "project_7_bot_0af1", "group_12_bot", "service_account_x1f")
        bots = [shop.gitlab.person(name) for name in taken_for_people]
        bots.append(shop.gitlab.person("robot", is_bot=True))
        for bot in bots:
            shop.project.members[bot] = DEVELOPER
            bot.says(shop.request, "/ona !echo bot")
        shop.ann.says(shop.request, "/ona !echo person")
        await shop.gitlab.until(lambda: shop.request.by(shop.us), 30)
        assert await town.value(TEXTS) == "echo person"
