"""Delivery as the settings have it: which code host, by which credentials."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.config import GitHubSettings, GitLabSettings, Settings
from bot.deliveries import delivery_open
from bot.logins import logins_open
from tests.fakes import git_server, git_tree
from tests.fakes import gitlab as fake_gitlab
from tests.fakes.github import FakeGitHub
from tests.fakes.github.requests import Refused
from tests.fakes.gitlab import MAINTAINER
from tests.integration.conftest import Town
from tests.integration.work.delivery_rig import bare, open_desk


@pytest.fixture
async def github(github_emulator) -> AsyncIterator[FakeGitHub]:
    async with FakeGitHub(github_emulator) as github:
        yield github


async def test_github_is_pushed_to_with_a_token_of_its_own_that_ends(
    github: FakeGitHub, town: Town, tmp_path: Path
) -> None:
    shop = await github.repository(private=True)
    used: set[str] = set()

    def is_ours(login: str) -> bool:
        user, _, token = login.partition(":")
        used.add(token)
        try:
            actor = github.tokens.actor({"Authorization": f"token {token}"})
        except Refused:
            return False
        return (user, actor.app) == ("x-access-token", github.app)

    github.git = tmp_path / "srv"
    (github.git / "acme").mkdir(parents=True)
    origin = bare(github.git / f"{shop.name}.git")
    with git_server.serve(github.git, is_ours) as place:
        ours = GitHubSettings(
            app_id=github.app.id,
            private_key=SecretStr(github.private_key),
            api_url=github.url,
            url=f"http://{place}",
        )
        settings = Settings(data_dir=tmp_path / "data", github=ours)
        url = f"http://{place}/{shop.name}.git"
        async with logins_open(settings) as logins:
            desk = await open_desk(town, tmp_path, origin, url, read_by=logins)
            cloned_with = set(used)
            opening = delivery_open(settings, town.database, desk.repositories, logins)
            async with opening as desk.delivery:
                git_tree.write(desk.directory, {b"one": b"1\n"})
                assert await desk.deliver() == []
                assert list((settings.host_dir / "deliveries").iterdir()) == []
    (told,) = await desk.told()
    assert told["number"]
    (pushed_with,) = used - cloned_with
    with pytest.raises(Refused):
        github.tokens.actor({"Authorization": f"token {pushed_with}"})


async def test_gitlab_is_pushed_to_with_the_token_of_the_settings(
    town: Town, tmp_path: Path
) -> None:
    async with fake_gitlab.FakeGitLab() as gitlab:
        ona = gitlab.person("ona-bot", is_bot=True)
        project = gitlab.project("acme/api", {ona: MAINTAINER})
        # The fake speaks no git: what is below its address is pushed to beside it.
        ours = GitLabSettings(token=SecretStr(ona.token), url=gitlab.url)
        settings = Settings(data_dir=tmp_path / "data", gitlab=ours)
        async with (
            logins_open(settings) as logins,
            delivery_open(settings, town.database, None, logins) as delivery,
        ):
            found = delivery._means.forge_of(f"{gitlab.url}/acme/api.git")
            assert found is not None
            forge, name = found
            assert (forge.surface, name) == ("gitlab", project.path)
            async with forge.login(name) as login:
                assert login == ("oauth2", ona.token)
            assert delivery._means.forge_of("https://github.com/acme/api") is None


async def test_a_key_that_can_not_be_read_delivers_nothing_there_and_breaks_nothing(
    town: Town, tmp_path: Path
) -> None:
    ours = GitHubSettings(app_id=7, private_key_file=tmp_path / "not there")
    settings = Settings(data_dir=tmp_path, github=ours)
    left = settings.host_dir / "deliveries" / "delivery-left"
    left.mkdir(parents=True)
    async with (
        logins_open(settings) as logins,
        delivery_open(settings, town.database, None, logins) as delivery,
    ):
        assert delivery._means.forges == []
        assert not left.exists(), "what a killed process left is removed"
