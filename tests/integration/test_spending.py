"""No budget is exceeded, whatever runs at once; what was spent is known."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text

from bot.govern.spending import Limits, OverBudget, SetAside, Spending, extend, spent
from bot.store.database import Database
from bot.store.ids import new_id
from tests.support.shift import until
from vmpool.network.gateway.ports import NoTurn, Suspended
from vmpool.network.model.usage import Usage

CENT = 10_000
SOME = Usage(input_tokens=10, output_tokens=3)


async def at_work(town, place: str = "t") -> UUID:
    """A session whose turn runs."""
    said = await town.say("hello", place=place)
    queue = town.queue("w")
    lease = await queue.claim()
    assert lease is not None
    assert lease.key.session_id == said.session_id
    assert await queue.begin_turn(lease, None) is not None
    return said.session_id


async def budgets(town):
    rows = await town.rows("SELECT kind, spent_micro, reserved_micro FROM budget ORDER BY kind")
    return {kind: (spent, reserved) for kind, spent, reserved in rows}


async def test_what_a_request_may_cost_is_set_aside_until_it_is_known(town):
    spending, who = Spending(town.database, Limits(session=100 * CENT)), await at_work(town)
    charge = await spending.reserve(who, model="m", worst=60 * CENT)
    assert await budgets(town) == dict.fromkeys(("person", "project", "session"), (0, 60 * CENT))
    assert await spending.settle(charge, SOME, cost=7 * CENT)
    assert await budgets(town) == dict.fromkeys(("person", "project", "session"), (7 * CENT, 0))
    turn = await town.value("SELECT id FROM turn")
    async with town.database.begin() as tx:
        (used,) = await spent(tx, turn_id=turn, since=datetime.now(UTC))
    assert (used.model, used.requests, used.cost_micro) == ("m", 1, 7 * CENT)
    assert (used.input_tokens, used.output_tokens, used.is_estimated) == (10, 3, False)


async def test_settled_once(town):
    spending = Spending(town.database, Limits())
    charge = await spending.reserve(await at_work(town), model="m", worst=CENT)
    assert await spending.settle(charge, SOME, cost=CENT)
    assert not await spending.settle(charge, SOME, cost=CENT)
    assert (await budgets(town))["session"] == (CENT, 0)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(session=10 * CENT), "the budget of this session"),
        (Limits(person_day=10 * CENT), "today's budget of the person who asked"),
        (Limits(project_day=10 * CENT), "today's budget of the project"),
    ],
)
async def test_what_a_budget_does_not_bear_is_refused_and_nothing_is_set_aside(town, limits, words):
    spending, who = Spending(town.database, limits), await at_work(town)
    charge = await spending.reserve(who, model="m", worst=6 * CENT)
    await spending.settle(charge, SOME, cost=4 * CENT)
    await spending.reserve(who, model="m", worst=5 * CENT)
    with pytest.raises(OverBudget, match=words) as refused:
        await spending.reserve(who, model="m", worst=2 * CENT)
    assert "0.04 of 0.10 USD are used, 0.05 are set aside" in str(refused.value)
    assert (await budgets(town))["session"] == (4 * CENT, 5 * CENT)
    assert await town.value("SELECT count(*) FROM charge") == 2
    await spending.reserve(who, model="m", worst=CENT)


async def test_the_first_request_is_measured_too(town):
    spending = Spending(town.database, Limits(person_day=CENT))
    with pytest.raises(OverBudget):
        await spending.reserve(await at_work(town), model="m", worst=2 * CENT)
    assert await budgets(town) == {}


async def test_no_budget_is_exceeded_by_requests_at_once(town):
    spending = Spending(town.database, Limits(session=50 * CENT, project_day=30 * CENT))
    turns = [await at_work(town, place) for place in "abc"]

    async def ask(number: int) -> int:
        try:
            charge = await spending.reserve(turns[number % 3], model="m", worst=4 * CENT)
        except OverBudget:
            return 0
        await spending.settle(charge, SOME, cost=3 * CENT)
        return 1

    granted = sum(await asyncio.gather(*(ask(number) for number in range(24))))
    assert 7 <= granted <= 9
    assert (await budgets(town))["project"] == (granted * 3 * CENT, 0)


async def test_who_may_lets_a_session_spend_more(town):
    spending, who = Spending(town.database, Limits(session=5 * CENT)), await at_work(town)
    with pytest.raises(OverBudget):
        await spending.reserve(who, model="m", worst=6 * CENT)
    async with town.database.begin() as tx:
        await extend(tx, who, 5 * CENT)
    await spending.reserve(who, model="m", worst=6 * CENT)
    with pytest.raises(OverBudget, match=r"0\.00 of 0\.10"):
        await spending.reserve(who, model="m", worst=5 * CENT)


async def test_a_request_that_nobody_settles_costs_its_worst_case(town):
    spending = Spending(town.database, Limits())
    charge = await spending.reserve(await at_work(town), model="m", worst=9 * CENT)
    assert await spending.sweep() == 0
    await town.rows("UPDATE charge SET created_at = now() - interval '2 hours' RETURNING id")
    assert await spending.sweep() == 1
    assert (await budgets(town))["session"] == (9 * CENT, 0)
    assert await town.value("SELECT state FROM charge") == "estimated"
    assert not await spending.settle(charge, SOME, cost=CENT)


async def test_what_a_host_left_behind_is_settled_when_it_starts_and_no_other_hosts(town):
    spending = Spending(town.database, Limits(session=10 * CENT))
    here, there = [await at_work(town, place) for place in "ab"]
    await town.rows(
        "UPDATE session SET host_id = CASE id WHEN :here THEN CAST(:host AS uuid) END RETURNING id",
        host=town.host_id,
        here=here,
    )
    for session in (here, there):
        await spending.reserve(session, model="m", worst=9 * CENT)
    with pytest.raises(SetAside):
        await spending.reserve(here, model="m", worst=CENT + 1)
    assert await spending.settle_left(town.host_id) == 1
    assert await spending.settle_left(town.host_id) == 0
    with pytest.raises(OverBudget) as refused:
        await spending.reserve(here, model="m", worst=CENT + 1)
    assert not isinstance(refused.value, SetAside)
    await spending.reserve(here, model="m", worst=CENT)
    with pytest.raises(SetAside):
        await spending.reserve(there, model="m", worst=CENT + 1)


async def test_a_request_waits_for_the_database_once(town, monkeypatch):
    who, alone = await at_work(town), Database(town.database.url, connections_max=1)
    pid = (await alone.run(text("SELECT pg_backend_pid()"))).scalar_one()
    wait, trips = psycopg.AsyncConnection.wait, []

    async def counting(connection, *given, **more):
        trips.append(connection.info.backend_pid)
        return await wait(connection, *given, **more)

    monkeypatch.setattr(psycopg.AsyncConnection, "wait", counting)
    await Spending(alone, Limits(session=5 * CENT)).reserve(who, model="m", worst=CENT)
    assert trips.count(pid) == 1
    await alone.close()


BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


async def test_of_what_was_spent_in_between_nothing_is_set_aside_in_any_budget(town):
    spending, who = Spending(town.database, Limits(session=5 * CENT)), await at_work(town)
    await spending.reserve(who, model="m", worst=2 * CENT)
    async with town.database.begin() as tx:
        await tx.execute(text("UPDATE budget SET reserved_micro = 4 * 10000"))
        late = asyncio.create_task(spending.reserve(who, model="m", worst=2 * CENT))
        await until(town, BLOCKED, lambda rows: rows[0][0] == 1)
    with pytest.raises(SetAside, match=r"0\.04 are set aside"):
        await late
    assert await budgets(town) == dict.fromkeys(("person", "project", "session"), (0, 4 * CENT))
    assert await town.value("SELECT count(*) FROM charge") == 1


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ("UPDATE session SET state = 'waiting' RETURNING id", Suspended, "waits for a person"),
        ("UPDATE session SET state = 'idle' RETURNING id", NoTurn, "No turn is running"),
    ],
)
async def test_only_the_turn_that_asked_pays_and_only_while_it_runs(town, change, error, words):
    spending, who = Spending(town.database, Limits()), await at_work(town)
    turn = await town.value("SELECT id FROM turn")
    await spending.reserve(who, model="m", worst=CENT, turn=turn)
    with pytest.raises(NoTurn, match="has ended"):
        await spending.reserve(who, model="m", worst=CENT, turn=new_id())
    await town.rows(change)
    with pytest.raises(error, match=words):
        await spending.reserve(who, model="m", worst=CENT, turn=turn)
    assert (await budgets(town))["session"] == (0, CENT)
    assert await town.value("SELECT count(*) FROM charge") == 1
