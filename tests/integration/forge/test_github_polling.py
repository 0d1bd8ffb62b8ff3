"""Repositories of GitHub that are asked again and again: nothing is lost, whatever goes wrong."""

import asyncio

from adapters.forge.github.polling import GitHubPolling
from adapters.listening import Condition
from tests.fakes.github import Bad
from tests.integration.forge.github_rig import Ears, begun


async def test_what_was_said_before_the_first_poll_is_not_heard(github, pull, polling, ears):
    await github.ann.says(pull, "/ona too early")
    await asyncio.sleep(1.1)
    await begun(polling)
    await github.ann.says(pull, "/ona now")
    await polling.poll(ears.hear)
    assert [one.text for one in ears.said] == ["now"]


async def test_what_was_said_in_a_gap_is_heard_by_the_next_process(github, follow, pull, ears):
    await begun(follow())
    github.hooks.away = True
    for number in range(3):
        await github.ann.says(pull, f"/ona {number}")
    await github.ann.reviews(pull, "/ona review")
    await follow().poll(ears.hear)
    assert {one.text for one in ears.said} == {"0", "1", "2", "review"}
    again = Ears()
    await follow().poll(again.hear)
    assert set(again.keys) <= set(ears.keys)


async def test_a_long_gap_is_read_page_by_page(github, pull, polling, ears):
    await begun(polling)
    for start in range(0, 220, 20):
        batch = range(start, start + 20)
        await asyncio.gather(*(github.ann.says(pull, f"/ona {number}") for number in batch))
    await polling.poll(ears.hear)
    assert sorted(int(one.text) for one in ears.said) == list(range(220))


async def test_nothing_new_costs_nothing(github, pull, polling, ears):
    await begun(polling)
    await github.ann.says(pull, "/ona fix")
    await polling.poll(ears.hear)
    await polling.poll(ears.hear)
    spent = github.limits.spent.total()
    github.requests.clear()
    await polling.poll(ears.hear)
    assert [status for _, _, status in github.requests] == [304, 304, 304]
    assert github.limits.spent.total() == spent
    await github.ann.says(pull, "/ona more")
    await polling.poll(ears.hear)
    assert [one.text for one in ears.said] == ["fix", "more"], "what overlaps is heard once"


async def test_what_could_not_be_heard_is_heard_by_the_next_poll(github, pull, polling, ears):
    await begun(polling)
    for number in range(3):
        await github.ann.says(pull, f"/ona {number}")
    ears.deaf = 2
    await polling.poll(ears.hear)
    assert ears.said == []
    await polling.poll(ears.hear)
    await polling.poll(ears.hear)
    assert [one.text for one in ears.said] == ["0", "1", "2"]


async def test_an_error_of_one_repository_stops_no_other(github, follow, pull):
    other = await github.repository()
    elsewhere = await github.globex.creates("shop")
    ears = Ears()
    polling = follow(elsewhere.name, other.name, pull.repository.name)
    await begun(polling)
    await github.ann.says(pull, "/ona fix")
    github.behave("GET", other.name, Bad(status=500))
    await polling.poll(ears.hear)
    assert [one.text for one in ears.said] == ["fix"]
    looked_for = f"/repos/{elsewhere.name}/installation"
    asked = [path for _, path, _ in github.requests if path == looked_for]
    assert len(asked) == 1, "what we don't see is left alone for a while"


async def test_what_is_asked_of_a_repository_that_has_moved_is_asked_there(
    github, pull, polling, ears
):
    await begun(polling)
    await github.ann.says(pull, "/ona fix")
    there = {"Location": f"{github.url}/repos/{pull.repository.name}/issues/comments"}
    github.behave("GET", "/issues/comments", Bad(status=301, headers=there))
    await polling.poll(ears.hear)
    assert [one.text for one in ears.said] == ["fix"]


async def test_a_cursor_that_can_not_be_read_begins_at_now(github, follow, cursors, pull, ears):
    await begun(follow())
    for broken in ("", "{", "[]", "{}", '{"issue_comment": "x"}'):
        cursors.values = dict.fromkeys(cursors.values, broken)
        await follow().poll(ears.hear)
    polling = follow()
    await begun(polling)
    await github.ann.says(pull, "/ona fix")
    await polling.poll(ears.hear)
    assert [one.text for one in ears.said] == ["fix"]


async def test_a_poll_that_is_throttled_rests(github, pull, polling, ears):
    await begun(polling)
    await github.ann.says(pull, "/ona fix")
    throttled = Bad(status=403, headers={"Retry-After": "1"})
    github.behave("GET", "/issues/comments", throttled)
    await polling.poll(ears.hear)
    before = len(github.requests)
    await polling.poll(ears.hear)
    assert (ears.said, len(github.requests)) == ([], before)
    await asyncio.sleep(1.1)
    await polling.poll(ears.hear)
    assert len(ears.said) == 1


async def test_it_goes_on_until_it_is_stopped(github, follow, pull, ears):
    polling, stop = follow(every_seconds=0.05), asyncio.Event()
    running = asyncio.create_task(polling.run(ears.hear, stop))
    await github.until(lambda: any("/issues/comments" in path for _, path, _ in github.requests))
    await github.ann.says(pull, "/ona fix")
    await github.until(lambda: ears.said)
    stop.set()
    await asyncio.wait_for(running, 100)


async def test_repositories_that_can_not_be_read_are_told_and_read_again(
    app, reader, cursors, shop, ears
):
    stop, told, away = asyncio.Event(), [], [ConnectionError("the database is away")]

    async def repositories():
        if away:
            raise away.pop()
        return [shop.name]

    def tell(condition, why):
        told.append((condition, why))
        if condition is Condition.LISTENING:
            stop.set()

    polling = GitHubPolling(app, reader, cursors, repositories, every_seconds=0.05, tell=tell)
    await asyncio.wait_for(polling.run(ears.hear, stop), 100)
    assert told[0] == (Condition.FAILING, "nothing could be asked: ConnectionError")


async def test_a_repository_is_followed_under_the_name_that_github_writes(
    github, follow, cursors, shop, pull
):
    ears, polling = Ears(), follow(shop.name, shop.name)
    await begun(polling)
    await github.ann.says(pull, "/ona fix")
    await polling.poll(ears.hear)
    assert [one.spot.channel for one in ears.said] == [shop.name]
    assert len(cursors.values) == 1
