"""Grants of code hosts: narrowed, revoked, and found again when nobody wrote them down."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest

from adapters.forge.gitlab.client import Client
from adapters.vault import errors
from adapters.vault.forges import GitHubTokens, GitLabTokens
from adapters.vault.importing import import_rsa_key
from adapters.vault.port import Trail
from tests.fakes.github import FakeGitHub
from tests.fakes.gitlab.server import FakeGitLab
from tests.fakes.gitlab.world import MAINTAINER
from tests.integration.vault.conftest import Place, github_tokens, soon


@pytest.fixture
async def github(github_emulator) -> AsyncIterator[FakeGitHub]:
    async with FakeGitHub(github_emulator) as github:
        yield github


@pytest.fixture
def tokens(place: Place, github: FakeGitHub):
    import_rsa_key(place.root, "ona-github", github.private_key)
    tokens = github_tokens(place, github)
    yield tokens
    tokens.close()


async def status(url: str, token: str, verb: str = "GET", body: object = None) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession() as session,
        session.request(verb, url, headers=headers, json=body) as answer,
    ):
        return answer.status


async def test_a_github_token_may_what_was_asked_and_is_refused_when_revoked(
    place: Place, github: FakeGitHub, tokens: GitHubTokens
):
    shop = await github.repository("shop", private=True)
    other = await github.repository("other", private=True)
    await shop.let(github.ann, "write")
    there = await shop.issue()
    request = await place.request(
        "github", repositories=[shop.name], permissions={"contents": "read", "issues": "read"}
    )
    issued = await tokens.issue(request, soon())
    token = issued.values["token"].get_secret_value()
    assert token not in repr(issued)
    assert token not in str(issued.trace)
    assert 0 < issued.seconds <= 3600
    api = f"{github.url}/repos/{shop.name}"
    assert await status(f"{api}/issues/{there.number}", token) == 200
    comments = f"{api}/issues/{there.number}/comments"
    assert await status(comments, token, "POST", {"body": "no"}) == 403
    assert await status(f"{github.url}/repos/{other.name}", token) in {403, 404}
    trail = Trail(id=request.id, options=request.wanted.options, trace=issued.trace)
    assert await tokens.revoke(trail, soon())
    assert await status(f"{api}/issues/{there.number}", token) == 401
    assert await tokens.revoke(trail, soon())


async def test_the_key_of_the_app_cant_be_had_from_vault(place: Place, tokens: GitHubTokens):
    with pytest.raises(Exception, match="not exportable"):
        place.root.secrets.transit.export_key("ona-github", "signing-key", mount_point="transit")


async def test_a_key_that_is_imported_again_signs_from_then_on(
    place: Place, github: FakeGitHub, tokens: GitHubTokens
):
    import_rsa_key(place.root, "ona-github", github.private_key)
    shop = await github.repository("shop")
    request = await place.request(
        "github", repositories=[shop.name], permissions={"contents": "read"}
    )
    assert (await tokens.issue(request, soon())).values


async def test_a_repository_without_the_app_is_named(place: Place, tokens: GitHubTokens):
    request = await place.request(
        "github", repositories=["acme/none"], permissions={"contents": "read"}
    )
    with pytest.raises(errors.Missing, match="404"):
        await tokens.issue(request, soon())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"repositories": ["a/b", "c/d"], "permissions": {"contents": "read"}},
        {"repositories": ["a"], "permissions": {"contents": "read"}},
        {"repositories": ["a/b"]},
    ],
)
async def test_options_that_cant_be_meant_are_refused(
    place: Place, tokens: GitHubTokens, options: dict
):
    with pytest.raises(errors.Misasked):
        await tokens.issue(await place.request("github", **options), soon())


@pytest.fixture
async def gitlab() -> AsyncIterator[FakeGitLab]:
    async with FakeGitLab() as gitlab:
        yield gitlab


async def test_a_gitlab_token_works_and_is_refused_when_revoked(place: Place, gitlab: FakeGitLab):
    us = gitlab.person("ona", is_bot=True)
    project = gitlab.project("acme/shop", {us: MAINTAINER})
    client = Client(gitlab.url, us.token)
    tokens = GitLabTokens(client)
    request = await place.request("gitlab", project="acme/shop", scopes=["read_api"])
    issued = await tokens.issue(request, soon())
    token = issued.values["token"].get_secret_value()
    assert issued.seconds <= 86_400
    url = f"{gitlab.url}/api/v4/projects/acme%2Fshop"
    assert await status(url, token) == 200
    trail = Trail(id=request.id, options=request.wanted.options, trace=issued.trace)
    assert await tokens.revoke(trail, soon())
    assert await status(url, token) == 401
    assert await tokens.revoke(trail, soon())
    assert not project.tokens
    client.close()


async def test_a_gitlab_token_that_nobody_wrote_down_is_found_by_its_name(
    place: Place, gitlab: FakeGitLab
):
    us = gitlab.person("ona", is_bot=True)
    project = gitlab.project("acme/shop", {us: MAINTAINER})
    client = Client(gitlab.url, us.token)
    tokens = GitLabTokens(client)
    request = await place.request("gitlab", project="acme/shop", scopes=["read_api"])
    await tokens.issue(request, soon())
    await tokens.issue(replace(request, id=uuid.uuid4()), soon())
    assert await tokens.revoke(Trail(id=request.id, options=request.wanted.options), soon())
    assert len(project.tokens) == 1
    client.close()


async def test_a_gitlab_that_lets_us_make_none_is_named(place: Place, gitlab: FakeGitLab):
    us = gitlab.person("ona", is_bot=True)
    gitlab.project("acme/shop", {us: 30})
    client = Client(gitlab.url, us.token)
    with pytest.raises(errors.Misasked, match="401"):
        await GitLabTokens(client).issue(await place.request("gitlab", project="acme/shop"), soon())
    client.close()
