"""Prompts that are asked again with another agent or model, and what comes of their session."""

import pytest

from bot.conversation.inbox import Inbox
from bot.govern.agents import Agents
from bot.govern.offers import Offer
from bot.store.ids import new_id
from bot.store.states import TurnState
from bot.work import handing_over, provider_faults
from bot.work.provider_faults import Answered
from bot.work.queue import Event
from tests.integration.conftest import Town

WITH = "SELECT agent, model FROM session"
CODEX = Offer(provider="openai", agent="codex")
GPT = Offer(provider="openai", agent="codex", model="gpt")
FAILED = Answered(provider="anthropic", model="m", fault="overloaded")


@pytest.fixture
async def town(town: Town) -> Town:
    await town.rows("UPDATE project SET agent = 'claude-code' RETURNING id")
    names = ("claude-code", "codex", "shell")
    town.inbox = Inbox(
        town.database, prompt_bytes_max=100_000, agents=Agents(names=names, default="claude-code")
    )
    return town


async def begun(town: Town, name: str = "w"):
    queue = town.queue(name)
    lease = await queue.claim()
    return queue, lease, await queue.begin_turn(lease, None)


async def ran(town: Town, state: TurnState = TurnState.FAILED, *said: str, offers=()):
    """Run the next prompt; its lease and its turn."""
    queue, lease, turn = await begun(town)
    await queue.record(
        lease, turn, [Event(kind="text", body={"text": one}) for one in said], batch=1
    )
    outcome = provider_faults.kept(FAILED, offers) if offers else {}
    await queue.finish(lease, turn, state, outcome)
    return lease, turn


async def test_a_model_for_the_agent_that_has_none_is_refused(town):
    refused = await town.say("agent=shell model=large do it")
    assert refused.verdict == "refused"
    assert "The agent shell uses no model; leave" in refused.text
    assert await town.rows("SELECT 1 FROM session") == []
    await town.say("do it")
    await ran(town)
    refused = await town.say("agent=shell model=large retry")
    assert "The agent shell uses no model" in refused.text


@pytest.mark.parametrize(
    ("words", "told", "found"),
    [
        ("retry", "The last prompt once more.", ("claude-code", "large")),
        ("agent=codex retry", "once more, with codex.", ("codex", None)),
        ("model=small retry", "once more, with small.", ("claude-code", "small")),
        ("agent=codex model=gpt retry", "once more, with gpt.", ("codex", "gpt")),
    ],
)
async def test_a_retry_names_with_what_its_session_goes_on(town, words, told, found):
    await town.say("agent=claude-code model=large do it")
    await ran(town)
    assert told in (await town.say(words)).text
    assert await town.rows(WITH) == [("claude-code", "large")]
    lease, turn = await ran(town)
    assert (lease.agent, lease.model, turn.text) == (*found, "do it")
    assert await town.rows(WITH) == [found]


async def test_an_agent_that_is_not_there_is_refused(town):
    await town.say("do it")
    await ran(town)
    refused = await town.say("agent=nobody retry")
    assert refused.verdict == "refused"
    assert "There is no agent nobody" in refused.text
    assert await town.value("SELECT count(*) FROM prompt") == 1


async def test_what_waits_before_it_runs_as_it_was_asked(town):
    await town.say("first")
    queue, lease, turn = await begun(town)
    await town.say("second", by="Bo")
    await queue.finish(lease, turn, TurnState.FAILED, {})
    await town.say("agent=codex retry")
    assert [(await ran(town))[0].agent for _ in range(2)] == ["claude-code", "codex"]


async def test_who_goes_on_with_the_turn_has_the_agent_that_it_was_begun_with(town):
    await town.say("do it")
    await ran(town)
    await town.say("agent=codex retry")
    queue, lease, _ = await begun(town)
    assert lease.agent == "codex"
    await queue.hand_back(lease)
    assert (await town.queue("next").claim()).agent == "codex"


async def continued(town: Town, prompt, which: int | None = None, **more):
    return await town.say(f"continue {prompt}" + (f" {which}" if which else ""), **more)


async def test_only_what_was_offered_can_be_gone_on_with(town):
    await town.say("do it")
    _, turn = await ran(town, offers=[CODEX, GPT])
    assert (await continued(town, turn.prompt_id, 3)).verdict == "refused"
    assert (await continued(town, new_id(), 1)).verdict == "refused"
    asked = await continued(town, turn.prompt_id)
    assert (asked.verdict, asked.text) == ("command", "With which model?")
    assert (await continued(town, turn.prompt_id, 2)).verdict == "prompt"
    await ran(town)
    assert await town.rows(WITH) == [("codex", "gpt")]


async def test_a_prompt_is_continued_once_and_neither_after_a_retry(town):
    await town.say("do it")
    _, turn = await ran(town, offers=[CODEX])
    assert (await continued(town, turn.prompt_id)).verdict == "prompt"
    for _ in range(2):
        again = await continued(town, turn.prompt_id, by="Bo")
        assert (again.verdict, again.refusal.code) == ("refused", "nothing_to_do")
        await ran(town, offers=[CODEX])
        await town.say("retry")
    repeated = f"SELECT count(*) FROM prompt WHERE repeats = '{turn.prompt_id}'"
    assert await town.value(repeated) == 1


async def test_one_that_was_cancelled_can_be_continued_again(town):
    await town.say("do it")
    _, turn = await ran(town, offers=[CODEX])
    await continued(town, turn.prompt_id)
    await town.say("cancel 1")
    assert (await continued(town, turn.prompt_id)).verdict == "prompt"


async def test_a_prompt_of_another_session_is_not_continued_here(town):
    await town.say("do it")
    _, turn = await ran(town, offers=[CODEX])
    await town.say("another", place="other")
    refused = await continued(town, turn.prompt_id, place="other")
    assert refused.verdict == "refused"
    assert await town.value("SELECT count(*) FROM prompt") == 2


async def told(town: Town, agent: str) -> list[tuple[str, str]]:
    """What an agent is told of the others in the turn that is begun now."""
    queue, lease, turn = await begun(town)
    async with town.database.begin() as tx:
        said = await handing_over.said_since(tx, turn.id, agent)
    await queue.finish(lease, turn, TurnState.SUCCEEDED, {})
    return [(one.author, one.text) for one in said]


async def test_an_agent_is_told_what_others_were_asked_since_its_last_turn(town):
    await town.say("one")
    await ran(town, TurnState.SUCCEEDED, "I ", "did.")
    await town.say("two", by="Bo")
    await ran(town)
    await town.say("agent=codex retry")
    first = [("Ann", "one"), ("claude-code", "I did."), ("Bo", "two")]
    assert await told(town, "codex") == first
    await town.say("three")
    assert await told(town, "codex") == []
    await town.say("agent=claude-code retry")
    assert await told(town, "claude-code") == [("Ann", "two"), ("Ann", "three")]


async def test_no_more_of_it_than_an_agent_can_read(town, monkeypatch):
    monkeypatch.setattr(handing_over, "LENGTH_MAX", 5)
    monkeypatch.setattr(handing_over, "TURNS_MAX", 2)
    for words in ("one", "two", "three prompts"):
        await town.say(words)
        await ran(town, TurnState.SUCCEEDED, "it was ", words)
    await town.say("agent=codex retry")
    assert await told(town, "codex") == [
        ("Ann", "two"),
        ("claude-code", "s two"),
        ("Ann", "three"),
        ("claude-code", "ompts"),
    ]


CHARGE = """
    INSERT INTO charge (id, turn_id, session_id, person_id, project_id, day, provider, model, state,
                        fault, settled_at)
    VALUES (gen_random_uuid(), '{turn}', gen_random_uuid(), gen_random_uuid(), gen_random_uuid(),
            current_date, '{provider}', 'm', '{state}', {fault}, {at}) RETURNING id
"""


async def charge(town: Town, turn, provider: str, *, fault: str | None = None, ago: int = 0):
    known, at = f"'{fault}'" if fault else "NULL", f"now() - interval '{ago} s'"
    await town.rows(
        CHARGE.format(turn=turn, provider=provider, state="settled", fault=known, at=at)
    )


async def test_the_request_that_ended_last_counts_and_of_this_turn_alone(town):
    turn, other = new_id(), new_id()
    assert await provider_faults.last_of(town.database, turn) is None
    await charge(town, turn, "a", fault="limited", ago=9)
    await charge(town, turn, "b", ago=5)
    await charge(town, other, "c", fault="broken")
    found = await provider_faults.last_of(town.database, turn)
    assert found == Answered(provider="b", model="m", fault=None)
    await charge(town, turn, "d", fault="unpaid", ago=1)
    found = await provider_faults.last_of(town.database, turn)
    assert found == Answered(provider="d", model="m", fault="unpaid")


async def under_way(town: Town, turn) -> None:
    await town.rows(
        CHARGE.format(turn=turn, provider="a", state="reserved", fault="NULL", at="NULL")
    )


async def test_a_request_whose_end_is_being_written_down_is_waited_for(town, monkeypatch):
    turn = new_id()
    await under_way(town, turn)
    looks = 0

    async def look(_: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            await town.rows(
                "UPDATE charge SET state = 'settled', fault = 'broken', settled_at = now()"
                " RETURNING id"
            )

    monkeypatch.setattr(provider_faults.asyncio, "sleep", look)
    found = await provider_faults.last_of(town.database, turn)
    assert (looks, found) == (3, Answered(provider="a", model="m", fault="broken"))


async def test_it_is_not_waited_for_longer_than_that(town, monkeypatch):
    monkeypatch.setattr(provider_faults, "SETTLE_SECONDS_MAX", 0.0)
    turn = new_id()
    await under_way(town, turn)
    await charge(town, turn, "b", fault="limited", ago=1)
    found = await provider_faults.last_of(town.database, turn)
    assert found == Answered(provider="b", model="m", fault="limited")
