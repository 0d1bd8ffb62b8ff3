"""What only GitLab's port does: discussions, internal notes, states, permissions, refusals."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial

import pytest

from adapters.chat.port import (
    Button,
    Content,
    Deadline,
    Gone,
    Live,
    Rejected,
    Sign,
    Throttled,
    Unavailable,
    Uncertain,
)
from adapters.forge.gitlab.client import Client
from adapters.forge.gitlab.port import GitLabForge
from adapters.forge.marks import Marks
from adapters.forge.port import NOT_SHOWN, Permission
from bot.surfaces import say
from tests.fakes.gitlab import DEVELOPER, GUEST, MAINTAINER, OWNER, REPORTER, Bad
from tests.fakes.gitlab.world import Note
from tests.integration.forge.gitlab_rig import Shop, open_shop


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with open_shop() as shop:
        yield shop


async def test_a_discussion_is_answered_in_it(shop):
    first = shop.ann.says(shop.request, "Hm", begins=True)
    place = f"{shop.request.place}/d{first.discussion}"
    ref = await shop.post(place, "in it", mark="one")
    await shop.edit(place, ref, "still in it")
    (answer,) = shop.request.by(shop.us)
    assert (answer.discussion, str(answer.id)) == (first.discussion, ref)
    assert shop.ann.reads(shop.request) == ["Hm", "still in it"]
    assert await shop.forge.find(place, "one", Deadline.after(10)) == ref


async def test_a_discussion_that_is_deleted_is_gone(shop):
    with pytest.raises(Gone):
        await shop.post(f"{shop.request.place}/d{'0' * 40}")
    with pytest.raises(Gone):
        await shop.post("acme/api!99")
    with pytest.raises(Gone):
        await shop.post("acme/nothing!1")


async def test_an_internal_note_is_only_ever_answered_internally(shop):
    issue = shop.ann.reports(shop.project)
    asked = shop.ann.says(issue, "/ona hush", internal=True, begins=True)
    for place in (f"{issue.place}/internal", f"{issue.place}/d{asked.discussion}/internal"):
        await shop.post(place, "hush", mark=place)
    assert [one.internal for one in issue.notes] == [True, True, True]


@pytest.mark.parametrize("level", [0, GUEST])
async def test_where_we_may_not_make_internal_notes_we_say_nothing(shop, level):
    issue = shop.ann.reports(shop.project)
    asked = shop.ann.says(issue, "/ona hush", internal=True, begins=True)
    shop.project.visibility = "public"
    shop.project.members[shop.us] = level
    if not level:
        del shop.project.members[shop.us]
    for place in (f"{issue.place}/internal", f"{issue.place}/d{asked.discussion}/internal"):
        with pytest.raises((Rejected, Gone)):
            await shop.post(place, "a secret")
    assert issue.by(shop.us) == []
    assert shop.gitlab.rest.asked("notes.create") == 0


async def test_a_note_that_gitlab_did_not_keep_internal_is_taken_back(shop):
    shop.gitlab.knows_internal = False
    with pytest.raises(Rejected):
        await shop.post(f"{shop.request.place}/internal", "a secret")
    assert (shop.request.notes, shop.gitlab.rest.asked("notes.create")) == ([], 1)


async def test_our_words_run_no_quick_actions(shop):
    ref = await shop.post(shop.request.place, "Do:\n/close\n```\n/merge\n```\n/approve")
    await shop.edit(shop.request.place, ref, "/close")
    assert (shop.request.actions, shop.request.state) == ([], "opened")
    assert shop.ann.reads(shop.request) == ["/close"]


async def test_who_is_to_be_told_is_named_and_what_is_no_username_is_left_out(shop):
    await shop.post(shop.request.place, "one", mark="1", notify="bo")
    await shop.post(shop.request.place, "two", mark="2", notify="bo @ann")
    assert shop.ann.reads(shop.request) == ["@bo\n\none", "two"]
    assert (len(shop.bo.told), shop.ann.told) == (1, [])


async def test_a_state_is_a_commit_status_on_the_head(shop):
    button = Button(label="Open", url="https://ona.test/s-1")
    ref = await shop.post(
        shop.request.place, "Working …\nmore", live=Live.RUNNING, buttons=(button,)
    )
    status = shop.project.shown(shop.request.sha, "ona")
    assert (status.status, status.ref, status.description) == ("running", "work", "Working …")
    assert status.target_url == "https://ona.test/s-1#ona-m"
    await shop.state(Live.RUNNING, "Testing …", ref)
    await shop.state(Live.DONE, "Done: \\<b\\>.", ref)
    assert (status.status, status.description) == ("success", "Done: <b>.")
    assert shop.request.by(shop.us) == []


async def test_a_turn_that_ended_badly_fails_no_pipeline(shop):
    ref = await shop.state(Live.RUNNING, "Working …")
    await shop.state(Live.ENDED, "Failed: exit status 3.", ref)
    status = shop.project.shown(shop.request.sha, "ona")
    assert (status.status, status.description) == ("success", "Failed: exit status 3.")


async def test_a_state_goes_with_the_head(shop):
    first = shop.request.sha
    ref = await shop.state(Live.RUNNING, "Working …")
    second = shop.ann.pushes(shop.request)
    await shop.state(Live.RUNNING, "Testing …", ref)
    assert shop.project.shown(first, "ona").status == "success"
    assert second[:8] in shop.project.shown(first, "ona").description
    assert shop.project.shown(second, "ona").status == "running"
    third = shop.ann.pushes(shop.request)
    await shop.state(Live.DONE, "Done.", ref)
    states = [shop.project.shown(sha, "ona").status for sha in (first, second, third)]
    assert states == ["success"] * 3


async def test_what_a_state_says_itself_is_in_the_language_of_its_post(shop):
    forge = GitLabForge(shop.client, Marks(b"secret"), say=partial(say, "en"))
    german = replace(shop, forge=forge)
    shown = {"live": Live.RUNNING, "language": "de"}
    place, first = shop.request.place, shop.request.sha
    await german.post(place, "One …", mark="one", **shown)
    ref = await german.post(place, "Two …", mark="two", **shown)
    assert "Vorbei." in [one.description for one in shop.project.statuses]
    second = shop.ann.pushes(shop.request)
    await german.edit(place, ref, "Two …", **shown)
    assert shop.project.shown(first, "ona").description == f"Geht bei {second[:8]} weiter."


async def test_a_head_that_is_gone_is_left_behind(shop):
    ref = await shop.state(Live.RUNNING, "Working …")
    shop.gitlab.commits.remove(shop.request.sha)
    shop.ann.pushes(shop.request)
    await shop.state(Live.DONE, "Done.", ref)
    assert shop.project.shown(shop.request.sha, "ona").status == "success"


async def test_a_state_may_be_set_again_by_who_knows_nothing_of_it(shop):
    await shop.state(Live.RUNNING, "Working …")
    other = replace(shop, forge=GitLabForge(shop.client, Marks(b"secret")))
    ref = await other.state(Live.RUNNING, "Working …")
    assert [one.status for one in shop.project.statuses] == ["running"]
    for _ in range(2):
        await other.state(Live.DONE, "Done.", ref)
    assert {one.status for one in shop.project.statuses} == {"success"}


async def test_the_late_end_of_one_turn_is_not_the_end_of_the_next(shop):
    first = await shop.state(Live.RUNNING, "One …", mark="one")
    second = await shop.state(Live.RUNNING, "Two …", mark="two")
    await shop.state(Live.DONE, "One is done.", first)
    await shop.state(Live.RUNNING, "One again …", first)
    shown = [(one.status, one.description) for one in shop.project.statuses]
    assert shown == [("success", "Over."), ("running", "Two …")]
    await shop.state(Live.ENDED, "Two failed.", second)
    assert shop.project.shown(shop.request.sha, "ona").description == "Two failed."
    await shop.state(Live.RUNNING, "One again …", first)
    await shop.state(Live.DONE, "One is done again.", first)
    assert shop.project.shown(shop.request.sha, "ona").description == "One is done again."
    assert {one.status for one in shop.project.statuses} == {"success"}


async def test_what_others_call_by_our_name_is_not_ours(shop):
    path = f"/projects/acme%2Fapi/statuses/{shop.request.sha}"
    client = Client(shop.gitlab.url, shop.ann.token)
    theirs = {"state": "running", "name": "ona", "ref": "work", "description": "theirs"}
    await client.post(path, Deadline.after(10), **theirs)
    client.close()
    ref = await shop.state(Live.RUNNING, "Working …")
    await shop.state(Live.DONE, "Done.", ref)
    shown = [(one.user, one.status) for one in shop.project.statuses]
    assert shown == [(shop.ann, "running"), (shop.us, "success")]


async def test_a_state_that_may_not_be_set_is_rejected(shop):
    shop.project.members[shop.us] = REPORTER
    with pytest.raises(Rejected):
        await shop.state(Live.RUNNING, "Working …")
    shop.project.members[shop.us] = DEVELOPER
    shop.gitlab.bad.behave("statuses.create", Bad(status=400))
    with pytest.raises(Rejected):
        await shop.state(Live.RUNNING, "Working …")
    shop.gitlab.bad.behave("statuses.create", Bad(answer_status=500))
    with pytest.raises(Uncertain):
        await shop.state(Live.RUNNING, "Working …")


async def test_where_no_state_can_stand_none_does(shop):
    issue = shop.ann.reports(shop.project)
    first = shop.ann.says(shop.request, "Hm", begins=True)
    fork = shop.gitlab.project("bo/api", {shop.bo: OWNER}, visibility="public")
    foreign = shop.bo.opens(shop.project, source=fork)
    empty = shop.ann.opens(shop.project)
    empty.heads.clear()
    places = (
        issue.place,
        f"{shop.request.place}/d{first.discussion}",
        f"{shop.request.place}/internal",
        foreign.place,
        empty.place,
    )
    for place in places:
        assert await shop.post(place, "Working …", live=Live.RUNNING) == NOT_SHOWN
        await shop.edit(place, NOT_SHOWN, "Done.", live=Live.DONE)
    assert shop.project.statuses == []


@pytest.mark.parametrize(
    ("visibility", "level", "permission"),
    [
        ("private", 0, Permission.NONE),
        ("private", 5, Permission.NONE),
        ("private", GUEST, Permission.READ),
        ("private", 15, Permission.READ),
        ("private", REPORTER, Permission.READ),
        ("private", DEVELOPER, Permission.WRITE),
        ("private", MAINTAINER, Permission.ADMIN),
        ("private", OWNER, Permission.ADMIN),
        ("internal", 0, Permission.READ),
        ("public", 0, Permission.READ),
        ("public", 5, Permission.READ),
        ("public", DEVELOPER, Permission.WRITE),
    ],
)
async def test_what_somebody_may_do(shop, visibility, level, permission):
    eve = shop.gitlab.person("eve")
    shop.project.visibility = visibility
    if level:
        shop.project.members[eve] = level
    assert await may(shop, "acme/api", eve.id) is permission


async def test_nobody_may_do_anything_with_what_we_can_not_see(shop):
    eve = shop.gitlab.person("eve")
    shop.gitlab.project("eve/own", {eve: OWNER})
    assert await may(shop, "eve/own", eve.id) is Permission.NONE
    assert await may(shop, "acme/nothing", eve.id) is Permission.NONE


async def test_a_member_who_is_blocked_may_do_nothing(shop):
    shop.ann.state = "blocked"
    assert await may(shop, "acme/api", shop.ann.id) is Permission.NONE


async def test_trouble_is_no_permission(shop):
    shop.gitlab.bad.behave("members.show", Bad(throttle_seconds=3))
    with pytest.raises(Throttled):
        await may(shop, "acme/api", shop.ann.id)
    with pytest.raises(Rejected):
        await shop.forge.permission("acme/api", "ann", Deadline.after(10))


async def test_the_names_of_repositories_on_this_host(shop):
    assert shop.forge.host == shop.gitlab.url.removeprefix("http://")
    assert shop.forge.repository(shop.project.clone_url) == "acme/api"
    assert shop.forge.repository("git@127.0.0.1:acme/api.git") == "acme/api"
    assert shop.forge.repository("https://gitlab.com/acme/api.git") is None


async def test_the_limits_of_gitlab_are_kept_by_the_rates(shop):
    rate = shop.forge.limits.rates["post"]
    assert rate.burst + 60 * rate.per_second <= shop.gitlab.limits.notes_a_minute
    shop.gitlab.limits.notes_a_minute = 1
    await shop.post(shop.request.place, mark="one")
    with pytest.raises(Throttled) as raised:
        await shop.post(shop.request.place, mark="two")
    assert 0 < raised.value.retry_seconds <= 60


async def test_who_we_are_is_asked_once(shop):
    note = shop.ann.says(shop.request, "/ona hi")
    for _ in range(2):
        await shop.forge.react(shop.request.place, str(note.id), None, Deadline.after(10))
        await shop.forge.find(shop.request.place, "m", Deadline.after(10))
    assert shop.gitlab.rest.asked("user.show") == 1


async def test_a_sign_that_somebody_else_of_us_set_or_took_meanwhile_is_fine(shop):
    note = shop.ann.says(shop.request, "/ona hi")
    for sign, names in ((Sign.SEEN, ["eyes"]), (None, [])):
        listed = asyncio.Event()
        shop.gitlab.bad.behave("awards.list", Bad(answer_wait=listed))
        asked = shop.gitlab.rest.asked("awards.list")
        slow = asyncio.create_task(react(shop, note, sign))
        await shop.gitlab.until(lambda asked=asked: shop.gitlab.rest.asked("awards.list") > asked)
        await react(shop, note, sign)
        listed.set()
        await slow
        assert note.awarded(shop.us) == names


async def test_a_note_that_is_deleted_bears_no_sign(shop):
    note = shop.ann.says(shop.request, "/ona hi")
    shop.ann.deletes(note)
    with pytest.raises(Gone):
        await react(shop, note, Sign.SEEN)


async def test_what_has_moved_is_read_there_and_not_written(shop):
    elsewhere = f"{shop.gitlab.url}/api/v4/projects/{shop.project.id}"
    shop.gitlab.bad.behave("projects.show", Bad(moved=elsewhere))
    assert await may(shop, "acme/api", shop.ann.id) is Permission.WRITE
    shop.gitlab.bad.behave("notes.create", Bad(moved=f"{elsewhere}/merge_requests/1/notes"))
    with pytest.raises(Gone):
        await shop.post(shop.request.place)
    assert shop.request.notes == []


async def test_our_token_is_not_sent_on_to_another_host(shop):
    async with open_shop() as other:
        us = next(one for one in other.gitlab.people if one.token == shop.us.token)
        url = other.gitlab.url.replace("127.0.0.1", "localhost")
        shop.gitlab.bad.behave("user.show", Bad(moved=f"{url}/api/v4/user"))
        with pytest.raises(Unavailable):
            await shop.client.ourselves(Deadline.after(10))
        assert (us.username, other.gitlab.rest.asked("user.show")) == ("ona-bot", 1)


async def test_a_reference_that_is_none_is_rejected(shop):
    for ref in ("", "x", "1/../2", "²"):
        with pytest.raises(Rejected):
            await shop.forge.edit(shop.request.place, ref, Content(text="x"), Deadline.after(10))


async def may(shop: Shop, repository: str, account: int) -> Permission:
    return await shop.forge.permission(repository, str(account), Deadline.after(10))


async def react(shop: Shop, note: Note, sign: Sign | None) -> None:
    await shop.forge.react(shop.request.place, str(note.id), sign, Deadline.after(10))
