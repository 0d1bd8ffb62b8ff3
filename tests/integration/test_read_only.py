"""A prompt that may only read: it is asked with no more than that, and stays apart from others."""

from bot.store.states import TurnState
from bot.work import questions
from bot.work.asked import Question


async def flags(town):
    return [flag for (flag,) in await town.rows("SELECT read_only FROM prompt ORDER BY position")]


async def test_it_joins_no_prompt_and_none_joins_it(town):
    for read_only in (False, True, True, False):
        assert (await town.say("what is open?", read_only=read_only)).verdict == "prompt"
    assert (await town.say("and why?")).verdict == "joined"
    assert await flags(town) == [False, True, True, False]


async def test_asked_again_it_still_may_only_read(town):
    await town.say("what is open?", read_only=True)
    queue = town.queue("w")
    lease = await queue.claim()
    turn = await queue.begin_turn(lease, None)
    await queue.finish(lease, turn, TurnState.SUCCEEDED, {"summary": "x"})
    assert (await town.say("retry")).verdict == "prompt"
    assert await flags(town) == [True, True]


async def test_it_answers_no_question_that_its_author_was_asked(town):
    await town.say("fix it")
    queue = town.queue("w")
    lease = await queue.claim()
    turn = await queue.begin_turn(lease, None)
    async with town.database.begin() as tx:
        await questions.put(tx, lease, turn.id, Question(key="q", text="Deploy?"), seconds=60)
    assert (await town.say("yes", read_only=True)).verdict == "prompt"
    assert (await town.say("yes")).verdict == "answer"
