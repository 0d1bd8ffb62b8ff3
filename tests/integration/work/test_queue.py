"""Invariants 2 and 3 on the queue itself: in order, one at a time, fenced."""

import asyncio

import pytest
from sqlalchemy import text

from bot.store.ids import new_id
from bot.store.states import SessionState, TurnState
from bot.work import control
from bot.work.queue import Event, LeaseLost, NewPrompt, append_events, enqueue, lock_session


async def run_one(queue):
    """Claim, begin and finish one turn; the prompt's text, or None when nothing is due."""
    lease = await queue.claim()
    if lease is None:
        return None
    begun = await queue.begin_turn(lease, None)
    if begun is None:
        await queue.release(lease)
        return None
    await queue.finish(lease, begun, TurnState.SUCCEEDED, {"summary": "done"})
    return begun.text


async def expire(town):
    async with town.database.begin() as tx:
        await tx.execute(text("UPDATE session SET lease_until = now() - interval '1 second'"))


async def test_in_order_prompts_run_by_position_and_now_goes_first(town):
    for word in ("!a", "!b", "!c"):
        await town.say(word)
    await town.say("now: !first")
    await town.say("now: !even before")
    queue = town.queue("w")
    assert [await run_one(queue) for _ in range(6)] == [
        "even before",
        "first",
        "a",
        "b",
        "c",
        None,
    ]


async def test_one_at_a_time_a_leased_session_is_not_claimed_again(town):
    await town.say("!a")
    await town.say("!b")
    assert await town.queue("w1").claim() is not None
    assert await town.queue("w2").claim() is None


async def test_in_order_positions_are_commit_order_under_concurrent_enqueues(town):
    await town.say("!first")
    await asyncio.gather(*(town.say(f"!{n}", by=("Ann", "Bo")[n % 2]) for n in range(40)))
    rows = await town.rows(
        "SELECT prompt.position, delivery.event FROM prompt"
        " JOIN delivery ON delivery.prompt_id = prompt.id ORDER BY prompt.position"
    )
    events = [event for _, event in rows]
    assert events == sorted(events)
    assert len(set(position for position, _ in rows)) == 41


async def test_event_numbers_have_no_gaps_under_concurrent_writers(town):
    await town.say("!first")
    await asyncio.gather(*(town.say(f"!{n}") for n in range(30)))
    numbers = await town.rows("SELECT number FROM turn_event ORDER BY number")
    assert [row[0] for row in numbers] == list(range(1, 32))


async def test_fairness_a_session_goes_to_the_end_of_the_line_after_each_prompt(town):
    for n in range(3):
        await town.say(f"!long {n}", place="long")
    await town.say("!short", place="short")
    queue = town.queue("w")
    assert [await run_one(queue) for _ in range(4)] == ["long 0", "short", "long 1", "long 2"]


async def test_people_go_before_automations(town):
    await town.say("!robot", place="robot")
    async with town.database.begin() as tx:
        await tx.execute(text("UPDATE session SET priority = 1"))
    await town.say("!person", place="person")
    queue = town.queue("w")
    assert [await run_one(queue), await run_one(queue)] == ["person", "robot"]


async def test_a_session_with_a_machine_is_offered_to_its_host_only(town):
    await town.say("!a")
    async with town.database.begin() as tx:
        await tx.execute(
            text(
                "INSERT INTO host (id, name, driver, accelerator, boot_id, seen_at)"
                " VALUES (gen_random_uuid(), 'there', 'none', 'none', 'b', now())"
            )
        )
        await tx.execute(
            text("UPDATE session SET host_id = (SELECT id FROM host WHERE name = 'there')")
        )
    assert await town.queue("w").claim() is None


async def test_fenced_a_lost_lease_writes_no_event_no_outcome_and_no_cursor(town):
    await town.say("!a")
    stale_queue = town.queue("stale")
    stale = await stale_queue.claim()
    turn = await stale_queue.begin_turn(stale, None)
    await expire(town)
    fresh_queue = town.queue("fresh")
    fresh = await fresh_queue.claim()
    before = await town.rows("SELECT * FROM turn_event")

    with pytest.raises(LeaseLost):
        await stale_queue.record(stale, turn, [Event(kind="text", body={})], batch=1)
    with pytest.raises(LeaseLost):
        await stale_queue.record(stale, turn, [], batch=1, cursor={"offset": 9})
    with pytest.raises(LeaseLost):
        await stale_queue.finish(stale, turn, TurnState.FAILED, {})
    with pytest.raises(LeaseLost):
        await stale_queue.begin_turn(stale, None)
    assert not await stale_queue.hand_back(stale)
    await stale_queue.renew([stale])

    assert stale.lost
    assert await town.rows("SELECT * FROM turn_event") == before
    assert await town.value("SELECT lease_owner FROM session") == "fresh"
    assert (await fresh_queue.look(fresh)).turn.id == turn.id


async def test_never_run_twice_a_successor_goes_on_with_the_open_turn_at_its_cursor(town):
    await town.say("!a")
    await town.say("!b")
    first = town.queue("first")
    lease = await first.claim()
    turn = await first.begin_turn(lease, None)
    await first.record(lease, turn, [Event(kind="output", body={})], batch=1, cursor={"offset": 7})
    await expire(town)
    second = town.queue("second")
    again = await second.claim()
    open_turn = (await second.look(again)).turn
    assert (open_turn.id, open_turn.cursor, open_turn.batches) == (turn.id, {"offset": 7}, 1)


async def test_a_batch_whose_commit_was_not_answered_is_not_written_twice(town):
    await town.say("!a")
    queue = town.queue("w")
    lease = await queue.claim()
    turn = await queue.begin_turn(lease, None)
    for _ in range(2):
        await queue.record(lease, turn, [Event(kind="output")], batch=1, cursor={"offset": 7})
    await queue.record(lease, turn, [Event(kind="output")], batch=2)

    kinds = await town.rows("SELECT number, kind FROM turn_event ORDER BY number DESC LIMIT 2")
    assert [kind for _, kind in kinds] == ["output", "output"]
    assert await town.value("SELECT count(*) FROM turn_event WHERE kind = 'output'") == 2
    assert await town.value("SELECT event_last FROM session") == kinds[0][0]
    assert (await queue.look(lease)).turn.cursor == {"offset": 7}


async def test_fenced_who_gave_the_lease_back_appends_nothing_more(town):
    await town.say("!a")
    queue = town.queue("w")
    lease = await queue.claim()
    assert await queue.hand_back(lease)
    with pytest.raises(LeaseLost):
        await queue.append(lease, [Event(kind="step", body={"step": "booting"})])


async def test_who_waits_longest_for_capacity_comes_back_first(town):
    queue = town.queue("w")
    for place in ("t1", "t2", "t3"):
        await town.say("!a", place=place)
    leases = [await queue.claim() for _ in range(3)]
    places = [
        await queue.defer(lease, seconds=5, why="full", told=None) for lease in reversed(leases)
    ]
    assert [waits.place for waits in places] == [1, 1, 1]
    assert await queue.claim() is None
    assert len(await town.rows("SELECT DISTINCT lease_until FROM session")) <= 2
    await expire(town)
    again = [(await queue.claim()).session_id for _ in range(3)]
    assert again == [lease.session_id for lease in leases]


async def test_a_lease_that_nobody_took_is_renewed_by_its_holder_though_it_ran_out(town):
    await town.say("!a")
    queue = town.queue("w")
    lease = await queue.claim()
    await expire(town)
    await queue.renew([lease])
    assert not lease.lost
    assert await town.queue("other").claim() is None


async def test_a_handed_back_turn_is_claimed_at_once_and_before_others(town):
    await town.say("!a", place="a")
    queue = town.queue("first")
    lease = await queue.claim()
    turn = await queue.begin_turn(lease, None)
    await town.say("!b", place="b")
    assert await queue.hand_back(lease)
    second = town.queue("second")
    again = await second.claim()
    assert again.session_id == lease.session_id
    assert (await second.look(again)).turn.id == turn.id


async def test_an_outcome_is_stored_once(town):
    await town.say("!a")
    queue = town.queue("w")
    lease = await queue.claim()
    turn = await queue.begin_turn(lease, None)
    assert await queue.finish(lease, turn, TurnState.SUCCEEDED, {}) is SessionState.IDLE
    with pytest.raises(LeaseLost):
        await queue.finish(lease, turn, TurnState.FAILED, {})
    assert await town.value("SELECT state FROM turn") == "succeeded"


async def test_what_an_enqueue_had_locked_while_we_claimed_is_due_at_once(town):
    await town.say("!a")
    queue = town.queue("w")
    async with town.database.begin() as tx:
        await tx.execute(text("SELECT 1 FROM session FOR NO KEY UPDATE"))
        assert await queue.claim() is None
        assert await queue.next_due_seconds() <= 0
    assert await queue.claim() is not None


async def while_it_waits(town, step, meanwhile):
    """Run a holder's `step` while somebody's open transaction holds the row, then commits."""
    async with town.database.begin() as tx:
        session_id = await tx.scalar(text("SELECT id FROM session"))
        session = await lock_session(tx, session_id)
        stepping = asyncio.create_task(step)
        async with asyncio.timeout(100):
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            while not await town.value(f"{waiting} AND datname = current_database()"):
                await asyncio.sleep(0.01)
        await meanwhile(tx, session)
    return await stepping


async def test_what_is_said_while_a_turn_begins_belongs_to_it(town):
    first = await town.say("one", place="t")
    queue = town.queue("w")
    lease = await queue.claim()

    async def join(tx, session):
        await tx.execute(
            text(
                "INSERT INTO delivery (id, surface, delivery_key, message_key, person_id, text,"
                " session_id, prompt_id, event) SELECT :id, surface, 'late', 'late', person_id,"
                " 'two', session_id, prompt_id, event + 1 FROM delivery"
            ),
            {"id": new_id()},
        )
        await append_events(tx, session.id, [Event(kind="prompt.joined")])

    turn = await while_it_waits(town, queue.begin_turn(lease, None), join)
    assert (turn.prompt_id, turn.text) == (first.prompt_id, "one\ntwo")
    assert await town.value("SELECT count(*) FROM turn") == 1


async def test_a_stop_while_a_turn_begins_comes_first(town):
    await town.say("!one")
    queue = town.queue("w")
    lease = await queue.claim()

    async def ask_to_stop(tx, session):
        ann = control.Actor(id=town.people["Ann"], name="Ann")
        await control.stop(tx, session.id, ann)

    assert await while_it_waits(town, queue.begin_turn(lease, None), ask_to_stop) is None
    assert await queue.release(lease) is SessionState.HELD


async def test_a_prompt_that_comes_while_a_turn_ends_is_not_forgotten(town):
    await town.say("!one")
    queue = town.queue("w")
    lease = await queue.claim()
    turn = await queue.begin_turn(lease, None)

    async def add(tx, session):
        new = NewPrompt(said="x", kind="command", thread_id=None)
        await enqueue(tx, session, new, author_id=town.people["Ann"])
        await append_events(tx, session.id, [Event(kind="prompt.queued")])

    ending = queue.finish(lease, turn, TurnState.SUCCEEDED, {"summary": "x"})
    assert await while_it_waits(town, ending, add) is SessionState.QUEUED
    assert await town.value("SELECT count(*) FROM turn_event WHERE kind = 'turn.ended'") == 1


async def test_a_batch_that_waits_behind_others_is_written_once_and_after_them(town):
    await town.say("!one")
    queue = town.queue("w")
    lease = await queue.claim()
    turn = await queue.begin_turn(lease, None)

    async def say(tx, session):
        await append_events(tx, session.id, [Event(kind="notice")])

    batch = queue.record(lease, turn, [Event(kind="output")] * 2, batch=1)
    await while_it_waits(town, batch, say)
    rows = await town.rows("SELECT number, kind FROM turn_event ORDER BY number")
    assert [number for number, _ in rows] == list(range(1, len(rows) + 1))
    assert [kind for _, kind in rows[-3:]] == ["notice", "output", "output"]


async def test_fenced_a_step_that_waits_while_the_session_is_claimed_does_nothing(town):
    await town.say("!one")
    queue = town.queue("w")
    lease = await queue.claim()
    turn = await queue.begin_turn(lease, None)

    async def claim(tx, session):
        await tx.execute(
            text("UPDATE session SET lease_token = lease_token + 1, lease_owner = 'other'")
        )

    with pytest.raises(LeaseLost):
        await while_it_waits(
            town, queue.finish(lease, turn, TurnState.SUCCEEDED, {"summary": "x"}), claim
        )
    assert await town.rows("SELECT state, batches FROM turn") == [("running", 0)]
    assert await town.value("SELECT count(*) FROM turn_event WHERE kind = 'turn.ended'") == 0
