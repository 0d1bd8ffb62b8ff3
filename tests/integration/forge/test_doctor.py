"""`ona doctor` about the code hosts."""

import pytest
from sqlalchemy import text

from bot.config import DatabaseSettings, GitHubSettings, GitLabSettings, Settings
from bot.doctor.finding import Verdict
from bot.doctor.forges import check_github, check_gitlab
from bot.store.ids import new_id
from tests.integration.forge.gitlab_rig import open_shop


@pytest.fixture
def installed(town, tmp_path):
    """Settings of an installation with the town's database."""

    def make(**more) -> Settings:
        return Settings(data_dir=tmp_path, database=DatabaseSettings(url=town.database.url), **more)

    return make


@pytest.fixture
def on_github(installed, github, tmp_path):
    def make(*, public_url=None, **more) -> Settings:
        given = {"app_id": github.app.id, "private_key": github.private_key, **more}
        return installed(
            public_url=public_url,
            github=GitHubSettings(**given, url=github.url, api_url=github.url),
        )

    return make


async def add_project(town, url: str) -> None:
    async with town.database.begin() as tx:
        await tx.execute(
            text(
                "INSERT INTO project (id, name, repository_url, agent)"
                " VALUES (:id, :name, :url, 'shell')"
            ),
            {"id": new_id(), "name": url[-12:].replace("/", "-"), "url": url},
        )


async def test_what_nobody_set_up_is_off_and_fine(installed):
    for check in (check_github, check_gitlab):
        found = await check(installed())
        assert found.verdict is Verdict.FINE
        assert found.found.startswith("off: ")
    assert "gitlab.token is not set" in found.found


async def test_what_somebody_began_to_set_up_says_which_setting_is_missing(installed):
    found = await check_github(installed(github=GitHubSettings(app_id=1)))
    assert found.verdict is Verdict.LESS
    assert found.found == "off: github.private_key_file or github.private_key is not set"
    assert "ona setup github" in found.do


async def test_a_key_file_that_is_not_there_is_named(installed, tmp_path):
    given = GitHubSettings(app_id=1, private_key_file=tmp_path / "nowhere.pem")
    found = await check_github(installed(github=given))
    assert found.verdict is Verdict.LESS
    assert "nowhere.pem can't be read" in found.found


async def test_a_good_app_without_webhooks_says_that_it_polls_and_how_often(
    town, on_github, github, shop
):
    await add_project(town, f"{github.url}/{shop.name}.git")
    found = await check_github(on_github())
    assert (found.verdict, found.found) == (
        Verdict.FINE,
        f"{github.app.slug}; polls every 30 s",
    )


async def test_a_good_app_with_webhooks_says_how_late_lost_ones_are_found(on_github, github):
    github.registered.hook_url = "https://ona.example.org/hooks/github"
    found = await check_github(
        on_github(public_url="https://ona.example.org", webhook_secret="s3cret")
    )
    assert found.verdict is Verdict.FINE, found
    assert found.found.endswith("by webhooks; polls every 300 s for lost ones")


async def test_webhooks_without_a_public_address_are_noted(on_github):
    found = await check_github(on_github(webhook_secret="s3cret"))
    assert found.verdict is Verdict.LESS
    assert found.found.endswith("public_url is not set")


async def test_projects_that_the_app_does_not_see_are_named(town, on_github, github, shop):
    github.registered.hidden.add(shop.name)
    await add_project(town, f"{github.url}/{shop.name}.git")
    await add_project(town, "https://elsewhere.example.org/a/b.git")
    found = await check_github(on_github())
    assert found.verdict is Verdict.LESS
    assert found.found.endswith(f"doesn't see {shop.name}")


async def test_a_wrong_key_says_what_follows_and_never_shows_it(on_github):
    found = await check_github(on_github(private_key="hunter2"))
    assert found.verdict is Verdict.LESS
    assert found.follows == "Nobody can talk to ona on GitHub."
    assert "hunter2" not in str(found)


async def test_gitlab_is_examined_with_its_projects(town, installed):
    async with open_shop() as shop:
        await add_project(town, shop.project.clone_url)
        given = GitLabSettings(token=shop.us.token, url=shop.gitlab.url)
        found = await check_gitlab(installed(gitlab=given))
        assert (found.verdict, found.found) == (Verdict.FINE, "ona-bot; polls every 30 s")
        shop.us.scopes = ("read_api",)
        found = await check_gitlab(installed(gitlab=given))
        assert found.found == "ona-bot; polls every 30 s; without the scope `api`"
        wrong = await check_gitlab(installed(gitlab=given.model_copy(update={"token": None})))
        assert wrong.found == "off: gitlab.token is not set"


async def test_a_wrong_gitlab_token_says_what_to_do(installed):
    async with open_shop() as shop:
        given = GitLabSettings(token="glpat-wrong", url=shop.gitlab.url)
        found = await check_gitlab(installed(gitlab=given))
    assert found.verdict is Verdict.LESS
    assert "the token is wrong, or has ended" in found.found
    assert "docs/gitlab.md" in found.do
    assert "glpat-wrong" not in str(found)


async def test_without_a_database_the_credentials_are_examined_all_the_same(
    github, on_github, tmp_path
):
    away = on_github().model_copy(update={"database": DatabaseSettings()})
    assert (await check_github(away)).verdict is Verdict.FINE
