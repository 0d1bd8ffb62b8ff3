"""Runs for people: counted, told, stopped, run again, and answered."""

from dataclasses import replace

import pytest

from adapters.forge.port import Permission
from bot.automate.runs import run_rows, steering
from bot.conversation.inbox import Inbox
from bot.conversation.message import IncomingMessage
from bot.conversation.replies import Replies
from bot.conversation.run_places import Channel, Resolved, RunPlaces
from bot.conversation.run_posting import PROGRESS_SECONDS, RunPosts
from bot.errors import NotFound, NothingToDo
from bot.govern.rights import Rights
from bot.store.database import RUNS
from bot.store.ids import new_id
from bot.work.control import Actor
from tests.fakes.chat import FakeChat
from tests.support.runs import charge_of, pull_of, run_of, session_of, set_target

GENERAL = Channel(surface="slack", address="T1/C1", said="slack:#general")
PLACES = Resolved(channels=(GENERAL,), lost={"slack:#gone": "it is gone"})
POSTS = "SELECT key, body, notify, buttons FROM reply ORDER BY created_at, id"


def ann(town) -> Actor:
    return Actor(id=town.people["Ann"], name="Ann")


async def row_of(town, run) -> dict:
    async with town.database.begin() as tx:
        return await run_rows.find(tx, run.short)


async def comes_to(town, run):
    async with town.database.begin() as tx:
        return await run_rows.comes_to(tx, await run_rows.find(tx, run.short))


async def stop(town, run, *, why="person"):
    async with town.database.begin() as tx:
        row = await run_rows.lock(tx, run.short)
        return await steering.stop(tx, row, ann(town), why, surface="web")


async def rerun(town, run, which):
    async with town.database.begin() as tx:
        row = await run_rows.lock(tx, run.short)
        return await steering.rerun(tx, row, ann(town), which, surface="web")


async def states(town, run) -> list[str]:
    found = await town.rows(
        "SELECT state FROM run_target WHERE run_id = :run ORDER BY place", run=run.id
    )
    return [state for (state,) in found]


async def test_a_run_is_counted_from_its_targets_each_time(town):
    person = town.people["Ann"]
    run = await run_of(town, person, ("done", "done", "failed", "running", "waiting", "skipped"))
    await pull_of(town, run, 1, person)
    await pull_of(town, run, 2, person, state="merged")
    await charge_of(town, run.sessions[1][0], person, 30)
    await charge_of(town, run.sessions[4][0], person, 12)
    await charge_of(town, run.sessions[4][0], person, 500, state="reserved")
    await set_target(town, run, 1, report="all green")
    await set_target(town, run, 2, report="Nothing to report.")
    found = await comes_to(town, run)
    assert found.tally.status == "running"
    assert (found.tally.done, found.tally.failed, found.tally.skipped) == (2, 1, 1)
    assert found.tally.cost_micro == 420_000
    assert 0 < found.tally.eta_seconds <= 60
    assert found.pulls == {"open": 1, "merged": 1}
    assert (found.found.reports, found.found.pull_requests, found.found.questions) == (1, 2, 0)
    async with town.database.begin() as tx:
        (listed,) = await run_rows.listed(tx)
        assert (listed["status"], listed["counts"].total) == ("running", 6)
        assert await run_rows.listed(tx, project="other") == []
        assert len(await run_rows.listed(tx, automation="bump")) == 1


async def test_targets_are_read_page_by_page_with_what_they_opened(town):
    person = town.people["Ann"]
    run = await run_of(town, person, ["done"] * 7)
    await pull_of(town, run, 3, person)
    row = await row_of(town, run)
    async with town.database.begin() as tx:
        first = await run_rows.targets(tx, row, limit=4)
        rest = await run_rows.targets(tx, row, after=4, limit=4)
        opened = await run_rows.targets(tx, row, opened=True)
        failed = await run_rows.targets(tx, row, state="failed")
    assert [one["place"] for one in (*first, *rest)] == [1, 2, 3, 4, 5, 6, 7]
    assert first[0]["session"] == run.sessions[1][1]
    assert run_rows.seconds_of(first[0]) == pytest.approx(60, abs=5)
    assert [one["place"] for one in opened] == [3]
    assert opened[0]["pulls"][0]["url"].endswith("/pull/103")
    assert failed == []


async def test_a_run_that_is_not_there_is_said(town):
    async with town.database.begin() as tx:
        with pytest.raises(NotFound, match="no run run-none"):
            await run_rows.find(tx, "run-none")


async def test_a_definition_that_can_t_be_read_any_more_hides_no_run(town):
    run = await run_of(town, town.people["Ann"], steps=[])
    assert (await comes_to(town, run)).tally.total == 4


async def test_stop_ends_what_waits_and_asks_what_runs(town):
    run = await run_of(town, town.people["Ann"], ("done", "running", "waiting", "waiting"))
    session_id, short = run.sessions[2]
    await town.say("!sleep 100", session=short)
    lease = await town.queue("w").claim()
    assert lease is not None
    begun = await town.queue("w").begin_turn(lease, None)
    assert begun is not None
    told = await stop(town, run)
    assert told == (
        f"Stopping {run.short}. 1 target that runs is asked to stop. 2 targets that waited are"
        " not begun."
    )
    assert await states(town, run) == ["done", "running", "stopped", "stopped"]
    asked = await town.value("SELECT stop FROM session WHERE id = :id", id=session_id)
    assert asked["name"] == "Ann"
    why = await town.value(
        "SELECT why FROM run_target WHERE run_id = :run AND place = 3", run=run.id
    )
    assert why == "Ann stopped the run"
    assert (await comes_to(town, run)).tally.status == "stopping"
    with pytest.raises(NothingToDo, match="over, or being stopped"):
        await stop(town, run)
    with pytest.raises(NothingToDo, match="just being stopped"):
        await rerun(town, run, "failed")
    kinds = await town.rows("SELECT kind, who, place FROM audit_event WHERE kind LIKE 'run.%'")
    assert kinds == [("run.stopped", "Ann", run.short)]


async def test_a_limit_stops_a_run_in_nobody_s_name(town):
    run = await run_of(town, town.people["Ann"], ("done", "waiting"))
    told = await stop(town, run, why="money")
    assert told == f"Stopped {run.short}. 1 target that waited is not begun."
    row = await row_of(town, run)
    assert (row["stop_why"], row["stopped_by"]) == ("money", None)
    assert (await comes_to(town, run)).tally.status == "stopped"
    assert await town.value("SELECT who FROM audit_event WHERE kind = 'run.stopped'") == "ona"


async def test_between_two_steps_there_is_nothing_to_end_in_a_session(town):
    run = await run_of(town, town.people["Ann"], ("running",))
    assert await stop(town, run) == (f"Stopping {run.short}. 1 target that runs is asked to stop.")


async def test_failed_ones_are_run_again_in_sessions_of_their_own(town):
    person = town.people["Ann"]
    run = await run_of(town, person, ("done", "failed", "stopped", "skipped"))
    await charge_of(town, run.sessions[2][0], person, 7)
    await pull_of(town, run, 2, person)
    await town.rows(
        "UPDATE run SET settled_at = now(), stop_why = 'time' WHERE id = :id RETURNING id",
        id=run.id,
    )
    assert await rerun(town, run, "failed") == f"2 targets of {run.short} are run again."
    assert await states(town, run) == ["done", "waiting", "waiting", "skipped"]
    found = await town.rows(
        "SELECT attempt, session_id, earlier, started_at, step, results, why FROM run_target"
        " WHERE run_id = :run AND place = 2",
        run=run.id,
    )
    assert found == [(2, None, [str(run.sessions[2][0])], None, 0, [], "")]
    row = await row_of(town, run)
    assert (row["settled_at"], row["stop_why"]) == (None, "")
    comes = await comes_to(town, run)
    # What the attempt before cost and opened still counts.
    assert (comes.tally.cost_micro, comes.pulls) == (70_000, {"open": 1})
    assert comes.tally.status == "running"


@pytest.mark.parametrize(
    ("which", "after"),
    [
        ("all", ["waiting", "waiting", "running", "waiting", "waiting"]),
        (1, ["waiting", "failed", "running", "waiting", "skipped"]),
        (5, ["done", "failed", "running", "waiting", "waiting"]),
    ],
)
async def test_all_or_one_of_them_is_run_again(town, which, after):
    run = await run_of(
        town, town.people["Ann"], ("done", "failed", "running", "waiting", "skipped")
    )
    await rerun(town, run, which)
    assert await states(town, run) == after


@pytest.mark.parametrize(
    ("which", "error", "said"),
    [
        (3, NothingToDo, "target 3 of .* is not over yet"),
        (9, NotFound, "no target 9"),
        (2, NothingToDo, "target 2 of .* has no project to work in"),
        ("failed", NothingToDo, "no target of .* failed"),
    ],
)
async def test_what_can_t_be_run_again_is_said(town, which, error, said):
    run = await run_of(town, town.people["Ann"], ("done", "skipped", "running"))
    await without_project(town, 2)
    with pytest.raises(error, match=said):
        await rerun(town, run, which)
    assert await states(town, run) == ["done", "skipped", "running"]


async def test_what_has_no_project_to_work_in_is_left_out_when_all_is_run_again(town):
    run = await run_of(town, town.people["Ann"], ("done", "skipped", "skipped"))
    await without_project(town, 2)
    async with town.database.begin() as tx:
        found = await run_rows.targets(tx, await run_rows.find(tx, run.short))
    assert [one["can_rerun"] for one in found] == [True, False, True]
    await rerun(town, run, "all")
    assert await states(town, run) == ["waiting", "skipped", "waiting"]


async def without_project(town, place) -> None:
    await town.rows(
        "UPDATE run_target SET project_id = NULL, why = 'there is no such project'"
        " WHERE place = :place RETURNING id",
        place=place,
    )


async def opened(town, run, posts=None):
    posts = posts or RunPosts(pages="https://ona.test")
    async with town.database.begin() as tx:
        await posts.open_reports(tx, run.id, PLACES)
    return posts


async def progress(town, posts, run) -> bool:
    async with town.database.begin() as tx:
        return await posts.progress(tx, run.id)


async def finish(town, posts, run) -> bool:
    async with town.database.begin() as tx:
        return await posts.finish(tx, run.id)


async def test_progress_is_one_post_that_is_edited_now_and_then(town):
    run = await run_of(town, town.people["Ann"], report="always")
    posts = await opened(town, run)
    await opened(town, run, posts)
    assert await progress(town, posts, run)
    ((key, body, notify, buttons),) = await town.rows(POSTS)
    assert (key, notify) == (f"run:{run.id}:progress", "")
    assert "1 done, 1 failed, 1 running, 1 waiting" in body
    assert [one["says"] or one["url"] for one in buttons] == [
        f"https://ona.test/runs/{run.short}",
        f"runs stop {run.short}",
    ]
    await set_target(town, run, 3, state="done")
    # It was said just now.
    assert not await progress(town, posts, run)
    assert "1 done" in (await town.rows(POSTS))[0][1]
    await town.rows(
        "UPDATE run SET told_at = now() - make_interval(secs => :s) RETURNING id",
        s=PROGRESS_SECONDS + 1,
    )
    assert await progress(town, posts, run)
    ((_, body, _, _),) = await town.rows(POSTS)
    assert "2 done, 1 failed, 1 waiting" in body
    reports = (await row_of(town, run))["reports"]
    assert [one["place"] for one in reports] == ["slack:#gone", "slack:#general"]


async def test_the_report_is_a_post_of_its_own_that_names_who_began_it(town):
    person = town.people["Ann"]
    await town.rows(
        "INSERT INTO identity (id, person_id, surface, external_id, name)"
        " VALUES (:id, :person, 'slack:T1', 'U1', 'ann') RETURNING id",
        id=new_id(),
        person=person,
    )
    run = await run_of(town, person, ("done", "failed"), by_hand=True)
    posts = await opened(town, run)
    assert await finish(town, posts, run)
    await finish(town, posts, run)
    (_, shown, _, _), (key, body, notify, buttons) = await town.rows(POSTS)
    assert "partly succeeded" in shown
    assert key.startswith(f"run:{run.id}:report:")
    assert "- #2 acme/repo-2: the tests failed" in body
    assert notify == "U1"
    assert buttons[-1]["says"] == f"runs rerun {run.short} failed"
    await rerun(town, run, "failed")
    await set_target(town, run, 2, state="running")
    await set_target(town, run, 2, state="done")
    await finish(town, posts, run)
    # A run that was run again is told again, and nobody has to be called.
    (*_, (again, body, notify, _)) = await town.rows(POSTS)
    assert again != key
    assert "succeeded" in body
    assert notify == ""


@pytest.mark.parametrize("report", ["actionable", "always"])
async def test_a_run_that_had_nothing_to_say_is_silent_unless_it_always_reports(town, report):
    run = await run_of(town, town.people["Ann"], ("done", "done"), report=report)
    await set_target(town, run, 1, report="Nothing to report.")
    posts = await opened(town, run)
    await progress(town, posts, run)
    assert await finish(town, posts, run) == (report == "always")
    assert len(await town.rows(POSTS)) == (2 if report == "always" else 0)


async def test_a_run_with_one_target_posts_its_answer_once(town):
    run = await run_of(town, town.people["Ann"], ("running",))
    posts = await opened(town, run)
    await progress(town, posts, run)
    assert await town.rows(POSTS) == []
    await set_target(town, run, 1, state="done", report="**Two** are open.")
    await finish(town, posts, run)
    ((_, body, _, _),) = await town.rows(POSTS)
    assert body.endswith("**Two** are open.\n~~~")


async def test_the_words_of_a_step_are_posted_once_where_the_run_reports_or_elsewhere(town):
    run = await run_of(town, town.people["Ann"], ("running",))
    posts = await opened(town, run)
    other = replace(GENERAL, address="T1/C2", said="slack:#other")
    for _ in range(2):
        async with town.database.begin() as tx:
            await posts.say(tx, run.id, "1:0", "*hello*")
            await posts.say(tx, run.id, "1:1", "there", [other])
    found = await town.rows(
        "SELECT thread.place, reply.body FROM reply JOIN thread ON thread.id = reply.thread_id"
        " ORDER BY reply.created_at"
    )
    assert found == [
        (f"T1/C1/~{run.session_id}", "~~~\n*hello*\n~~~"),
        (f"T1/C2/~{run.session_id}", "~~~\nthere\n~~~"),
    ]


async def test_what_its_session_does_is_not_posted_in_the_channel(town):
    run = await run_of(town, town.people["Ann"], ("running",))
    await opened(town, run)
    await town.say("!echo one", session=run.session)
    chat = FakeChat("http://127.0.0.1:1")
    try:
        await Replies(town.database, {"slack": chat}).once()
    finally:
        await chat.close()
    assert await town.rows(POSTS) == []


async def below(town, ref: str, words: str, *, by: str = "Ann"):
    """A reply below one of our posts in the channel."""
    key = f"slack/{new_id()}"
    message = IncomingMessage(
        surface="slack",
        delivery_key=key,
        message_key=key,
        place=f"T1/C1/{ref}",
        person_id=town.people[by],
        text=words,
        told_in_thread=True,
    )
    return await town.inbox.accept(message)


@pytest.fixture
async def fleet(town):
    """A fleet that has posted its progress as 171.1."""
    run = await run_of(town, town.people["Ann"], report="always")
    posts = await opened(town, run)
    await progress(town, posts, run)
    await town.rows("UPDATE reply SET posted_ref = '171.1' RETURNING id")
    return run


async def test_a_reply_below_a_post_continues_the_session_of_its_run(town, fleet):
    said = await below(town, "171.1", "what is left to do?")
    assert (said.verdict, said.session) == ("prompt", fleet.session)
    ((quoted,),) = await town.rows("SELECT quoted FROM delivery WHERE prompt_id IS NOT NULL")
    (told,) = quoted
    assert told["text"].splitlines() == [
        f"Run {fleet.short} (bump): running.",
        "1 done, 1 failed, 1 running, 1 waiting",
        "#1 acme/repo-1 done",
        "#2 acme/repo-2 failed: the tests failed",
        "#3 acme/repo-3 running",
        "#4 acme/repo-4 waiting",
    ]


@pytest.mark.parametrize("words", ["#2 look again", "target 2: look again"])
async def test_a_reply_that_names_a_target_goes_to_that_one_s_session(town, fleet, words):
    said = await below(town, "171.1", words)
    assert (said.verdict, said.session) == ("prompt", fleet.sessions[2][1])
    found = await town.rows(
        "SELECT delivery.text, thread.place FROM prompt JOIN thread ON thread.id = prompt.thread_id"
        " JOIN delivery ON delivery.prompt_id = prompt.id"
    )
    assert found == [("look again", f"T1/C1/171.1~{fleet.short}-2")]
    # The thread itself stays the run's.
    assert (await below(town, "171.1", "and the rest?")).session == fleet.session


async def test_commands_reach_the_target_that_is_named_too(town, fleet):
    said = await below(town, "171.1", "#2 !echo one")
    assert await town.value("SELECT kind FROM prompt") == "command"
    assert fleet.sessions[2][1] in (await below(town, "171.1", "#2 status")).text
    stopped = await below(town, "171.1", "#2 stop all")
    assert (stopped.verdict, stopped.session) == ("command", said.session)
    assert await town.value("SELECT state FROM prompt") == "cancelled"


@pytest.mark.parametrize(("words", "why"), [("#4 x", "not begun"), ("#99 x", "no target 99")])
async def test_a_target_that_can_t_hear_is_said(town, fleet, words, why):
    said = await below(town, "171.1", words)
    assert said.verdict == "refused"
    assert why in said.text
    assert await town.value("SELECT count(*) FROM prompt") == 0


async def test_in_other_threads_a_number_is_just_a_word(town):
    said = await town.say("#12 is the issue that I mean")
    assert said.verdict == "prompt"
    assert await town.value("SELECT text FROM delivery") == "#12 is the issue that I mean"


async def test_runs_are_seen_stopped_and_run_again_by_commands(town, fleet):
    assert (await town.say("runs")).text == (
        f"{fleet.short}  running  bump  1 done, 1 failed, 1 running, 1 waiting"
    )
    shown = (await town.say(f"runs show {fleet.short}")).text
    assert "- #2 acme/repo-2: the tests failed" in shown
    assert "Stopping" in (await town.say(f"runs stop {fleet.short}")).text
    await set_target(town, fleet, 3, state="stopped")
    again = await town.say(f"runs rerun {fleet.short} #2")
    assert again.text == f"1 target of {fleet.short} is run again."
    assert (await town.say("runs show run-none")).verdict == "refused"


@pytest.fixture
async def guarded(town, forge):
    """Ann may write to the project of the town, Bo may read it."""
    town.inbox = Inbox(
        town.database, prompt_bytes_max=100_000, rights=Rights(town.database, {"forge": forge})
    )
    await town.rows(
        "UPDATE project SET repository_url = 'https://forge.test/acme/demo.git' RETURNING id"
    )
    for name, number in (("Ann", "1"), ("Bo", "2")):
        await town.rows(
            "INSERT INTO identity (id, person_id, surface, external_id, name)"
            " VALUES (:id, :person, 'forge:forge.test', :number, :name) RETURNING id",
            id=new_id(),
            person=town.people[name],
            number=number,
            name=name,
        )
    forge.levels = {("acme/demo", "1"): Permission.WRITE, ("acme/demo", "2"): Permission.READ}
    return town


async def test_who_may_only_read_sees_a_run_and_changes_nothing(guarded):
    run = await run_of(guarded, guarded.people["Ann"])
    assert run.short in (await guarded.say("runs", by="Bo")).text
    for words in (f"runs stop {run.short}", f"runs rerun {run.short}"):
        refused = await guarded.say(words, by="Bo")
        assert (refused.verdict, "may not write" in refused.text) == ("refused", True)
    assert await states(guarded, run) == ["done", "failed", "running", "waiting"]


async def test_who_began_it_may_stop_it(guarded):
    run = await run_of(guarded, guarded.people["Bo"], ("running", "waiting"), by_hand=True)
    assert (await guarded.say(f"runs stop {run.short}", by="Bo")).verdict == "command"
    refused = await guarded.say(f"runs rerun {run.short}", by="Bo")
    assert refused.verdict == "refused"


async def test_who_may_not_read_the_project_sees_no_run(guarded, forge):
    run = await run_of(guarded, guarded.people["Ann"])
    del forge.levels["acme/demo", "2"]
    assert run.short not in (await guarded.say("runs", by="Bo")).text
    assert "no run" in (await guarded.say(f"runs show {run.short}", by="Bo")).text


async def test_time_counts_anew_for_what_is_run_again_and_the_loop_is_told(town):
    run = await run_of(town, town.people["Ann"], ("failed",))
    await town.rows(
        "UPDATE run SET settled_at = now(), seconds = 86400, seen_at = now() - interval '1 day'"
        " RETURNING id"
    )
    async with town.database.begin() as tx:
        row = await run_rows.lock(tx, run.short)
        await steering.rerun(tx, row, ann(town), "failed")
        assert (RUNS, str(run.id)) in tx.hints
    assert await town.rows("SELECT seconds, seen_at > now() - interval '1 hour' FROM run") == [
        (0, True)
    ]


async def test_places_that_stand_already_are_not_written_again(town):
    run = await run_of(town, town.people["Ann"])
    posts = await opened(town, run)
    before = await town.value("SELECT CAST(xmin AS text) FROM run")
    await opened(town, run, posts)
    assert await town.value("SELECT CAST(xmin AS text) FROM run") == before
    other, _ = await session_of(town, town.people["Ann"])
    await town.rows("UPDATE run SET session_id = :other RETURNING id", other=other)
    await opened(town, run, posts)
    assert await town.value("SELECT count(*) FROM thread WHERE session_id = :id", id=other) == 1


class Finding(FakeChat):
    """A surface whose channels are known by name to who is in them."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1")
        self.channels = {("U1", "general"): "T1/C1", ("U1", "C1"): "T1/C1"}

    async def channel_of(self, near, person, name, deadline):
        return self.channels.get((person, name))


async def test_places_are_found_by_who_is_in_them(town):
    for person, account in (("Bo", "U2"), ("Ann", "U1")):
        await town.rows(
            "INSERT INTO identity (id, person_id, surface, external_id, name)"
            " VALUES (:id, :person, 'slack:T1', :account, 'x') RETURNING id",
            id=new_id(),
            person=town.people[person],
            account=account,
        )
    chat = Finding()
    try:
        places = RunPlaces(town.database, {"slack": chat})
        said = ["slack:#general", "slack:T1/C1", "slack:#other", "discord:#x", "general"]
        people = [town.people["Bo"], town.people["Ann"]]
        found = await places.resolve(said, people)
        nobody = await places.resolve(["slack:#general"], [town.people["Bo"]])
    finally:
        await chat.close()
    assert [(one.said, one.address) for one in found.channels] == [
        ("slack:#general", "T1/C1"),
        ("slack:T1/C1", "T1/C1"),
    ]
    assert list(found.lost) == ["slack:#other", "discord:#x", "general"]
    assert "nobody who stands for this" in found.lost["slack:#other"]
    assert nobody.channels == ()
