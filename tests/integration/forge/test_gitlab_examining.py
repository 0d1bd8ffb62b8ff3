"""Whether a token is good for what we do, found out by the real SDK."""

from datetime import UTC, datetime, timedelta

import pytest

from adapters.forge.gitlab.client import Client
from adapters.forge.gitlab.examining import examine
from tests.fakes.gitlab import REPORTER, Bad
from tests.integration.forge.gitlab_rig import open_shop


@pytest.fixture
async def shop():
    async with open_shop() as shop:
        yield shop


async def examined_with(url, token):
    client = Client(url, token)
    try:
        return await examine(client)
    finally:
        client.close()


async def test_a_good_token_is_told_by_its_user_and_lacks_nothing(shop):
    found = await examine(shop.client, repositories=["acme/api"])
    assert (found.name, found.wrong) == ("ona-bot", "")
    assert (found.missing, found.unseen, found.remarks) == ((), (), ())


async def test_a_wrong_token_says_so_without_showing_it(shop):
    found = await examined_with(shop.gitlab.url, "glpat-wrong")
    assert found.wrong.startswith("the token is wrong, or has ended: GitLab answered 401")
    assert "glpat-wrong" not in found.wrong


async def test_a_server_that_does_not_answer_is_no_wrong_token(shop):
    assert (await examined_with("http://127.0.0.1:9", shop.us.token)).wrong == (
        "GitLab can't be reached (at http://127.0.0.1:9)"
    )


async def test_what_answers_and_is_no_gitlab_is_told(shop):
    shop.gitlab.bad.behave("user.show", Bad(wrong=b'{"hello": "world"}'))
    assert (await examine(shop.client)).wrong == "what answers is no GitLab: KeyError"


async def test_a_token_that_may_only_read_lacks_the_scope(shop):
    shop.us.scopes = ("read_api",)
    found = await examine(shop.client, repositories=["acme/api"])
    assert found.missing == ("the scope `api`",)


async def test_a_token_that_may_not_even_tell_whose_it_is_lacks_the_scope(shop):
    shop.us.scopes = ("read_repository",)
    found = await examine(shop.client)
    assert found.wrong.startswith("the token lacks the scope `api`: GitLab answered 403")


async def test_a_role_that_is_too_low_is_named_with_its_project(shop):
    shop.project.members[shop.us] = REPORTER
    found = await examine(shop.client, repositories=["acme/api"])
    assert found.missing == ("the role Developer in acme/api",)


async def test_what_everybody_sees_and_we_are_no_member_of_lacks_the_role(shop):
    shop.gitlab.project("acme/open", {}, visibility="public")
    found = await examine(shop.client, repositories=["acme/open"])
    assert (found.missing, found.unseen) == (("the role Developer in acme/open",), ())


async def test_projects_that_we_do_not_see_are_named(shop):
    found = await examine(shop.client, repositories=["acme/api", "acme/secret"])
    assert found.unseen == ("acme/secret",)


async def test_a_token_that_ends_soon_is_a_remark(shop):
    today = datetime.now(UTC).date()
    shop.us.token_ends = f"{today + timedelta(days=3)}"
    assert (await examine(shop.client)).remarks == (f"the token ends on {shop.us.token_ends}",)
    shop.us.token_ends = f"{today + timedelta(days=300)}"
    assert (await examine(shop.client)).remarks == ()


async def test_a_version_that_tells_nothing_about_tokens_is_taken_as_it_is(shop):
    shop.gitlab.bad.behave("token.show", Bad(status=404))
    assert (await examine(shop.client)).missing == ()
