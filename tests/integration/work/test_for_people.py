"""A fleet takes neither every slot of a worker nor every machine of a host from people."""

import pytest

from bot.store.states import TurnState
from tests.fakes.guest_workplaces import GuestWorkplaces
from tests.integration.conftest import Town
from tests.support.shift import Shift, until

FLEET = 50
TURNS_MAX, FOR_PEOPLE = 4, 1
RUNNING = """
    SELECT session.priority FROM turn JOIN session ON session.id = turn.session_id
     WHERE turn.state = 'running'
"""
PERSONS = """
    SELECT turn.state FROM turn JOIN session ON session.id = turn.session_id
     WHERE session.priority = 0
"""


async def fleet(town: Town, words: str, *, count: int = FLEET) -> None:
    """Queue so many sessions of automations."""
    for number in range(count):
        await town.say(words, place=f"target-{number}")
    await town.rows("UPDATE session SET priority = 1 RETURNING id")


async def test_the_prompt_of_a_person_is_the_next_that_is_claimed(town: Town) -> None:
    await fleet(town, "!true")
    queue = town.queue("w")
    held = [await queue.claim() for _ in range(TURNS_MAX - FOR_PEOPLE)]
    assert None not in held
    assert await queue.claim(people_only=True) is None
    assert await queue.next_due_seconds(people_only=True) is None, "nothing to look for"
    assert await queue.next_due_seconds() <= 0
    said = await town.say("!true", place="person")
    assert await queue.next_due_seconds(people_only=True) <= 0
    lease = await queue.claim(people_only=True)
    assert lease is not None
    assert lease.session_id == said.session_id


async def test_with_any_slot_free_a_person_s_prompt_goes_before_the_fleet_s(town: Town) -> None:
    await fleet(town, "!true")
    said = await town.say("!true", place="person")
    lease = await town.queue("w").claim()
    assert lease is not None
    assert lease.session_id == said.session_id


async def test_a_worker_keeps_a_slot_free_whatever_the_fleet_does(
    town: Town, places: GuestWorkplaces
) -> None:
    """The fleet's turns never end by themselves: only a free slot can take the person's."""
    await fleet(town, "!sleep 300")
    limits = {"turns_max": TURNS_MAX, "for_people": FOR_PEOPLE, "poll_seconds": 60}
    async with Shift(town, places, "w", **limits) as shift:
        await until(town, RUNNING, lambda rows: len(rows) == TURNS_MAX - FOR_PEOPLE)
        await town.say("!true", place="person")
        await until(town, PERSONS, lambda rows: rows == [("succeeded",)])
        assert len(await town.rows(RUNNING)) == shift.worker.busy == TURNS_MAX - FOR_PEOPLE
        waited = "SELECT count(*) FROM session WHERE priority = 1 AND state = 'queued'"
        assert await town.value(waited) == FLEET - (TURNS_MAX - FOR_PEOPLE)


async def test_people_may_have_all_slots_and_the_fleet_goes_on_after_them(
    town: Town, places: GuestWorkplaces
) -> None:
    await fleet(town, "!true", count=8)
    for number in range(TURNS_MAX):
        await town.say("!sleep 0.2", place=f"person-{number}")
    limits = {"turns_max": TURNS_MAX, "for_people": FOR_PEOPLE}
    async with Shift(town, places, "w", **limits):
        ended = "SELECT count(*) FROM turn WHERE state = 'succeeded'"
        await until(town, ended, lambda rows: rows == [(8 + TURNS_MAX,)])
    first = await town.rows(
        "SELECT session.priority FROM turn JOIN session ON session.id = turn.session_id"
        f" ORDER BY turn.started_at LIMIT {TURNS_MAX}"
    )
    assert first == [(0,)] * TURNS_MAX


@pytest.mark.parametrize("outcome", [TurnState.SUCCEEDED, TurnState.FAILED])
async def test_a_session_of_an_automation_is_an_automation_s_after_each_prompt(
    town: Town, outcome: TurnState
) -> None:
    await fleet(town, "!true", count=1)
    await town.say("!true", place="target-0")
    queue = town.queue("w")
    lease = await queue.claim()
    turn = await queue.begin_turn(lease, None)
    await queue.finish(lease, turn, outcome, {})
    assert await queue.claim(people_only=True) is None
    assert await queue.claim() is not None
