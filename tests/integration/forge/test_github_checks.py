"""The state of a turn as a check run on the newest commit of a pull request."""

from functools import partial

import pytest

from adapters.chat.port import Button, Gone, Live, Uncertain
from adapters.forge.github.app import App
from adapters.forge.github.port import GitHubForge
from adapters.forge.port import NOT_SHOWN
from bot.surfaces import say
from tests.fakes.github import Bad
from tests.integration.forge.conftest import MARKS, Desk


def only(runs):
    (run,) = runs
    return run


async def test_a_running_turn_is_a_check_in_progress_with_a_button_that_stops_it(desk, pull):
    ref = await desk.show(pull, Live.RUNNING)
    run = only(pull.checks(await pull.head()))
    assert (run["name"], run["status"], run["external_id"]) == ("ona", "in_progress", "m1")
    assert run["output"]["summary"] == "state"
    assert [action["label"] for action in run["actions"]] == ["Stop"]
    assert await desk.find(pull.place) == ref


@pytest.mark.parametrize(("live", "how"), [(Live.DONE, "success"), (Live.ENDED, "neutral")])
async def test_it_ends_and_is_never_a_failure(desk, pull, live, how):
    ref = await desk.show(pull, Live.RUNNING)
    button = Button(label="See", url="https://ona.test/s-1")
    for _ in range(2):
        await desk.edit(pull.place, ref, "end", live=live, buttons=(button,))
    run = only(pull.checks(await pull.head()))
    assert (run["status"], run["conclusion"], run["actions"]) == ("completed", how, [])
    assert (run["output"]["summary"], run["details_url"]) == ("end", "https://ona.test/s-1")


async def test_it_follows_the_head(desk, pull):
    ref = await desk.show(pull, Live.RUNNING)
    heads = [await pull.head()]
    for text in ("two", "three"):
        heads.append(await pull.push())
        await desk.edit(pull.place, ref, text, live=Live.RUNNING)
        await desk.edit(pull.place, ref, f"{text}!", live=Live.RUNNING)
    runs = [only(pull.checks(head)) for head in heads]
    assert [run["status"] for run in runs] == ["completed", "completed", "in_progress"]
    assert [run["conclusion"] for run in runs] == ["neutral", "neutral", None]
    assert {run["external_id"] for run in runs} == {"m1"}
    assert runs[-1]["output"]["summary"] == "three!"


async def test_it_speaks_the_language_of_its_post(app, pull):
    desk = Desk(GitHubForge(app, MARKS, say=partial(say, "en")))
    shown = {"live": Live.RUNNING, "language": "de"}
    ref = await desk.post(pull.place, **shown)
    first = only(pull.checks(before := await pull.head()))
    assert first["output"]["title"] == "In Arbeit"
    (stop,) = first["actions"]
    assert (stop["label"], stop["description"]) == ("Stopp", "Beenden, was gerade läuft")
    await pull.push()
    await desk.edit(pull.place, ref, "two", **shown)
    left = only(pull.checks(before))["output"]
    assert left["title"] == "Weitergezogen"
    assert "neuere Commits" in left["summary"]


async def test_another_process_moves_it_too(github, desk, pull):
    ref = await desk.show(pull, Live.RUNNING)
    heads = [await pull.head(), await pull.push()]
    app = App(app_id=str(github.app.id), private_key=github.private_key, api_url=github.url)
    await Desk(GitHubForge(app, MARKS)).edit(pull.place, ref, "end", live=Live.DONE)
    app.close()
    assert [only(pull.checks(head))["conclusion"] for head in heads] == ["neutral", "success"]


async def test_a_move_that_broke_off_is_finished_by_the_next_edit(github, desk, pull):
    ref = await desk.show(pull, Live.RUNNING)
    heads = [await pull.head(), await pull.push()]
    github.behave("POST", "/check-runs", Bad(drop_answer=True))
    github.behave("PATCH", "/check-runs", Bad(status=502))
    for _ in range(2):
        with pytest.raises(Exception, match=r"GitHub"):
            await desk.edit(pull.place, ref, "two", live=Live.RUNNING)
    await desk.edit(pull.place, ref, "three", live=Live.RUNNING)
    runs = [only(pull.checks(head)) for head in heads]
    assert [run["conclusion"] for run in runs] == ["neutral", None]


async def test_one_that_was_left_on_an_older_commit_is_found_and_moved(github, desk, pull):
    github.behave("POST", "/check-runs", Bad(drop_answer=True))
    with pytest.raises(Uncertain):
        await desk.show(pull, Live.RUNNING)
    heads = [await pull.head(), await pull.push()]
    ref = await desk.find(pull.place)
    await desk.edit(pull.place, ref, "end", live=Live.DONE)
    assert [only(pull.checks(head))["conclusion"] for head in heads] == ["neutral", "success"]


async def test_two_turns_have_a_check_each(desk, pull):
    for mark in ("m1", "m2"):
        await desk.show(pull, Live.RUNNING, mark=mark)
    assert len(pull.checks(await pull.head())) == 2
    assert await desk.find(pull.place, "m2") == "check_run/m2"


async def test_a_check_of_another_app_with_our_mark_is_not_ours(github, desk, pull):
    body = {"name": "ona", "head_sha": await pull.head(), "external_id": "m1"}
    await github.by_other_app("POST", f"/repos/{pull.repository.name}/check-runs", body)
    assert await desk.find(pull.place) is None


async def test_on_an_issue_and_at_a_line_it_is_not_shown(github, desk, shop, pull):
    issue = await shop.issue()
    inline = await github.ann.says_inline(pull, "here")
    for place in (issue.place, inline.place):
        assert await desk.post(place, live=Live.RUNNING) == NOT_SHOWN
        await desk.edit(place, NOT_SHOWN, "end", live=Live.DONE)
    assert await desk.find(issue.place) is None
    assert pull.checks(await pull.head()) == []


async def test_a_pull_request_from_a_fork_has_its_check_too(github, desk, shop):
    pull = await shop.pull_from_fork(github.eve)
    await desk.show(pull, Live.RUNNING)
    assert only(pull.checks(await pull.head()))["status"] == "in_progress"


async def test_a_state_of_what_is_gone_is_gone(desk, shop):
    with pytest.raises(Gone):
        await desk.edit(f"{shop.name}#77", "check_run/m1", "x", live=Live.DONE)
