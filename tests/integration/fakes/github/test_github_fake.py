"""The GitHub of the tests, called by the real PyGithub and by hand."""

import asyncio
import time
from collections.abc import AsyncIterator

import jwt
import pytest
from github import Auth, Github, GithubException, GithubIntegration

from tests.fakes.github import Bad, FakeGitHub
from tests.fakes.github.eyes import mentions, shown
from tests.fakes.github.program import OURS

QUICK = {"seconds_between_requests": 0, "seconds_between_writes": 0}


@pytest.fixture
async def github(github_emulator) -> AsyncIterator[FakeGitHub]:
    async with FakeGitHub(github_emulator) as github:
        yield github


def as_app(github: FakeGitHub, name: str) -> Github:
    """PyGithub, as what the app is in a repository."""
    auth = Auth.AppAuth(OURS.id, github.private_key)
    integration = GithubIntegration(auth=auth, base_url=github.url, retry=None, **QUICK)
    installation = integration.get_repo_installation(*name.split("/"))
    return installation.get_github_for_installation()


async def test_pygithub_talks_in_a_thread(github):
    shop = await github.repository()
    await shop.let(github.ann, "write")
    there = await shop.issue()
    message = await github.ann.says(there, "/ona fix")

    def talk() -> None:
        repository = as_app(github, shop.name).get_repo(shop.name)
        issue = repository.get_issue(there.number)
        comment = issue.create_comment("one")
        comment.edit("two")
        asked = issue.get_comment(message.id)
        for _ in range(2):
            asked.create_reaction("eyes")
        (reaction,) = asked.get_reactions()
        asked.delete_reaction(reaction.id)
        asked.create_reaction("-1")
        assert [one.body for one in issue.get_comments()] == ["/ona fix", "two"]
        assert repository.get_collaborator_permission("ann") == "write"

    await asyncio.to_thread(talk)
    assert [(one.author, one.text) for one in github.world.thread(there.place)] == [
        ("ann", "/ona fix"),
        (OURS.login, "two"),
    ]
    here = github.world.reactions[shop.name, message.kind, message.id]
    assert [one["content"] for one in here] == ["-1"]


async def test_pygithub_makes_a_check_run(github):
    shop = await github.repository()
    pull = await shop.pull()
    head = await pull.head()

    def check() -> None:
        repository = as_app(github, shop.name).get_repo(shop.name)
        run = repository.create_check_run("ona", head, external_id="m1", status="in_progress")
        run.edit(status="completed", conclusion="neutral")
        (found,) = repository.get_commit(head).get_check_runs(check_name="ona")
        assert (found.external_id, found.conclusion, found.app.id) == ("m1", "neutral", OURS.id)

    await asyncio.to_thread(check)


@pytest.mark.parametrize(
    ("verb", "path", "body", "status"),
    [
        ("POST", "/issues/1/comments", {"body": "x" * 65_537}, 422),
        ("POST", "/issues/comments/{comment}/reactions", {"content": "stop"}, 422),
        ("POST", "/pulls/1/comments/999999/replies", {"body": "x"}, 404),
        ("POST", "/pulls/1/comments/{answer}/replies", {"body": "x"}, 422),
        ("POST", "/check-runs", {"name": "ona", "head_sha": "{head}"}, 403),
        ("GET", "/installation", None, 401),
    ],
)
async def test_what_github_refuses_is_refused(github, verb, path, body, status):
    shop = await github.repository()
    pull = await shop.pull()
    inline = await github.acme.says_inline(pull, "here")
    answer = await github.acme.says_inline(pull, "there", to=inline)
    comment = await github.acme.says(pull, "one")
    path = path.format(comment=comment.id, answer=answer.id)
    with pytest.raises(AssertionError) as refused:
        await github.acme.asks(verb, f"/repos/{shop.name}{path}", body)
    assert refused.value.args[0][2] == status


async def test_who_is_not_known_is_refused(github):
    shop = await github.repository()
    now = int(time.time())
    forged = jwt.encode({"iat": now, "exp": now + 60, "iss": "4711"}, "k" * 32, algorithm="HS256")
    for authorization in ("", "token nobody", f"Bearer {forged}"):
        with pytest.raises(AssertionError) as refused:
            await github.ask("GET", f"/repos/{shop.name}", None, authorization)
        assert refused.value.args[0][2] == 401


async def test_an_app_that_makes_too_much_is_held_back(github):
    shop = await github.repository()
    issue = await shop.issue()
    github.limits.content_a_minute = 2

    def comment() -> None:
        talk = as_app(github, shop.name).get_repo(shop.name).get_issue(issue.number)
        for text in ("one", "two"):
            talk.create_comment(text)
        with pytest.raises(GithubException) as refused:
            talk.create_comment("three")
        assert refused.value.status == 403
        assert 0 < int(refused.value.headers["retry-after"]) <= 60

    await asyncio.to_thread(comment)
    assert len(github.world.thread(issue.place)) == 2


async def test_what_is_unchanged_is_not_told_again(github):
    shop = await github.repository()
    issue = await shop.issue()
    url = f"{github.url}/repos/{shop.name}/issues/comments"
    headers = {"Authorization": "token ghp_acme"}
    async with github.session.get(url, headers=headers) as first:
        etag = first.headers["ETag"]
    for status in (304, 200):
        async with github.session.get(url, headers={**headers, "If-None-Match": etag}) as answer:
            assert answer.status == status
        await github.ann.says(issue, "new")


async def test_bad_days_come_in_their_order(github):
    shop = await github.repository()
    issue = await shop.issue()
    path = f"/repos/{shop.name}/issues/{issue.number}/comments"
    github.behave("POST", "/comments", Bad(status=500), Bad(answer_status=502))
    for status in (500, 502, None):
        if status is None:
            await github.ann.asks("POST", path, {"body": "x"})
            break
        with pytest.raises(AssertionError) as refused:
            await github.ann.asks("POST", path, {"body": "x"})
        assert refused.value.args[0][2] == status
    assert len(github.world.thread(issue.place)) == 2


def test_eyes_see_what_markdown_shows():
    assert shown("a *b* <!-- c -->\n\n```\nd\n```\n<!-- e -->") == "a b \n\n\nd"
    assert mentions("@ann `@bo` \\@eve a@x.test\n\n    @code\n\n(@acme-1)") == [
        "ann",
        "eve",
        "acme-1",
    ]
