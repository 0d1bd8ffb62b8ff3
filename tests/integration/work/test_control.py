"""What people do to a session: stop, resume, clear, cancel, interrupt, answer."""

from bot.store.states import SessionState, TurnState
from bot.work import questions
from bot.work.asked import Question


async def begin(town, owner="w"):
    queue = town.queue(owner)
    lease = await queue.claim()
    turn = await queue.begin_turn(lease, None)
    return queue, lease, turn


async def state(town):
    return await town.value("SELECT state FROM session")


async def test_stop_ends_the_turn_and_holds_what_is_queued_saying_whose(town):
    await town.say("!a")
    queue, lease, turn = await begin(town)
    await town.say("!b", by="Bo")
    answer = await town.say("stop")
    assert "Stopping your turn" in answer.text
    assert "1 prompt of Bo held" in answer.text
    request = await queue.stop_request(lease)
    assert (request.name, request.hold) == ("Ann", True)
    assert await queue.finish(lease, turn, TurnState.STOPPED, {}) is SessionState.HELD
    assert await queue.claim() is None


async def test_whoever_is_stopped_by_somebody_else_is_told_by_whom(town):
    await town.say("!a")
    queue, lease, _ = await begin(town)
    answer = await town.say("stop", by="Bo")
    assert "the turn of Ann" in answer.text
    assert (await queue.stop_request(lease)).name == "Bo"


async def test_resume_lets_the_held_queue_go_on_and_clear_drops_it(town):
    await town.say("!a")
    await town.say("!b")
    await town.say("stop")
    assert await state(town) == "held"
    assert "2 prompts go on" in (await town.say("resume")).text
    assert await state(town) == "queued"
    await town.say("stop")
    assert "Cleared 2 prompts" in (await town.say("clear")).text
    assert await state(town) == "idle"


async def test_stop_all_ends_the_turn_and_clears(town):
    await town.say("!a")
    queue, lease, turn = await begin(town)
    await town.say("!b")
    answer = await town.say("stop all")
    assert "Cleared 1 prompt" in answer.text
    assert await queue.finish(lease, turn, TurnState.STOPPED, {}) is SessionState.IDLE


async def test_stop_with_nothing_to_stop_says_so_and_changes_nothing(town):
    await town.say("!a")
    queue, lease, turn = await begin(town)
    await queue.finish(lease, turn, TurnState.SUCCEEDED, {})
    answer = await town.say("stop")
    assert answer.verdict == "refused"
    assert "nothing is running" in answer.text.lower()
    assert await state(town) == "idle"


async def test_cancel_takes_out_the_prompt_at_that_place(town):
    for word in ("!a", "!b", "!c"):
        await town.say(word)
    assert "b" in (await town.say("cancel 2")).text
    left = await town.rows("SELECT state FROM prompt ORDER BY position")
    assert [row[0] for row in left] == ["queued", "cancelled", "queued"]
    assert "holds 2 prompts" in (await town.say("cancel 7")).text


async def test_cancelling_the_last_prompt_leaves_the_session_idle(town):
    await town.say("!a")
    await town.say("cancel 1")
    assert await state(town) == "idle"
    assert await town.queue("w").claim() is None


async def test_now_interrupts_the_running_turn_and_goes_next(town):
    await town.say("!a")
    queue, lease, turn = await begin(town)
    await town.say("!b")
    answer = await town.say("now: !urgent")
    assert "interrupted" in answer.text
    assert (await queue.stop_request(lease)).why == "now"
    await queue.finish(lease, turn, TurnState.STOPPED, {})
    lease = await queue.claim()
    said = (await queue.begin_turn(lease, None)).text
    assert said == "urgent"


async def test_a_stop_before_the_turn_began_keeps_the_prompt(town):
    await town.say("!a")
    queue = town.queue("w")
    lease = await queue.claim()
    await town.say("stop")
    assert await queue.begin_turn(lease, None) is None
    assert await queue.release(lease) is SessionState.HELD
    assert await town.value("SELECT state FROM prompt") == "queued"


async def ask(town, queue, lease, turn, *, permitted=None, seconds=60.0):
    async with town.database.begin() as tx:
        asked = Question(key="q1", text="Deploy?", choices=("yes", "no"), permitted=permitted)
        return await questions.put(tx, lease, turn.id, asked, seconds=seconds)


async def test_a_question_lets_the_session_wait_and_a_plain_reply_is_the_answer(town):
    await town.say("!a")
    queue, lease, turn = await begin(town)
    assert await ask(town, queue, lease, turn)
    assert await state(town) == "waiting"
    assert await queue.claim() is None
    answer = await town.say("yes")
    assert answer.verdict == "answer"
    assert await town.value("SELECT count(*) FROM prompt") == 1
    again = await queue.claim()
    assert (await queue.look(again)).turn.id == turn.id
    async with town.database.begin() as tx:
        (settled,) = await questions.of_turn(tx, turn.id)
    assert (settled.open, settled.answer) == (False, "yes")
    assert not await ask(town, queue, again, turn)


async def test_the_words_of_who_may_not_answer_are_queued(town):
    await town.say("!a")
    queue, lease, turn = await begin(town)
    await ask(town, queue, lease, turn)
    assert (await town.say("yes", by="Bo")).verdict == "prompt"
    assert await state(town) == "waiting"
    assert (await town.say("no", by="Ann")).verdict == "answer"


async def test_a_question_to_everybody_is_answered_by_anybody(town):
    await town.say("!a")
    queue, lease, turn = await begin(town)
    await ask(town, queue, lease, turn, permitted=())
    assert (await town.say("yes", by="Bo")).verdict == "answer"


async def test_a_question_that_nobody_answers_expires_and_the_turn_goes_on(town):
    await town.say("!a")
    queue, lease, turn = await begin(town)
    await ask(town, queue, lease, turn, seconds=-1)
    async with town.database.begin() as tx:
        assert await questions.expire(tx) == 1
    again = await queue.claim()
    assert again is not None
    assert not await ask(town, queue, again, turn)


async def test_stop_ends_a_waiting_turn_and_withdraws_its_question(town):
    await town.say("!a")
    queue, lease, turn = await begin(town)
    await ask(town, queue, lease, turn)
    await town.say("stop")
    again = await queue.claim()
    assert (await queue.stop_request(again)).why == "stop"
    await queue.finish(again, turn, TurnState.STOPPED, {})
    assert await town.value("SELECT state FROM question") == "withdrawn"


async def test_a_retry_in_a_held_session_says_that_it_is_held_and_at_which_place(town):
    first = await town.say("do it")
    queue = town.queue("w")
    lease = await queue.claim()
    turn = await queue.begin_turn(lease, None)
    await town.say("!later", by="Bo")
    await town.say("stop", by="Bo")
    await queue.finish(lease, turn, TurnState.STOPPED, {})
    told = await town.say("retry")
    assert told.text == (
        "The last prompt once more. Queued as number 2; the queue is held: `resume` lets it go on."
    )
    (body,) = (
        await town.rows(
            "SELECT body FROM turn_event WHERE kind = 'prompt.queued' ORDER BY number DESC LIMIT 1"
        )
    )[0]
    assert (body["place"], body["text"], body["surface"]) == (2, "do it", "retry")
    assert body["prompt"] != str(first.prompt_id)


async def test_words_that_join_a_retried_prompt_come_after_it(town):
    await town.say("do it")
    queue = town.queue("w")
    lease = await queue.claim()
    turn = await queue.begin_turn(lease, None)
    await queue.finish(lease, turn, TurnState.FAILED, {})
    await town.say("retry")
    assert (await town.say("and that")).verdict == "joined"
    lease = await queue.claim()
    assert (await queue.begin_turn(lease, None)).text == "do it\nand that"


async def test_now_lets_a_held_queue_go_on_and_says_so(town):
    await town.say("!a")
    await town.say("!b")
    queue, lease, turn = await begin(town)
    await town.say("stop")
    await queue.finish(lease, turn, TurnState.STOPPED, {})
    assert await state(town) == "held"
    answer = await town.say("now: !c")
    assert answer.text.endswith("The queue was held; it goes on with 1 prompt behind this one.")
    assert await state(town) == "queued"


async def test_a_retry_that_waits_is_not_asked_once_more(town):
    await town.say("do it")
    queue = town.queue("w")
    lease = await queue.claim()
    turn = await queue.begin_turn(lease, None)
    await queue.finish(lease, turn, TurnState.FAILED, {})
    assert (await town.say("retry")).verdict == "prompt"
    again = await town.say("retry")
    assert (again.verdict, again.refusal.code) == ("refused", "nothing_to_do")
    lease = await queue.claim()
    turn = await queue.begin_turn(lease, None)
    assert "asked again already" in (await town.say("retry")).text
    await queue.finish(lease, turn, TurnState.FAILED, {})
    assert (await town.say("retry")).verdict == "prompt"
    assert await town.value("SELECT count(*) FROM prompt") == 3
