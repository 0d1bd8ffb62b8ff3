"""The projector on a real database: events become rows, once, wherever it is killed."""

import asyncio
import random
from contextlib import asynccontextmanager, suppress

import pytest
from sqlalchemy import text

from bot.conversation.outbox import Outbox
from bot.conversation.replies import Replies
from bot.store.database import EVENTS, OUTBOX, Database, Listener
from bot.store.ids import new_id
from tests.fakes.chat import ChatServer, FakeChat
from tests.integration.outbox.rig import SURFACE, Office

STARTED = ("turn.started", {"prompt": "p", "text": "!ls"})
ENDED = ("turn.ended", {"outcome": "succeeded", "summary": "exit status 0, 1.0 s"})
LONG_AGO = 60


def output(text):
    return ("output", {"stream": "stdout", "text": text})


def notice(text):
    return ("notice", {"text": text})


@pytest.fixture
async def office(town) -> Office:
    office = await Office.open(town.database)
    await office.thread("acct/t")
    return office


async def bodies(office, place="acct/t"):
    return [(row.kind, row.body) for row in await office.replies(place)]


ANSWER = ("answer", "```\na\n```\nDone: exit status 0, 1.0 s.")


async def test_a_turn_that_ended_has_an_answer_in_every_thread(office, replies):
    await office.thread("acct/u")
    await office.thread("here", surface="terminal")
    await office.happen(STARTED, output("a\n"), ENDED)
    assert await replies.once() == 3
    for place in ("acct/t", "acct/u", "here"):
        assert await bodies(office, place) == [ANSWER]
    assert await replies.once() == 0


async def test_a_thread_that_is_attached_later_hears_only_what_comes_then(town, office, replies):
    await office.happen(STARTED, output("old\n"), ENDED)
    await office.do(
        "UPDATE session SET short = 's-test' WHERE id = :session", session=office.session_id
    )
    said = await town.say("status", place="new", session="s-test")
    assert said.verdict == "command"
    office.threads["new"] = await town.value("SELECT id FROM thread WHERE place = 'new'")
    await office.happen(STARTED, output("a\n"), ENDED)
    await replies.once()
    assert await bodies(office, "new") == [ANSWER]
    assert len(await bodies(office)) == 2


async def test_a_thread_that_moves_to_another_session_hears_nothing_of_its_past(
    town, office, replies
):
    first = await town.say("!a", place="p")
    await office.happen(STARTED, output("old\n"), ENDED)
    await office.do(
        "UPDATE session SET short = 's-test' WHERE id = :session", session=office.session_id
    )
    await town.say("status", place="p", session="s-test")
    session, told = (
        await town.rows("SELECT session_id, replied_to FROM thread WHERE place = 'p'")
    )[0]
    assert session == office.session_id != first.session_id
    assert told == 3


async def test_a_running_turn_is_told_when_it_has_lasted_and_then_at_intervals(office, replies):
    await office.happen(STARTED, output("one\n"))
    await replies.once()
    assert await bodies(office) == []
    await office.happen(output("two\n"), ago_seconds=LONG_AGO)
    await replies.once()
    assert await bodies(office) == []
    await office.do("UPDATE turn_event SET at = at - interval '1 minute'")
    await replies.once()
    assert await bodies(office) == [("live", "Working …\n```\none\ntwo\n```")]
    await office.happen(output("three\n"))
    await replies.once()
    assert (await office.replies())[0].wording == 1
    await office.do("UPDATE turn_event SET at = at - interval '1 minute'")
    await replies.once()
    (row,) = await office.replies()
    assert (row.wording, row.final) == (2, False)


async def test_a_quick_turn_has_an_answer_and_no_live_message(office, replies):
    await office.happen(STARTED, output("a\n"), ENDED)
    await replies.once()
    assert [kind for kind, _ in await bodies(office)] == ["answer"]


async def test_a_live_message_follows_the_machine_and_ends_with_the_turn(office, replies):
    await office.happen(("step", {"step": "booting"}), ago_seconds=LONG_AGO)
    await replies.once()
    assert await bodies(office) == [("live", "Starting the machine …")]
    await office.do("UPDATE reply SET state = 'sending'")
    await office.do("UPDATE reply SET state = 'sent', posted_ref = 'r', attempts = 0")
    await office.happen(STARTED, output("a\n"), ENDED)
    await replies.once()
    assert await bodies(office) == [("live", "Done: exit status 0, 1.0 s."), ANSWER]
    live = (await office.replies())[0]
    assert (live.final, live.state, live.wording) == (True, "pending", 2)


async def test_a_live_message_follows_the_template_that_is_built_meanwhile(office, replies):
    for number in (4, 5):
        body = {"step": "booting", "template": {"step": number, "of": 7}}
        await office.happen(("step", body), ago_seconds=LONG_AGO)
        await replies.once()
        said = f"Starting the machine (its template is being built: step {number} of 7) …"
        assert await bodies(office) == [("live", said)]


async def test_a_live_message_that_nobody_posted_goes_when_the_answer_comes(office, replies):
    await office.happen(STARTED, ago_seconds=LONG_AGO)
    await replies.once()
    assert [kind for kind, _ in await bodies(office)] == ["live"]
    await office.happen(output("a\n"), ENDED)
    await replies.once()
    assert await bodies(office) == [ANSWER]


async def test_turns_one_after_the_other_have_a_row_each(office, replies):
    for _ in range(3):
        await office.happen(STARTED, output("a\n"), ENDED, notice("between"))
    await replies.once()
    assert [kind for kind, _ in await bodies(office)] == ["answer", "notice"] * 3
    assert [row.body for row in await office.replies()][::2] == [ANSWER[1]] * 3


async def test_a_live_message_names_the_places_of_the_queue_while_they_hold(town, office, replies):
    here, there = await office.thread("acct/t"), await office.thread("acct/u")
    asked = {"prompt": "p", "asked_in": str(here), "name": "Ann", "surface": "fake"}
    await office.happen(("turn.started", asked), ago_seconds=LONG_AGO)
    for thread, name in ((here, "Ann"), (there, "Bo")):
        await _wait(town, office, thread, name)
    await replies.once()
    assert await bodies(office) == [("live", "Working …\nQueued: Ann, 1st; Bo, 2nd")]
    assert (await bodies(office, "acct/u"))[0][1].splitlines()[1:] == ["Queued: Bo, 2nd"]
    await office.do("UPDATE prompt SET state = 'cancelled' WHERE thread_id = :here", here=here)
    await office.happen(("prompt.cancelled", {"name": "Ann"}), ago_seconds=LONG_AGO)
    await replies.once()
    assert (await bodies(office))[0] == ("live", "Working …\nQueued: Bo, 1st")
    assert (await bodies(office, "acct/u"))[0][1].splitlines()[1:] == ["Queued: Bo, 1st"]


async def _wait(town, office, thread_id, name):
    """A prompt that waits, long enough to be told."""
    await office.do(
        "INSERT INTO prompt (id, session_id, position, kind, author_id, thread_id, state)"
        " SELECT :id, id, position_last + 1, 'text', :author, :thread, 'queued' FROM session"
        "  WHERE id = :session",
        id=new_id(),
        author=town.people[name],
        thread=thread_id,
        session=office.session_id,
    )
    await office.do(
        "UPDATE session SET position_last = position_last + 1 WHERE id = :session",
        session=office.session_id,
    )
    queued = ("prompt.queued", {"asked_in": str(thread_id)})
    await office.happen(queued, ago_seconds=LONG_AGO)


async def test_a_question_is_asked_at_once_and_its_row_tells_its_end(office, replies):
    asked = ("question", {"question": "q", "text": "sure?", "choices": ["yes", "no"]})
    await office.happen(STARTED, asked)
    await replies.once()
    kinds = dict(await bodies(office))
    assert kinds["question"].startswith("Question: sure?\n1. yes\n2. no\nAnswer in this thread")
    assert kinds["live"] == "Waiting for an answer."
    await office.happen(("question.answered", {"question": "q", "name": "Bo", "answer": "no"}))
    await replies.once()
    kinds = dict(await bodies(office))
    assert kinds["question"].endswith("Bo answered: no")


async def test_a_muted_thread_has_its_rows_for_the_page(office, replies):
    await office.do("UPDATE thread SET muted = true")
    await office.happen(STARTED, output("a\n"), ENDED)
    await replies.once()
    assert await bodies(office) == [ANSWER]


async def test_threads_of_surfaces_that_are_not_here_wait(office, port):
    await office.happen(STARTED, output("a\n"), ENDED)
    assert await Replies(office.database, {"other": port}).once() == 0
    assert await Replies(office.database, {SURFACE: port}).once() == 1


async def test_a_long_output_is_read_back_only_at_its_end(office, replies):
    await office.happen(STARTED, *(output(f"{n:08}\n" * 1_000) for n in range(50)), ENDED)
    await replies.once()
    (row,) = await office.replies()
    assert row.body.startswith("The end of the output; all of it is on the session's page.\n```\n")
    assert "00000049" in row.body
    assert len(row.body) < 4_000


async def test_what_must_be_told_is_told_after_any_amount_of_talk(office, replies):
    talk = [("text", {"text": "x"}) for _ in range(3_000)]
    asked = ("question", {"question": "q", "text": "sure?"})
    await office.happen(STARTED, notice("early"), asked, *talk, *talk, notice("late"), ENDED)
    await replies.once()
    kinds = [kind for kind, _ in await bodies(office)]
    assert sorted(kinds)[-3:] == ["notice", "notice", "question"]
    answers = [body for kind, body in await bodies(office) if kind == "answer"]
    assert len(answers) == 5
    assert answers[-1].endswith("the rest is on the session's page.")


async def test_the_thread_in_which_a_turn_was_asked_for_gets_its_rows_first(office, replies):
    places = ["acct/1", "acct/2", "acct/3"]
    for place in places:
        await office.thread(place)
    for asked in places:
        turn = await office.turn(asked)
        await office.happen(STARTED, output("a\n"), ENDED, turn_id=turn)
        await replies.once()
        newest = {place: (await office.replies(place))[-1] for place in places}
        assert min(newest, key=lambda place: newest[place].created_at) == asked


async def test_while_a_projector_writes_a_live_message_no_other_has_its_thread(
    office, replies, port, database_url
):
    await office.happen(STARTED, output("one\n"), ago_seconds=LONG_AGO)
    database = Database(database_url)
    other = Replies(database, {SURFACE: port})
    async with office.database.begin() as tx:
        # A row of a reply can't be written before this ends: the first projector is held right
        # between its reading and its writing.
        await tx.execute(text("LOCK TABLE reply IN SHARE MODE"))
        first = asyncio.create_task(replies.once())
        async with asyncio.timeout(100):
            while not await tx.scalar(text(WAITING)):
                await asyncio.sleep(0.01)
        await office.happen(output("two\n"), ago_seconds=LONG_AGO)
        async with asyncio.timeout(100):
            assert await other.once() == 0
    await first
    await other.once()
    (row,) = await office.replies()
    assert row.body == "Working …\n```\none\ntwo\n```"
    await database.close()


WAITING = (
    "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database"
    " WHERE NOT granted AND relation = 'reply'::regclass AND datname = current_database()"
)


async def test_any_number_of_projectors_write_each_row_once(office, database_url, port):
    places = [f"acct/{n}" for n in range(6)]
    for place in places:
        await office.thread(place)
    database = Database(database_url)
    projectors = [
        Replies(one, {SURFACE: port}, live_seconds=0)
        for one in (office.database, database)
        for _ in range(3)
    ]
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for one in projectors:
            one._poll_seconds = 0.01
            group.create_task(one.run(stop))
        for number in range(10):
            await office.happen(STARTED, notice(f"n{number}"))
            await office.happen(output("a\n"))
            await office.happen(ENDED)
        async with asyncio.timeout(100):
            while await _behind(office):
                await asyncio.sleep(0.02)
        stop.set()
    for place in places:
        told = await office.replies(place)
        assert [row.body for row in told if row.kind == "notice"] == [f"n{n}" for n in range(10)]
        assert [row.body for row in told if row.kind == "answer"] == [ANSWER[1]] * 10
        assert {row.wording for row in told if row.kind != "live"} == {1}
    await database.close()


async def _behind(office):
    async with office.database.begin() as tx:
        return await tx.scalar(
            text(
                "SELECT count(*) FROM thread JOIN session ON session.id = thread.session_id"
                " WHERE thread.replied_to < session.event_last"
            )
        )


async def test_a_projector_that_is_cut_off_at_random_points_loses_and_doubles_nothing(
    office, database_url, port
):
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for number in range(30):
        await office.happen(STARTED, notice(f"n{number}"), output("a\n"), ENDED)
    cut = tries = 0
    while await _behind(office):
        database = Database(database_url)
        task = asyncio.create_task(Replies(database, {SURFACE: port}).once())
        tries += 1
        await asyncio.wait({task}, timeout=chance.uniform(0, 0.005 * tries))
        cut += not task.done()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await database.close()
    assert cut
    told = await office.replies()
    assert [row.body for row in told] == [body for n in range(30) for body in (f"n{n}", ANSWER[1])]
    assert {row.wording for row in told} == {1}


@asynccontextmanager
async def hinted(office, port, database_url):
    """A projector at work that hints alone wake."""
    listener = Listener(database_url, EVENTS, OUTBOX)
    listening = asyncio.create_task(listener.run())
    await listener.listening.wait()
    stop = asyncio.Event()
    replies = Replies(office.database, {SURFACE: port}, listener=listener, poll_seconds=600)
    running = asyncio.create_task(replies.run(stop))
    try:
        yield
    finally:
        stop.set()
        await running
        listening.cancel()


async def test_a_hint_is_enough_to_write_at_once(office, port, database_url):
    async with hinted(office, port, database_url):
        await office.happen(notice("one"))
        await office.until("true", 1)
        await office.happen(notice("two"))
        await office.until("true", 2)


async def test_what_nothing_comes_after_is_shown_live_in_time_and_not_by_the_poll(
    office, port, database_url
):
    async with hinted(office, port, database_url):
        await office.happen(STARTED, output("a\n"))
        await office.until("kind = 'live'", 1)


async def test_what_comes_soon_after_a_wording_is_shown_when_its_own_pause_is_over(
    office, port, database_url
):
    """The look for what was said before the wording comes too early for it."""
    async with hinted(office, port, database_url):
        await office.happen(STARTED, output("first\n"))
        await office.happen(notice("told at once"))
        await office.until("kind = 'live' AND body LIKE '%first%'", 1)
        await office.happen(output("second\n"))
        await office.until("kind = 'live' AND body LIKE '%second%'", 1)


async def test_from_events_to_a_thread_people_see_a_live_message_and_then_the_answer(office):
    async with ChatServer() as server:
        port = FakeChat(server.url)
        replies = Replies(office.database, {SURFACE: port})
        outbox = Outbox(office.database, {SURFACE: port}, sender="s")

        async def settle():
            await replies.once()
            await outbox.once()

        await office.happen(("step", {"step": "booting"}), ago_seconds=LONG_AGO)
        await settle()
        assert server.texts("acct/t") == ["Starting the machine …"]
        await office.happen(STARTED, output("hello @all\n```\n*you*\n"), ago_seconds=LONG_AGO)
        await settle()
        await office.pass_time(5)
        await settle()
        assert server.texts("acct/t") == ["Working …\nhello @all\n```\n*you*\n"]
        await office.happen(ENDED)
        await settle()
        assert server.texts("acct/t") == [
            "Done: exit status 0, 1.0 s.",
            "hello @all\n```\n*you*\nDone: exit status 0, 1.0 s.",
        ]
        assert len(server.posts) == 2
        await port.close()
