"""Each bound of a turn and of a session is reached, on the real queue, in a real guest program."""

import asyncio
import sys
from pathlib import Path

from adapters.agent.acp.harness import AcpAgent
from adapters.agent.acp.profiles import Profile
from adapters.agent.shell import ShellAgent
from bot.store.ids import new_id
from bot.work.bounds import SessionLimits
from tests.fakes.guest_workplaces import GuestWorkplaces
from tests.integration.conftest import DEMO, Town
from tests.support.shift import Shift, until

AGENT = Path(__file__).parents[2] / "fakes" / "acp_agent.py"
TURNS = "SELECT state, outcome ->> 'summary' FROM turn ORDER BY started_at"
QUESTIONS = "SELECT state, text, answer FROM question ORDER BY created_at"


def programs(home: Path):
    """What runs texts: an agent that does what its prompt says."""
    profile = Profile(
        name="scripted", argv=(sys.executable, str(AGENT)), environment={"ACP_HOME": str(home)}
    )
    return {"shell": AcpAgent(profile)}


def again(count: int, title: str = "Run tests") -> str:
    return "\n".join(f"tool {title}\ndone" for _ in range(count))


async def asked(town: Town, count: int = 1) -> str:
    rows = await until(town, QUESTIONS, lambda rows: len(rows) == count and rows[-1][0] == "open")
    await until(town, "SELECT state FROM session", lambda rows: rows == [("waiting",)])
    return rows[-1][1]


async def ended(town: Town, state: str) -> str:
    ((got, why),) = await until(town, TURNS, lambda rows: rows and rows[-1][0] != "running")
    assert got == state, why
    return str(why)


SIX = SessionLimits(repeats_max=6)


async def test_an_agent_that_goes_in_circles_is_asked_about_once_and_then_stopped(
    town: Town, places: GuestWorkplaces, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    await town.say(f"{again(6)}\nwait {go}\n{again(6)}\nwait {tmp_path / 'never'}")
    async with Shift(town, places, "w", agents=programs(tmp_path), session=SIX):
        text = await asked(town)
        assert "did the same 6 times in a row with the same result: Run tests" in text
        answered = await town.say("1")
        assert answered.verdict == "answer"
        await until(town, "SELECT state FROM session", lambda rows: rows == [("running",)])
        go.touch()
        why = await ended(town, "failed")
    assert "once more: Run tests" in why
    assert await town.rows(QUESTIONS) == [("answered", text, "Continue")]


async def test_whoever_says_stop_ends_a_circle(
    town: Town, places: GuestWorkplaces, tmp_path: Path
) -> None:
    await town.say(f"{again(6)}\nwait {tmp_path / 'never'}")
    async with Shift(town, places, "w", agents=programs(tmp_path), session=SIX):
        await asked(town)
        await town.say("2")
        why = await ended(town, "stopped")
    assert why == "stopped by Ann, because it did the same again and again"


async def test_a_circle_goes_on_in_another_process(
    town: Town, places: GuestWorkplaces, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    await town.say(f"{again(4)}\nwait {go}\n{again(2)}\nwait {tmp_path / 'never'}")
    tools = "SELECT 1 FROM turn_event WHERE kind = 'tool'"
    async with Shift(town, places, "first", agents=programs(tmp_path), session=SIX):
        await until(town, tools, lambda rows: len(rows) == 8)
    go.touch()
    async with Shift(town, places, "second", agents=programs(tmp_path), session=SIX):
        assert "6 times in a row" in await asked(town)
        await town.say("stop")
        await ended(town, "stopped")


async def test_an_agent_that_gets_on_is_left_alone(
    town: Town, places: GuestWorkplaces, tmp_path: Path
) -> None:
    script = [again(1, f"Read {number}") for number in range(20)]
    await town.say("\n".join([*script, "stop end_turn"]))
    async with Shift(town, places, "w", agents=programs(tmp_path), session=SIX):
        await ended(town, "succeeded")
    assert await town.rows(QUESTIONS) == []


async def test_a_session_has_so_many_turns(town: Town, places: GuestWorkplaces) -> None:
    for number in range(3):
        await town.say(f"!echo {number}")
    async with Shift(town, places, "w", session=SessionLimits(turns_max=2)):
        rows = await until(town, TURNS, lambda rows: [one[0] for one in rows][2:] == ["failed"])
    assert [state for state, _ in rows] == ["succeeded", "succeeded", "failed"]
    assert rows[-1][1].startswith("this session has had all of its 2 turns; ")
    (told,) = await town.rows("SELECT body ->> 'text' FROM turn_event WHERE kind = 'error'")
    assert "`new: …` begins another session" in told[0]


async def test_the_time_of_a_session_is_that_of_all_its_turns(
    town: Town, places: GuestWorkplaces
) -> None:
    await town.say("!sleep 1")
    await town.say("!echo begun; sleep 600")
    async with Shift(town, places, "w", session=SessionLimits(seconds_max=2)):
        rows = await until(town, TURNS, lambda rows: [one[0] for one in rows][1:] == ["timed_out"])
        assert "this session has run for 2.0 s" in rows[-1][1]
        await town.say("!echo more")
        rows = await until(town, TURNS, lambda rows: [one[0] for one in rows][2:] == ["failed"])
    assert "may not run for longer" in rows[-1][1]
    ran = await town.value("SELECT sum(ran_seconds) FROM turn")
    assert 2 <= ran < 30


async def test_a_turn_tells_what_it_costs_while_it_runs_and_at_its_end(
    town: Town, places: GuestWorkplaces, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    await town.say(f"!until [ -e {go} ]; do sleep 0.05; done")
    async with Shift(town, places, "w", agents={"shell": ShellAgent()}):
        await until(town, TURNS, lambda rows: rows == [("running", None)])
        for cents in (3, 4):
            await town.rows(
                "INSERT INTO charge (id, turn_id, session_id, person_id, project_id, day, model,"
                " state, cost_micro) SELECT :id, id, session_id, :id, :project, now(), 'm',"
                " 'settled', :cost FROM turn RETURNING id",
                id=new_id(),
                project=DEMO,
                cost=cents * 10_000,
            )
            await asyncio.sleep(0)
        told = "SELECT body ->> 'micro' FROM turn_event WHERE kind = 'cost' ORDER BY number"
        await until(town, told, lambda rows: rows[-1:] == [("70000",)])
        go.touch()
        await ended(town, "succeeded")
    assert await town.value("SELECT outcome ->> 'cost_micro' FROM turn") == "70000"


async def test_the_limit_of_a_turn_counts_on_after_a_question(
    town: Town, places: GuestWorkplaces, tmp_path: Path
) -> None:
    await town.say(f"{again(6)}\nwait {tmp_path / 'never'}")
    async with Shift(town, places, "w", agents=programs(tmp_path), session=SIX, seconds_max=4):
        await asked(town)
        assert await town.value("SELECT ran_seconds FROM turn") > 0
        await town.say("continue")
        why = await ended(town, "timed_out")
    assert "time limit of 4 s" in why
    assert 4 <= await town.value("SELECT ran_seconds FROM turn") < 30
