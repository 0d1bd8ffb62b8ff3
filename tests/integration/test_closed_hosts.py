"""A forge that the settings name, and that can't be asked, lets nobody use its repositories."""

from contextlib import AsyncExitStack

import pytest

from adapters.chat.incoming import Author
from adapters.forge.port import Permission
from bot.config import DatabaseSettings, GitHubSettings, GitLabSettings, Settings
from bot.doctor.finding import Verdict
from bot.doctor.forges import check_github, check_gitlab
from bot.errors import NotPermitted
from bot.forges import open_rights
from bot.govern.access import Standing
from bot.on_discord import projects_of
from bot.surfaces import open_surfaces

GHES = "https://git.acme.test"
OF_GITHUB = (
    "https://github.com/acme/secret",
    "https://GitHub.com/acme/secret.git",
    "https://www.github.com/acme/secret",
    "https://github.com:443/acme/secret/",
    "https://github.com:8443/acme/secret",
    "https://github.com/acme/secret/tree/main",
    "https://github.com./acme/secret",
    "http://token@github.com/acme/secret",
    "git@github.com:acme/secret.git",
    "ssh://git@github.com/acme/secret.git",
    "ssh://git@ssh.github.com:443/acme/secret.git",
    "git://github.com/acme/secret.git",
)
HALF = (
    {"github": GitHubSettings(app_id=1)},
    {"github": GitHubSettings(private_key="x")},
    {"github": GitHubSettings(client_id="x")},
    {"github": GitHubSettings(webhook_secret="x")},
    {"github": GitHubSettings(forks=True)},
    {"github": GitHubSettings(url="https://github.com")},
    {"github": GitHubSettings(app_id=1, private_key_file="/nowhere.pem")},
    {"github": GitHubSettings(app_id=1, private_key="no key")},
)


@pytest.fixture
def installed(town, tmp_path):
    """Settings of an installation with the town's database."""

    def make(**more) -> Settings:
        return Settings(data_dir=tmp_path, database=DatabaseSettings(url=town.database.url), **more)

    return make


@pytest.fixture
def someone(town) -> Standing:
    return Standing(person_id=town.people["Ann"], name="Ann", active=True, operator=False)


async def at(town, url):
    """The project, with its repository there."""
    ((project,),) = await town.rows("UPDATE project SET repository_url = :u RETURNING id", u=url)
    return project


async def refused(town, settings, someone, urls) -> set[str]:
    """Those of the addresses whose repositories the person may not use."""
    closed = set()
    async with (
        open_surfaces(settings, town.database, owner="serve") as surfaces,
        AsyncExitStack() as stack,
    ):
        at_work = await open_rights(stack, settings, town.database)
        for url in urls:
            project = await at(town, url)
            try:
                await surfaces.rights.require(someone, project, Permission.READ)
            except NotPermitted:
                closed.add(url)
                for one in (surfaces.rights, at_work):
                    with pytest.raises(NotPermitted):
                        await one.require_at(someone, url, Permission.READ)
            else:
                await at_work.require(someone, project, Permission.ADMIN)
                await surfaces.rights.require_at(someone, url, Permission.ADMIN)
    return closed


@pytest.mark.parametrize("half", HALF, ids=repr)
async def test_a_forge_that_is_half_set_up_closes_every_repository_of_its_host(
    town, installed, someone, half
):
    urls = OF_GITHUB if half is HALF[0] else OF_GITHUB[:1]
    assert await refused(town, installed(**half), someone, urls) == set(urls)


async def test_a_gitlab_without_a_token_closes_its_host_and_no_other(town, installed, someone):
    half = installed(gitlab=GitLabSettings(url="https://git.acme.test:8443/code"))
    urls = (
        "https://git.acme.test:8443/code/acme/secret",
        "https://git.acme.test/acme/secret",
        "git@git.acme.test:acme/secret",
        "https://gitlab.com/acme/open",
        "https://git.acme.test.evil.test/acme/open",
        "/srv/git.acme.test/open",
    )
    assert await refused(town, half, someone, urls) == set(urls[:3])


async def test_a_server_of_ones_own_and_its_interface_are_both_closed(town, installed, someone):
    urls = (f"{GHES}/acme/secret", "https://github.com/acme/open")
    whole = {"url": GHES, "api_url": f"{GHES}/api/v3"}
    half = installed(github=GitHubSettings(app_id=1, **whole))
    assert await refused(town, half, someone, urls) == {urls[0]}
    forgot = installed(github=GitHubSettings(app_id=1, private_key="no key", url=GHES))
    assert await refused(town, forgot, someone, urls) == set(urls)
    found = await check_github(forgot)
    assert "github.api_url belongs to github.com" in found.found


async def test_what_is_closed_is_offered_to_nobody_and_its_operator_is_let_in(
    town, installed, someone
):
    half, url = installed(github=GitHubSettings(app_id=1)), OF_GITHUB[0]
    project = await at(town, url)
    operator = Standing(person_id=someone.person_id, name="Ann", active=True, operator=True)
    async with open_surfaces(half, town.database, owner="serve") as surfaces:
        rights = surfaces.rights
        stranger = Author(account="G", id="8", name="x")
        assert await projects_of(town.database, rights, stranger) == []
        rows = [{"project_id": project}]
        assert await rights.visible(someone, rows) == []
        assert await rights.visible(operator, rows) == rows
        await rights.require(operator, project, Permission.ADMIN)
        with pytest.raises(NotPermitted) as error:
            await rights.require(someone, project, Permission.READ)
    assert "github.com can't be asked" in error.value.happened
    assert "private_key" not in f"{error.value.happened} {error.value.do}"
    found = await check_github(half)
    assert found.found == "off: github.private_key_file or github.private_key is not set"
    assert "github.com are for operators only" in found.follows


async def test_a_forge_that_is_switched_off_leaves_its_host_closed_until_it_is_opened(
    town, installed, someone
):
    async with open_surfaces(
        installed(gitlab=GitLabSettings(token="x")), town.database, owner="serve"
    ):
        pass
    urls = ("git@gitlab.com:acme/secret.git", "https://github.com/acme/open")
    assert await refused(town, installed(), someone, urls) == {urls[0]}
    found = await check_gitlab(installed())
    assert found.verdict is Verdict.LESS
    assert "open_hosts = ['gitlab.com']" in found.do
    opened = installed(open_hosts=["GitLab.com"])
    assert await refused(town, opened, someone, urls) == set()
    assert (await check_gitlab(opened)).verdict is Verdict.FINE
    again = installed(open_hosts=["gitlab.com"], gitlab=GitLabSettings(forks=True))
    assert await refused(town, again, someone, urls) == {urls[0]}
