"""What people do with ona, the same on every surface that can have it."""

import asyncio
import sys
from pathlib import Path

import pytest

from bot.work import questions
from tests.fakes.pooled_workplaces import PooledWorkplaces
from tests.integration.scenarios.chats import DiscordTalk, SlackTalk
from tests.integration.scenarios.forges import (
    GitHubTalk,
    GitLabTalk,
    PolledGitHubTalk,
    PolledGitLabTalk,
)
from tests.integration.scenarios.talks import counted, shown, until
from tests.support.shift import Shift
from vmpool.machine import MachineState

POLLED = (PolledGitHubTalk, PolledGitLabTalk)
TALKS = {one.name: one for one in (SlackTalk, DiscordTalk, GitHubTalk, GitLabTalk, *POLLED)}
RUNNING = "SELECT count(*) FROM turn WHERE state = 'running'"
ENDED = "SELECT count(*) FROM turn WHERE state = 'succeeded'"
BEGUN = "SELECT count(*) FROM turn_event WHERE kind = 'output' AND body ->> 'text' LIKE 'begun%'"
SESSIONS = "SELECT count(*) FROM session"
WEB = """
    INSERT INTO project (id, name, repository_url, agent)
    VALUES (gen_random_uuid(), 'web', '/srv/web', 'shell') RETURNING id
"""
WORKED_ON = """
    SELECT project.name FROM session JOIN project ON project.id = session.project_id
     ORDER BY session.created_at
"""
NIGHT_HOURS, DAY_SECONDS = 10, 86_400.0
ASK = Path(__file__).parents[3] / "vmpool" / "guest" / "ask.py"

everywhere = pytest.mark.parametrize("talk", TALKS, indirect=True)
where_one_asks_which = pytest.mark.parametrize(
    "talk", [name for name, one in TALKS.items() if one.asks_which], indirect=True
)
where_the_place_says_which = pytest.mark.parametrize(
    "talk", [name for name, one in TALKS.items() if not one.asks_which], indirect=True
)
where_one_can_be_written_to = pytest.mark.parametrize(
    "talk", [name for name, one in TALKS.items() if one.confides], indirect=True
)
where_nobody_can_be_written_to = pytest.mark.parametrize(
    "talk", [name for name, one in TALKS.items() if not one.confides], indirect=True
)
in_every_way = pytest.mark.parametrize(
    ("talk", "how"),
    [(name, how) for name, one in TALKS.items() for how in one.stops],
    indirect=["talk"],
)


@everywhere
async def test_a_mention_is_answered_once(town, places, talk):
    async with Shift(town, places, "w"):
        thread = await talk.begins("!echo hello from the machine")
        await shown(talk, thread, "hello from the machine", "exit status 0", "Done")

        def answers() -> list[str]:
            return [one for one in talk.posts(thread) if "hello" in one]

        # A live message that was under way at the end shrinks to one line.
        await until(lambda: len(answers()) == 1)


@everywhere
async def test_what_is_said_while_a_turn_runs_comes_after_it(town, places, talk):
    async with Shift(town, places, "w"):
        thread = await talk.begins("!echo alpha; sleep 2")
        await counted(town, RUNNING, 1)
        await talk.says(thread, "!echo beta")
        await shown(talk, thread, "beta", "Done")
    answers = [one for one in talk.posts(thread) if "exit status" in one]
    told = [word for one in answers for word in ("alpha", "beta") if word in one]
    assert told == ["alpha", "beta"]
    assert await town.value(SESSIONS) == 1


@everywhere
async def test_three_quick_messages_of_one_person_are_one_turn(town, places, talk):
    thread = await talk.begins("echo alpha")
    await counted(town, "SELECT count(*) FROM prompt", 1)
    for number, word in enumerate(("beta", "gamma"), 2):
        await talk.says(thread, f"echo {word}")
        await counted(town, "SELECT count(*) FROM delivery WHERE prompt_id IS NOT NULL", number)
    async with Shift(town, places, "w"):
        await shown(talk, thread, "alpha", "beta", "gamma", "Done")
    assert await town.value("SELECT count(*) FROM turn") == 1


@everywhere
async def test_what_is_said_to_a_machine_that_hibernates_wakes_it(town, yard, talk, tmp_path):
    places = PooledWorkplaces(yard.pool, yard.order, str(tmp_path))
    async with Shift(town, places, "w"):
        thread = await talk.begins("!echo alpha")
        await shown(talk, thread, "alpha", "Done")
        ((machine, _),) = places.entered
        # What ended gives its machine back after it was told.
        await until(lambda: yard.pool.rest(machine))
        assert await yard.state(machine) is MachineState.RESTING
        await talk.says(thread, "!echo beta")
        await shown(talk, thread, "beta", "Done")
    first, second = places.entered
    assert second == first, "the same machine, with what was in its memory"
    assert (await yard.row(machine)).generation == 2
    assert await town.value(SESSIONS) == 1


@in_every_way
async def test_a_turn_is_stopped(town, places, talk, how):
    async with Shift(town, places, "w"):
        thread = await talk.begins("!echo zero")
        await shown(talk, thread, "zero", "Done")
        await talk.says(thread, "!echo begun; sleep 100")
        await counted(town, BEGUN, 1)
        await talk.stop(thread, how)
        stopped = await shown(talk, thread, "Stopped")
    assert any("begun" in one for one in stopped), "what was done so far is told"
    assert await town.value("SELECT count(*) FROM turn WHERE state = 'stopped'") == 1


@everywhere
async def test_a_turn_is_stopped_from_elsewhere(town, places, talk):
    async with Shift(town, places, "w"):
        thread = await talk.begins("!echo begun; sleep 100")
        await counted(town, RUNNING, 1)
        short = await town.value("SELECT short FROM session")
        await town.say("stop", session=short, by="Bo")
        await shown(talk, thread, "Stopped", "Bo")


@everywhere
async def test_an_edit_changes_a_prompt_that_waits(town, places, talk):
    thread = await talk.begins("!echo first")
    await counted(town, "SELECT count(*) FROM prompt", 1)
    waiting = await talk.says(thread, "!echo second", by="bo")
    await counted(town, "SELECT count(*) FROM prompt", 2)
    await talk.edits(waiting, "!echo changed", by="bo")
    changed = "SELECT count(*) FROM delivery WHERE text = 'echo changed'"
    await counted(town, changed, 1)
    async with Shift(town, places, "w"):
        await shown(talk, thread, "changed", "Done")
    assert "second" not in " ".join(talk.posts(thread))


@everywhere
async def test_two_people_at_once_are_each_answered_in_their_order(town, places, talk):
    thread = await talk.begins("!echo zero")
    await counted(town, "SELECT count(*) FROM prompt", 1)
    await asyncio.gather(
        talk.says(thread, "!echo of-ann", by="ann"), talk.says(thread, "!echo of-bo", by="bo")
    )
    await counted(town, "SELECT count(*) FROM prompt", 3)
    async with Shift(town, places, "w"):
        await counted(town, ENDED, 3)
        await shown(talk, thread, "of-ann", "Done")
        await shown(talk, thread, "of-bo", "Done")
    asked = await town.rows(
        "SELECT person.name, delivery.text FROM prompt JOIN person ON person.id = prompt.author_id"
        " JOIN delivery ON delivery.prompt_id = prompt.id ORDER BY prompt.position"
    )
    assert set(asked[1:]) == {("Ann", "echo of-ann"), ("Bo", "echo of-bo")}
    ran = await town.rows(
        "SELECT body ->> 'text' FROM turn_event WHERE kind = 'turn.started' ORDER BY number"
    )
    assert ran == [(text,) for _, text in asked]


@where_one_asks_which
async def test_which_of_two_projects_is_asked_and_the_prompt_runs_once_there(town, places, talk):
    await town.rows(WEB)
    async with Shift(town, places, "w"):
        thread = await talk.begins("!echo alpha")
        await talk.chooses(thread, "web")
        await shown(talk, thread, "alpha", "Done")
    assert await town.rows(WORKED_ON) == [("web",)]


@where_one_asks_which
async def test_a_prompt_in_the_wrong_project_is_stopped_and_moved(town, places, talk):
    await town.rows(WEB)
    async with Shift(town, places, "w"):
        thread = await talk.begins("project=demo !echo begun; sleep 4; echo over")
        await talk.doubts(thread)
        await talk.chooses(thread, "web")
        await shown(talk, thread, "begun", "over", "Done")
    assert await town.rows(WORKED_ON) == [("demo",), ("web",)]
    states = "SELECT state FROM turn ORDER BY id"
    assert await town.rows(states) == [("stopped",), ("succeeded",)]


@where_the_place_says_which
async def test_a_place_of_one_project_has_no_wrong_one_and_says_so(town, places, talk):
    await town.rows(WEB)
    async with Shift(town, places, "w"):
        thread = await talk.begins("project=web !echo alpha")
        (refusal,) = await shown(talk, thread, "web", "demo")
        await talk.says(thread, "!echo beta")
        await shown(talk, thread, "beta", "Done")
    assert "alpha" not in refusal
    assert await town.rows(WORKED_ON) == [("demo",)]


@pytest.fixture
def asking(tmp_path, guest) -> str:
    """A command that asks which colour, and says what was answered."""
    script = tmp_path / "ask.sh"
    socket = guest.environment["ONA_JOB_SOCKET"]
    script.write_text(
        f'export ONA_JOB_SOCKET="{socket}"\n'
        f'colour=$("{sys.executable}" "{ASK}" "Which colour?" red blue)\n'
        'echo "painted ${colour:-nothing}"\n'
    )
    return "!sh ask.sh"


async def pass_hours(town, hours: float) -> None:
    """Let the question be so much older."""
    ago = "make_interval(secs => :seconds)"
    await town.rows(
        f"UPDATE question SET created_at = created_at - {ago}, expires_at = expires_at - {ago}"
        " RETURNING id",
        seconds=hours * 3600,
    )


async def expired(town) -> int:
    async with town.database.begin() as tx:
        return await questions.expire(tx)


@everywhere
async def test_a_question_waits_overnight_for_its_answer(town, places, talk, asking):
    async with Shift(town, places, "evening", question_seconds=DAY_SECONDS):
        thread = await talk.begins(asking)
        await shown(talk, thread, "Which colour?", "red", "blue")
        await counted(town, "SELECT count(*) FROM session WHERE state = 'waiting'", 1)
    await pass_hours(town, NIGHT_HOURS)
    assert await expired(town) == 0
    async with Shift(town, places, "morning", question_seconds=DAY_SECONDS):
        await talk.says(thread, "blue")
        await shown(talk, thread, "painted blue", "Done")
        await shown(talk, thread, "Which colour", "Ann answered", "blue")
    assert await town.value("SELECT count(*) FROM prompt") == 1, "an answer is no prompt"


@everywhere
async def test_a_question_that_nobody_answers_ends_and_the_turn_goes_on(town, places, talk, asking):
    async with Shift(town, places, "w", question_seconds=DAY_SECONDS):
        thread = await talk.begins(asking)
        await shown(talk, thread, "Which colour?")
        await counted(town, "SELECT count(*) FROM session WHERE state = 'waiting'", 1)
        await pass_hours(town, 2 * NIGHT_HOURS + 5)
        assert await expired(town) == 1
        await shown(talk, thread, "painted nothing", "Done")
        await shown(talk, thread, "Which colour?", "Nobody answered")


@where_one_can_be_written_to
async def test_what_is_private_is_answered_to_its_author_alone(town, places, talk):
    async with Shift(town, places, "w"):
        thread = await talk.begins("!echo alpha")
        await shown(talk, thread, "alpha", "Done")
        await talk.says(thread, "private: !echo t-w-o")
        await until(lambda: any("t-w-o" in one and "Done" in one for one in talk.confided()))
        assert "t-w-o" not in " ".join(talk.posts(thread))
        assert talk.confided("bo") == []


@where_nobody_can_be_written_to
async def test_what_is_private_is_refused_in_words_before_it_runs(town, places, talk):
    async with Shift(town, places, "w"):
        thread = await talk.begins("private: !echo t-w-o")
        (refusal,) = await shown(talk, thread, "nothing was run")
    assert "t-w-o" not in refusal
    assert await town.value("SELECT count(*) FROM prompt") == 0
