"""The fake's REST API, asked by the real SDK."""

import asyncio
import time

import gitlab as sdk
import pytest
import requests
from gitlab.exceptions import GitlabAuthenticationError

from tests.fakes.gitlab import GUEST, MAINTAINER, REPORTER, Bad


async def test_a_wrong_token_is_refused(yard):
    stranger = sdk.Gitlab(yard.gitlab.url, private_token="wrong")
    with pytest.raises(GitlabAuthenticationError):
        await asyncio.to_thread(stranger.auth)


@pytest.mark.parametrize("how", ["private_token", "oauth_token"])
async def test_a_token_is_somebody(yard, how):
    client = sdk.Gitlab(yard.gitlab.url, **{how: yard.ann.token})
    await asyncio.to_thread(client.auth)
    assert client.user.username == "ann"
    assert not (await asyncio.to_thread(client.users.get, yard.ann.id)).bot
    assert (await asyncio.to_thread(client.users.get, yard.bot.id)).bot


async def test_projects_are_seen_by_members_and_public_ones_by_all(yard):
    other = yard.gitlab.project("bo/own", {yard.ann: MAINTAINER})
    with pytest.raises(sdk.GitlabGetError):
        await asyncio.to_thread(yard.client.projects.get, "bo/own")
    other.visibility = "public"
    found = await asyncio.to_thread(yard.client.projects.get, other.id)
    assert found.path_with_namespace == "bo/own"
    member = await yard.ask(lambda it: it.members_all.get(yard.ann.id))
    assert member.access_level == 30
    assert await yard.refused(lambda it: it.members_all.get(9_999)) == 404


async def test_a_note_is_made_changed_and_deleted(yard):
    def notes(it):
        return it.mergerequests.get(1, lazy=True).notes

    made = await yard.ask(lambda it: notes(it).create({"body": "hello @ann"}))
    assert [one.id for one in yard.ann.told] == [made.id]
    await yard.ask(lambda it: notes(it).update(made.id, {"body": "bye @ann"}))
    assert yard.ann.reads(yard.request) == ["bye @ann"]
    assert len(yard.ann.told) == 1
    await yard.ask(lambda it: notes(it).delete(made.id))
    assert yard.request.notes == []
    assert await yard.refused(lambda it: notes(it).get(made.id)) == 404


async def test_nobody_changes_what_others_wrote(yard):
    note = yard.ann.says(yard.request, "mine")
    request = await yard.ask(lambda it: it.mergerequests.get(1))
    with pytest.raises(sdk.GitlabUpdateError):
        await asyncio.to_thread(request.notes.update, note.id, {"body": "yours"})
    assert note.body == "mine"


async def test_lists_have_pages(yard):
    for number in range(45):
        yard.ann.says(yard.request, f"{number}")
    request = await yard.ask(lambda it: it.mergerequests.get(1))
    every = await asyncio.to_thread(lambda: request.notes.list(get_all=True))
    assert [one.body for one in every] == [f"{number}" for number in reversed(range(45))]
    page = await asyncio.to_thread(
        lambda: request.notes.list(page=3, per_page=20, sort="asc", order_by="updated_at")
    )
    assert [one.body for one in page] == ["40", "41", "42", "43", "44"]


async def test_a_discussion_has_answers_and_a_single_note_becomes_one(yard):
    first = yard.ann.says(yard.request, "alone")
    request = await yard.ask(lambda it: it.mergerequests.get(1))
    made = await asyncio.to_thread(request.discussions.create, {"body": "begun"})
    begun = await asyncio.to_thread(request.discussions.get, made.id)
    await asyncio.to_thread(begun.notes.create, {"body": "answered"})
    every = await asyncio.to_thread(lambda: request.discussions.list(get_all=True))
    assert [one.attributes["individual_note"] for one in every] == [True, False]
    assert [one["body"] for one in every[1].attributes["notes"]] == ["begun", "answered"]
    alone = await asyncio.to_thread(request.discussions.get, first.discussion)
    await asyncio.to_thread(alone.notes.create, {"body": "not any more"})
    assert first.type == "DiscussionNote"


async def test_an_internal_note_is_for_reporters_and_others_make_it_for_everybody(yard):
    issue = yard.ann.reports(yard.project)

    def make(it, body):
        return it.issues.get(issue.iid, lazy=True).notes.create({"body": body, "internal": True})

    yard.project.members[yard.bot] = REPORTER
    assert (await yard.ask(lambda it: make(it, "hush"))).internal
    yard.project.members[yard.bot] = GUEST
    assert not (await yard.ask(lambda it: make(it, "oops"))).internal
    assert yard.bot.reads(issue) == ["oops"]
    seen = await yard.ask(lambda it: it.issues.get(issue.iid, lazy=True).notes.list(get_all=True))
    assert [one.body for one in seen] == ["oops"]


async def test_an_emoji_is_awarded_once_and_taken_back_by_its_giver(yard):
    note = yard.ann.says(yard.request, "look")
    theirs = yard.ann.awards(note, "eyes")
    request = await yard.ask(lambda it: it.mergerequests.get(1))
    awards = request.notes.get(note.id, lazy=True).awardemojis
    made = await asyncio.to_thread(awards.create, {"name": "eyes"})
    with pytest.raises(sdk.GitlabCreateError) as raised:
        await asyncio.to_thread(awards.create, {"name": "eyes"})
    assert (raised.value.response_code, "already been taken" in str(raised.value)) == (404, True)
    with pytest.raises(sdk.GitlabError):
        await asyncio.to_thread(awards.delete, theirs.id)
    await asyncio.to_thread(awards.delete, made.id)
    assert [one.user for one in note.awards] == [yard.ann]


async def test_a_status_moves_on_only_as_gitlab_lets_it(yard):
    def set_to(it, state):
        commit = it.commits.get(yard.request.sha, lazy=True)
        return commit.statuses.create({"state": state, "name": "ona", "ref": "work"})

    await yard.ask(lambda it: set_to(it, "running"))
    for state in ("running", "skipped", "pending"):
        assert await yard.refused(lambda it, state=state: set_to(it, state)) == 400
    for state in ("success", "success", "running", "canceled", "skipped"):
        await yard.ask(lambda it, state=state: set_to(it, state))
    assert [one.status for one in yard.project.statuses] == [
        "success",
        "success",
        "canceled",
        "skipped",
    ]
    yard.request.heads.append("0" * 40)
    assert await yard.refused(lambda it: set_to(it, "success")) == 404


async def test_what_changed_is_found_by_its_time_and_a_note_tells_it_once_a_minute(yard):
    def changed(it, after):
        return it.mergerequests.list(
            updated_after=after, order_by="updated_at", sort="desc", get_all=True
        )

    begun = yard.request.updated_at
    yard.ann.says(yard.request, "within the first minute")
    assert yard.request.updated_at == begun
    yard.gitlab.clock.skip(61)
    later = yard.gitlab.clock.now().isoformat()
    assert await yard.ask(lambda it: changed(it, later)) == []
    note = yard.ann.says(yard.request, "after it")
    assert len(await yard.ask(lambda it: changed(it, later))) == 1
    yard.gitlab.clock.skip(61)
    before, latest = note.updated_at, yard.gitlab.clock.now().isoformat()
    yard.ann.awards(note, "x")
    assert await yard.ask(lambda it: changed(it, latest)) == []
    assert note.updated_at > before


async def test_every_answer_tells_the_limit_and_too_many_are_refused(yard):
    yard.gitlab.limits.requests_a_minute = 3

    def get():
        headers = {"PRIVATE-TOKEN": yard.bot.token}
        return requests.get(f"{yard.gitlab.url}/api/v4/user", headers=headers, timeout=5)

    answers = [await asyncio.to_thread(get) for _ in range(4)]
    assert [one.status_code for one in answers] == [200, 200, 200, 429]
    assert [one.headers["RateLimit-Remaining"] for one in answers] == ["2", "1", "0", "0"]
    assert 0 < int(answers[3].headers["Retry-After"]) <= 60
    assert int(answers[3].headers["RateLimit-Reset"]) > time.time()
    yard.gitlab.clock.skip(60)
    assert (await asyncio.to_thread(get)).status_code == 200


@pytest.mark.parametrize(
    ("bad", "done"),
    [
        (Bad(status=503), False),
        (Bad(drop=True), False),
        (Bad(drop_answer=True), True),
        (Bad(answer_status=500), True),
        (Bad(wrong=b"no json"), True),
    ],
)
async def test_a_bad_day_happens_once_before_or_after_the_deed(yard, bad, done):
    yard.gitlab.bad.behave("notes.create", bad)

    def make(it):
        return it.mergerequests.get(1, lazy=True).notes.create({"body": "x"})

    with pytest.raises((sdk.GitlabError, requests.RequestException)):
        await yard.ask(make)
    assert len(yard.request.notes) == done
    await yard.ask(make)
    assert len(yard.request.notes) == done + 1
