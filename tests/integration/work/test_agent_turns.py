"""Turns of an agent that speaks the protocol, on the real queue, in a real guest program."""

import json
import sys
from pathlib import Path

import pytest

from adapters.agent.acp import wire
from adapters.agent.acp.harness import AcpAgent
from adapters.agent.acp.profiles import Profile
from adapters.chat.terminal import TerminalChat
from bot.conversation.inbox import Inbox
from bot.conversation.replies import Replies
from bot.govern.agents import Agents
from tests.fakes.guest_workplaces import GuestWorkplaces
from tests.integration.conftest import Town
from tests.support.shift import Shift, until

PROGRAM = Path(__file__).parents[2] / "fakes" / "acp_agent.py"
ENDED = "SELECT state, outcome ->> 'summary' FROM turn ORDER BY started_at"
SAID = """
    SELECT string_agg(body ->> 'text', '' ORDER BY number), count(*) FROM turn_event
     WHERE kind = 'text' GROUP BY turn_id ORDER BY min(number)
"""


def done(count: int):
    return lambda rows: [row[0] for row in rows] == ["succeeded"] * count


@pytest.fixture
def town(town: Town) -> Town:
    town.inbox = Inbox(
        town.database,
        prompt_bytes_max=100_000,
        agents=Agents(names=("fake", "shell"), default="shell"),
    )
    return town


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    return home


@pytest.fixture
def agent(home: Path):
    def make(*, asks: bool = False, **more: str) -> AcpAgent:
        environment = {"ACP_HOME": str(home), **more}
        argv = (sys.executable, str(PROGRAM))
        return AcpAgent(Profile(name="fake", argv=argv, environment=environment), asks=asks)

    return make


async def test_the_next_turn_goes_on_with_the_conversation_of_the_one_before(
    town: Town, places: GuestWorkplaces, agent, home: Path
) -> None:
    await town.say("agent=fake say one")
    async with Shift(town, places, "w", agents={"fake": agent()}):
        await until(town, ENDED, done(1))
        await town.say("recall")
        assert await until(town, ENDED, done(2)) == [("succeeded", "done")] * 2
    first, second = await town.rows(SAID)
    assert first[0] == "one"
    assert second[0].startswith("say one")
    assert (home / "log").read_text().split().count("session/new") == 1


async def test_what_is_said_in_many_pieces_is_kept_whole_in_few_events(
    town: Town, places: GuestWorkplaces, agent
) -> None:
    await town.say("agent=fake chunks 2000")
    async with Shift(town, places, "w", agents={"fake": agent()}):
        await until(town, ENDED, done(1))
    ((said, events),) = await town.rows(SAID)
    assert said == "".join(f"{number} " for number in range(2000))
    assert events < 400


async def test_a_successor_goes_on_with_a_conversation_and_says_nothing_twice(
    town: Town, places: GuestWorkplaces, agent, home: Path, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    await town.say(f"agent=fake say one\nwait {gate}\nsay two")
    async with Shift(town, places, "first", agents={"fake": agent()}):
        await until(town, SAID, lambda rows: rows and rows[0][0] == "one")
    gate.touch()
    async with Shift(town, places, "second", agents={"fake": agent()}):
        await until(town, ENDED, done(1))
    assert [row[0] for row in await town.rows(SAID)] == ["onetwo"]
    assert (home / "log").read_text().split("\n").count("start") == 1


async def test_a_permission_is_asked_in_the_thread_and_the_session_waits(
    town: Town, places: GuestWorkplaces, agent
) -> None:
    await town.say("agent=fake ask rm -rf build")
    async with Shift(town, places, "w", agents={"fake": agent(asks=True)}):
        await until(town, "SELECT state FROM session", lambda rows: rows == [("waiting",)])
        ((asked, choices),) = await town.rows("SELECT text, choices FROM question")
        assert "rm -rf build" in asked
        assert choices == ["Allow", "Reject"]
        await town.say("Reject")
        await until(town, ENDED, done(1))
    assert [row[0] for row in await town.rows(SAID)] == ["[r]"]


async def test_an_agent_that_is_not_in_the_machine_ends_the_turn_in_words(
    town: Town, places: GuestWorkplaces
) -> None:
    nothing = AcpAgent(Profile(name="fake", argv=("no-such-agent",)))
    await town.say("agent=fake say hi")
    async with Shift(town, places, "w", agents={"fake": nothing}):
        ((state, why),) = await until(town, ENDED, lambda rows: rows and rows[0][0] != "running")
    assert state == "failed"
    assert "no-such-agent" in why
    assert await town.value("SELECT state FROM session") == "idle"


async def test_a_command_in_a_session_of_an_agent_is_run_by_the_shell(
    town: Town, places: GuestWorkplaces, agent
) -> None:
    await town.say("agent=fake say one")
    async with Shift(town, places, "w", agents={"fake": agent()}):
        await until(town, ENDED, done(1))
        await town.say("!echo two")
        await until(town, ENDED, done(2))
    assert await town.value("SELECT body ->> 'text' FROM turn_event WHERE kind = 'output'") == (
        "two\n"
    )


async def test_stop_ends_an_agent_and_its_session_can_be_used(
    town: Town, places: GuestWorkplaces, agent, tmp_path: Path
) -> None:
    await town.say(f"agent=fake say one\nwait {tmp_path / 'never'}")
    async with Shift(town, places, "w", agents={"fake": agent()}):
        await until(town, SAID, bool)
        await town.say("stop")
        await until(town, ENDED, lambda rows: rows[0][0] == "stopped")
        await town.say("say two")
        await until(town, ENDED, lambda rows: [one[0] for one in rows] == ["stopped", "succeeded"])


BAD = {
    "it ends in between": ("exit 3", "failed", "exit status 3"),
    "it reports an error": ("error overloaded_error 529", "failed", "overloaded_error 529"),
    "it may not go on": ("error 401 invalid x-api-key", "failed", "401 invalid x-api-key"),
    "it refuses": ("stop refusal", "failed", "the model refuses"),
    "it floods": ("flood 1000000", "failed", "a message of more than"),
    "it hangs": ("wait /nowhere", "timed_out", "time limit"),
}


@pytest.mark.parametrize("how", BAD)
async def test_whatever_an_agent_does_its_turn_ends_in_words_and_its_session_can_be_used(
    town: Town, places: GuestWorkplaces, agent, how: str, monkeypatch
) -> None:
    # The contract of agents holds what is read of one as large as the real limit.
    monkeypatch.setattr(wire, "MESSAGE_BYTES_MAX", 500_000)
    script, outcome, why = BAD[how]
    await town.say(f"agent=fake say begun\n{script}")
    limits = {"seconds_max": 2 if outcome == "timed_out" else 600}
    async with Shift(town, places, "w", agents={"fake": agent()}, **limits):
        ((state, summary),) = await until(
            town, ENDED, lambda rows: rows and rows[0][0] != "running"
        )
    assert state == outcome
    assert why in summary
    assert await town.value("SELECT state FROM session") == "idle"
    await town.say("say fine")
    async with Shift(town, places, "w2", agents={"fake": agent()}):
        await until(town, ENDED, lambda rows: [one[0] for one in rows] == [outcome, "succeeded"])
    assert (await town.rows(SAID))[-1][0] == "fine"


async def test_which_tests_failed_and_why_stands_in_the_thread(
    town: Town, places: GuestWorkplaces, agent, tmp_path: Path
) -> None:
    token = "ghp_" + "a1B2" * 9
    wrote = f"collected 1 item\nE  assert 1 == 2\nE  with {token}\nFAILED test_a.py::test_b"
    updates = [
        {"sessionUpdate": "tool_call", "rawInput": {"command": "pytest -q"}, "title": "Run tests"},
        {
            "sessionUpdate": "tool_call_update",
            "status": "completed",
            "rawOutput": {"output": wrote, "metadata": {"exit": 1}},
        },
    ]
    lines = (json.dumps({"toolCallId": "c1", **one}) for one in updates)
    script = tmp_path / "updates"
    script.write_text("\n".join(lines))
    await town.say(f"agent=fake replay {script}\nsay Look at it.")
    async with Shift(town, places, "w", agents={"fake": agent()}):
        await until(town, ENDED, done(1))
    await Replies(town.database, {"terminal": TerminalChat()}).once()
    ((said,),) = await town.rows("SELECT body FROM reply WHERE kind = 'answer'")
    told = "Tests: `pytest -q` failed.\n```\n"
    assert told in said
    block = said.partition(told)[2].partition("\n```")[0]
    assert block == "collected 1 item\nE  assert 1 == 2\n…\nFAILED test_a.py::test_b"
