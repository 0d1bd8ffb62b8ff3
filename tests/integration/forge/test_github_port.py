"""How replies get to threads of GitHub, and what it answers when it can't have them."""

import asyncio
import time

import pytest

from adapters.chat.port import (
    Button,
    Content,
    Deadline,
    Gone,
    Rejected,
    Throttled,
    Unavailable,
    Uncertain,
)
from adapters.forge.github.app import App
from adapters.forge.github.port import RATES, GitHubForge
from tests.fakes.github import Bad
from tests.integration.forge.conftest import MARKS, Desk

COMMENTS = r"/issues/\d+/comments"
SECONDARY = "You have exceeded a secondary rate limit. Please wait a few minutes."


def texts(github, place) -> list[str]:
    return [words.text for words in github.world.thread(str(place))]


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (Bad(status=403, headers={"Retry-After": "7"}), Throttled),
        (Bad(status=429, headers={"Retry-After": "7"}), Throttled),
        (Bad(status=403, words=SECONDARY), Throttled),
        (Bad(status=422, words="was submitted too quickly"), Throttled),
        (Bad(status=502), Uncertain),
        (Bad(drop=True), Uncertain),
        (Bad(drop_answer=True), Uncertain),
        (Bad(answer_status=500), Uncertain),
        (Bad(wrong=b"<html>"), Uncertain),
        (Bad(status=404), Gone),
        (Bad(status=410), Gone),
        (Bad(status=401), Unavailable),
        (Bad(status=403, words="Resource not accessible by integration"), Rejected),
        (Bad(status=422), Rejected),
    ],
)
async def test_what_github_answers_has_its_own_error_and_is_never_tried_again_by_itself(
    github, desk, pull, bad, error
):
    github.behave("POST", COMMENTS, bad)
    with pytest.raises(error) as raised:
        await desk.post(pull.place)
    if bad.headers:
        assert raised.value.retry_seconds == 7
    done = bad.drop_answer or bad.answer_status or bad.wrong
    assert len(texts(github, pull.place)) == (1 if done else 0)
    assert (await desk.find(pull.place) is not None) is bool(done)


async def test_nothing_is_sent_after_the_deadline(github, desk, pull):
    before = len(github.requests)
    with pytest.raises(Unavailable):
        await desk.forge.post(pull.place, Content(text="x"), "m", Deadline.after(-0.001))
    assert len(github.requests) == before


async def test_it_is_left_at_the_deadline(github, desk, pull):
    await desk.post(pull.place)
    github.behave("POST", COMMENTS, Bad(wait=asyncio.Event()))
    with pytest.raises(Uncertain):
        await desk.forge.post(pull.place, Content(text="x"), "m", Deadline.after(0.2))


async def test_what_is_asked_before_a_post_fails_without_a_doubt(github, desk, pull):
    github.behave("POST", "access_tokens", Bad(drop_answer=True))
    with pytest.raises(Unavailable):
        await desk.post(pull.place)
    await desk.post(pull.place)
    assert texts(github, pull.place) == ["hello"]


async def test_a_github_that_can_not_be_reached_did_nothing(github, pull):
    app = App(app_id="1", private_key=github.private_key, api_url="http://127.0.0.1:1")
    with pytest.raises(Unavailable):
        await Desk(GitHubForge(app, MARKS)).post(pull.place)
    app.close()


async def test_a_wrong_key_did_nothing(github, pull):
    app = App(app_id="4711", private_key="no key", api_url=github.url)
    with pytest.raises(Unavailable, match="private key"):
        await Desk(GitHubForge(app, MARKS)).post(pull.place)
    app.close()


async def test_a_token_serves_until_it_is_revoked(github, desk, pull):
    await desk.post(pull.place, mark="m1")
    await desk.post(pull.place, mark="m2")
    assert sum("access_tokens" in path for _, path, _ in github.requests) == 1
    github.tokens.revoke()
    with pytest.raises(Unavailable):
        await desk.post(pull.place, mark="m3")
    await desk.post(pull.place, mark="m3")
    assert len(texts(github, pull.place)) == 3


async def test_where_we_are_not_installed_nothing_can_be_said(github, desk):
    elsewhere = await github.globex.creates("shop")
    issue = await elsewhere.issue()
    with pytest.raises(Gone):
        await desk.post(issue.place)


async def test_the_published_limits_are_kept_by_our_rates(github, desk, pull):
    content = [RATES[method] for method in ("post", "edit", "react")]
    assert sum(rate.burst + 60 * rate.per_second for rate in content) <= 80
    assert sum(rate.burst + 3600 * rate.per_second for rate in content) <= 500
    github.limits.content_a_minute = 1
    await desk.post(pull.place, mark="m1")
    with pytest.raises(Throttled) as raised:
        await desk.post(pull.place, mark="m2")
    assert 50 < raised.value.retry_seconds <= 60


async def test_a_budget_that_is_used_up_says_when_the_next_begins(github, desk, pull):
    await desk.post(pull.place, mark="m1")
    github.limits.requests_an_hour = 1
    github.limits.resets_at = time.time() + 100
    with pytest.raises(Throttled) as raised:
        await desk.post(pull.place, mark="m2")
    assert 90 < raised.value.retry_seconds <= 101


@pytest.mark.parametrize("status", [301, 307, 308])
async def test_a_repository_that_has_moved_gets_what_was_to_be_posted(github, desk, pull, status):
    there = f"{github.url}/repos/{pull.repository.name}/issues/{pull.number}/comments"
    moved = Bad(status=status, headers={"Location": there})
    github.behave("POST", "/issues/77/comments", moved)
    await desk.post(f"{pull.repository.name}#77")
    assert texts(github, pull.place) == ["hello"]


async def test_an_endless_move_ends(github, desk, pull):
    there = f"{github.url}/repos/{pull.repository.name}/issues/{pull.number}/comments"
    github.behave("POST", COMMENTS, *[Bad(status=301, headers={"Location": there})] * 9)
    with pytest.raises(Unavailable):
        await desk.post(pull.place)


async def test_an_enterprise_server_has_its_api_below_its_pages(github, pull):
    app = App(app_id="4711", private_key=github.private_key, api_url=f"{github.url}/api/v3/")
    desk = Desk(GitHubForge(app, MARKS))
    assert f"http://{desk.forge.host}" == github.url
    ref = await desk.post(pull.place)
    assert await desk.find(pull.place) == ref
    message = await github.ann.says(pull, "plain")
    node = github.world.thread(pull.place)[-1].data["node_id"]
    name, deadline = pull.repository.name, Deadline.after(10)
    assert await app.editor(deadline, name, node) is None
    await github.acme.edits(message, "other")
    assert await app.editor(deadline, name, node) == "acme"
    with pytest.raises(Gone):
        await app.editor(deadline, name, "nobody's")
    app.close()


async def test_tokens_are_not_written_to_the_log(github, desk, pull, caplog):
    caplog.set_level("DEBUG")
    await desk.post(pull.place)
    assert "ghs_" not in caplog.text


async def test_nothing_is_sent_to_another_host(github, desk, shop, pull):
    there = {"Location": "http://127.0.0.1:1/repos/x/y/issues/1/comments"}
    github.behave("POST", COMMENTS, Bad(status=307, headers=there))
    with pytest.raises(Unavailable):
        await desk.post(pull.place)


async def test_a_mark_that_others_have_copied_does_not_count(github, desk, pull):
    ref = await desk.post(pull.place)
    copied = github.world.thread(pull.place)[0].data["body"]
    await github.ann.says(pull, copied)
    path = f"/repos/{pull.repository.name}/issues/{pull.number}/comments"
    await github.by_other_app("POST", path, {"body": copied})
    assert {MARKS.read(words.data["body"]) for words in github.world.thread(pull.place)} == {"m1"}
    assert await desk.find(pull.place) == ref
    path = f"/repos/{pull.repository.name}/issues/comments/{ref.partition('/')[2]}"
    await github.acme.asks("DELETE", path)
    assert await desk.find(pull.place) is None


async def test_a_post_is_found_behind_many_others(github, desk, pull):
    await asyncio.gather(*(github.ann.says(pull, f"{number}") for number in range(101)))
    ref = await desk.post(pull.place)
    assert await desk.find(pull.place) == ref


async def test_an_edit_keeps_the_mark(github, desk, pull):
    ref = await desk.post(pull.place)
    await desk.edit(pull.place, ref, "two")
    assert texts(github, pull.place) == ["two"]
    assert await desk.find(pull.place) == ref


async def test_the_comment_of_somebody_else_can_not_be_edited(github, desk, pull):
    message = await github.ann.says(pull, "mine")
    with pytest.raises(Rejected):
        await desk.edit(pull.place, message.ref, "ours")


async def test_a_post_in_an_inline_thread_answers_there(github, desk, pull):
    inline = await github.ann.says_inline(pull, "here")
    ref = await desk.post(inline.place)
    assert texts(github, inline.place) == ["here", "hello"]
    assert texts(github, pull.place) == []
    assert await desk.find(inline.place) == ref
    assert await desk.find(pull.place) is None
    await desk.edit(inline.place, ref, "two")
    assert texts(github, inline.place) == ["here", "two"]


async def test_a_button_is_a_link_or_nothing(github, desk, pull):
    buttons = (
        Button(label="Stop", says="stop"),
        Button(label="[See] *it*", url="https://ona.test/s?a=1>)"),
        Button(label="Bad", url="javascript:alert(1)"),
    )
    await desk.post(pull.place, buttons=buttons)
    (words,) = github.world.thread(pull.place)
    assert words.text == "hello\n\n[See] *it*"
    assert "https://ona.test/s?a=1%3E)" in words.data["body"]
    assert "javascript" not in words.data["body"]


async def test_what_is_no_place_or_message_is_rejected(desk, pull):
    for place in ("", "a/b", "a#1", "a/b#x", "a/b#1/2", "a/../b#1", "a/b#1/r2/r3"):
        with pytest.raises(Rejected):
            await desk.post(place)
    for ref in ("", "1", "issue_comment/x", "else/1"):
        with pytest.raises(Rejected):
            await desk.edit(pull.place, ref, "x")
