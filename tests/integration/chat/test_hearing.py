"""What is said on a chat surface becomes prompts, commands, changes of prompts, or nothing."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

from adapters.chat.incoming import Attached, Quoted
from adapters.chat.port import Sign
from bot.conversation.hearing import MEMBERS_ONLY
from bot.conversation.replies import Replies
from tests.integration.chat.conftest import SPOT, SURFACE

WAITING = """
    SELECT string_agg(delivery.text, '|' ORDER BY delivery.event) FROM prompt
      JOIN delivery ON delivery.prompt_id = prompt.id
     WHERE prompt.state = 'queued' GROUP BY prompt.id ORDER BY prompt.position
"""


async def waiting(town):
    return [text for (text,) in await town.rows(WAITING)]


async def begin(town):
    """The queued prompt's turn begins."""
    await town.rows("UPDATE prompt SET state = 'running' WHERE state = 'queued' RETURNING id")


async def test_a_mention_opens_a_session_in_its_thread_for_a_person_made_then(town, room):
    await room.say("!one")
    assert await town.rows("SELECT surface, place, speaker FROM thread") == [
        (SURFACE, "T/C/1", "ann")
    ]
    known = await town.rows("SELECT external_id, name FROM identity WHERE surface = 'fake:T'")
    assert known == [("ann", "Ann")]
    assert await town.rows("SELECT asker FROM prompt") == [("ann",)]
    assert room.whispers == []


async def test_the_one_who_asked_goes_on_without_a_mention_until_somebody_else_writes(town, room):
    await room.say("!one")
    await room.say("!two", to_us=False)
    await room.say("and me?", by="bo", to_us=False)
    await room.say("!three", to_us=False)
    await room.say("!four")
    assert await waiting(town) == ["one", "two", "four"]


async def test_a_second_person_who_asks_crowds_the_thread_too(town, room):
    await room.say("!one")
    await room.say("!two", by="bo")
    await room.say("!three", to_us=False)
    assert await waiting(town) == ["one", "two"]


async def test_what_is_nearly_an_option_is_a_prompt_with_a_hint(town, room):
    await room.say("sizze=big fix it")
    assert await waiting(town) == ["sizze=big fix it"]
    ((_, hint, _),) = room.whispers
    assert "did you mean `size=…`?" in hint


async def test_who_is_no_member_is_refused_in_the_same_words_and_leaves_nothing(town, room):
    await room.say("!one", by="eve", standing="guest")
    await room.say("!one", by="mallory", standing="stranger")
    await room.say("!one", spot=replace(SPOT, shared=True))
    await room.say("!one", by="robot", standing="bot")
    await room.say("!one", by="eve", standing="guest", to_us=False)
    assert "in a direct message to me" in MEMBERS_ONLY
    assert room.whispers == [(who, MEMBERS_ONLY, ()) for who in ("eve", "mallory", "ann")]
    assert await town.value("SELECT count(*) FROM delivery") == 0
    assert await town.value("SELECT count(*) FROM identity WHERE surface = 'fake:T'") == 0


async def test_who_is_deactivated_hears_so(town, room):
    await room.say("!one")
    await town.rows(
        "UPDATE person SET deactivated_at = now() WHERE name = 'Ann' AND id IN"
        " (SELECT person_id FROM identity WHERE surface = 'fake:T') RETURNING id"
    )
    await room.say("!two")
    ((who, words, _),) = room.whispers
    assert (who, "deactivated" in words) == ("ann", True)
    assert await waiting(town) == ["one"]


async def test_a_refusal_is_heard_by_its_author_alone_and_once(town, room):
    message = await room.say("cancel 3")
    await room.chats.hear(message)
    ((_, words, _),) = room.whispers
    assert "no session in this thread" in words


async def test_what_a_command_is_answered_stands_in_the_thread_once(town, room):
    await room.say("!one")
    message = await room.say("status")
    await room.chats.hear(message)
    ((body, kind),) = await town.rows("SELECT body, kind FROM reply")
    assert kind == "notice"
    assert body.startswith("Session s-")


async def test_mute_is_heard_by_its_author_because_the_thread_keeps_quiet(town, room):
    await room.say("!one")
    await room.say("mute")
    ((_, words, _),) = room.whispers
    assert words.startswith("Muted")


async def test_an_edit_changes_a_prompt_that_waits(town, room):
    message = await room.say("!one")
    await room.edit(message, "!two")
    assert await waiting(town) == ["two"]
    await room.edit(message, "@ona !two")
    assert await town.value("SELECT count(*) FROM turn_event WHERE kind = 'prompt.reworded'") == 1


async def test_an_edit_of_one_message_of_a_prompt_leaves_the_others(town, room):
    await room.say("!first")
    first = await room.say("one")
    await room.say("two")
    await room.edit(first, "uno")
    assert await waiting(town) == ["first", "uno|two"]


async def test_an_edit_of_what_runs_changes_nothing_and_offers_to_run_it_again(town, room):
    message = await room.say("!one")
    await begin(town)
    await room.edit(message, "!two")
    assert await town.value("SELECT text FROM delivery") == "one"
    ((who, words, (says,)),) = room.whispers
    assert who == "ann"
    assert "started already" in words
    # A surface may show the button elsewhere than the message, and some bear few characters of it.
    alone = replace(SPOT, channel="@me", place="@me/9/", direct=True)
    assert len(says) <= 90
    await room.say(says, spot=alone, pressed=True, by="bo")
    assert await waiting(town) == []
    for _ in range(2):
        await room.say(says, spot=alone, pressed=True)
    assert await waiting(town) == ["two"]
    asked = "SELECT place FROM prompt JOIN thread ON thread.id = prompt.thread_id"
    assert await town.rows(f"SELECT DISTINCT place FROM ({asked}) AS asked") == [(SPOT.place,)]


async def test_what_is_run_again_with_an_edit_has_what_came_with_it_before(town, room):
    quoted = (Quoted(key="T/C/0", author="Bo", at=datetime.now(UTC), text="it is red"),)
    file = Attached(key="T/C/1", name="a.txt", media_type="text/plain", data=b"words")
    message = await room.say("!one", key="T/C/1", quoted=quoted, files=(file,))
    await begin(town)
    await room.edit(message, "!two")
    await room.say(room.whispers[0][2][0], pressed=True)
    again = "SELECT quoted -> 0 ->> 'text', data FROM delivery JOIN attachment ON"
    again += " attachment.delivery_id = delivery.id WHERE text = 'two'"
    assert await town.rows(again) == [("it is red", b"words")]


async def test_an_edit_of_what_runs_into_something_private_or_a_command_is_not_offered(town, room):
    message = await room.say("!one")
    await begin(town)
    for words in ("private: !two", "stop"):
        await room.edit(message, words)
    assert [says for _, _, says in room.whispers] == [(), ()]


async def test_an_edit_into_a_command_leaves_the_prompt(town, room):
    message = await room.say("!one")
    await room.edit(message, "stop")
    assert await waiting(town) == ["one"]
    assert "stays queued" in room.whispers[0][1]


async def test_an_edit_into_something_private_leaves_the_prompt_and_offers_it_alone(town, room):
    message = await room.say("!one")
    await room.edit(message, "private: !two")
    assert await waiting(town) == ["one"]
    assert await town.value("SELECT count(*) FROM turn_event WHERE body ->> 'text' = 'two'") == 0
    ((who, words, says),) = room.whispers
    assert (who, says[0].partition(" ")[0]) == ("ann", "run")
    assert "stays queued" in words


async def test_an_edit_that_is_longer_than_a_message_may_be_leaves_the_prompt(town, room):
    message = await room.say("one")
    await room.edit(message, "x" * 100_001)
    assert await waiting(town) == ["one"]
    ((_, words, _),) = room.whispers
    assert "100,001 bytes" in words
    await room.edit(message, "x" * 100_000)
    assert await waiting(town) == ["x" * 100_000]


async def test_an_edit_by_somebody_else_is_none(town, room):
    message = await room.say("!one")
    by_bo = replace(message, author=replace(message.author, id="bo"))
    await room.edit(by_bo, "!two")
    await room.delete(by_bo)
    assert await waiting(town) == ["one"]
    assert room.whispers == []


async def test_an_edit_where_others_read_along_by_now_or_by_a_guest_is_none(town, room):
    message = await room.say("!one")
    for changed in (
        replace(message, spot=replace(SPOT, shared=True)),
        replace(message, author=replace(message.author, standing="guest")),
    ):
        await room.edit(changed, "!two")
        await room.delete(changed)
    assert await waiting(town) == ["one"]
    assert room.whispers == []


async def test_a_deletion_takes_a_prompt_that_waits_out_of_the_queue(town, room):
    message = await room.say("!one")
    await room.delete(message)
    assert await waiting(town) == []
    assert await town.rows("SELECT state FROM prompt") == [("cancelled",)]
    assert await town.value("SELECT state FROM session") == "idle"


async def test_a_deletion_of_one_message_of_a_prompt_leaves_the_others(town, room):
    await room.say("!first")
    first = await room.say("one")
    await room.say("two")
    await room.delete(first)
    assert await waiting(town) == ["first", "two"]


async def test_a_message_that_was_deleted_and_comes_again_is_known(town, room):
    message = await room.say("!one")
    await room.delete(message)
    await room.chats.hear(message)
    assert await waiting(town) == []


async def test_a_deletion_of_what_runs_says_how_to_stop_it(town, room):
    message = await room.say("!one")
    await begin(town)
    await room.delete(message)
    assert "`stop`" in room.whispers[0][1]


async def test_a_reaction_to_our_post_stops_the_session_of_its_thread(town, room):
    await room.say("!one")
    await town.rows("UPDATE session SET state = 'running' RETURNING id")
    await town.rows(
        "INSERT INTO turn (id, session_id, prompt_id) SELECT gen_random_uuid(), session_id, id"
        " FROM prompt RETURNING id"
    )
    await begin(town)
    await Replies(town.database, {SURFACE: room.port}).once()
    await town.rows(
        "INSERT INTO reply (id, thread_id, kind, key, body, posted_ref)"
        " SELECT gen_random_uuid(), id, 'live', 'live:0', 'x', '77' FROM thread RETURNING id"
    )
    await room.react("76")
    assert await town.value("SELECT stop FROM session") is None
    await room.react("77")
    assert (await town.value("SELECT stop FROM session"))["name"] == "Ann"


async def test_a_part_of_a_thread_has_the_session_of_the_whole(town, room):
    part = replace(SPOT, place="T/C/1/r7", within="T/C/1")
    await room.say("!one")
    await room.say("!two", spot=part)
    assert await town.rows("SELECT place, session_id IS NOT NULL FROM thread ORDER BY place") == [
        ("T/C/1", True),
        ("T/C/1/r7", True),
    ]
    assert await town.value("SELECT count(*) FROM session") == 1
    assert await waiting(town) == ["one", "two"]


async def test_a_session_that_begins_in_a_part_is_that_of_the_whole(town, room):
    part = replace(SPOT, place="T/C/1/r7", within="T/C/1")
    other = replace(SPOT, place="T/C/1/r8", within="T/C/1")
    await room.say("!one", spot=part)
    await room.say("!two", spot=other)
    await room.say("!three")
    assert await town.value("SELECT count(*) FROM session") == 1
    assert await town.value("SELECT count(*) FROM thread") == 3


async def test_parts_that_begin_at_once_have_one_session(town, room):
    parts = [replace(SPOT, place=f"T/C/1/r{n}", within="T/C/1") for n in range(6)]
    await asyncio.gather(*(room.say(f"!{n}", spot=part) for n, part in enumerate(parts)))
    assert await town.value("SELECT count(*) FROM session") == 1


async def test_where_nobody_can_be_told_alone_a_sign_says_no(town, deaf_room):
    await deaf_room.say("!one", spot=replace(SPOT, foreign=True))
    await deaf_room.say("!one", by="eve", standing="guest")
    assert deaf_room.port.signs == [("1", Sign.REFUSED), ("2", Sign.REFUSED)]
    assert await town.value("SELECT count(*) FROM delivery") == 0


async def test_an_edit_that_comes_after_a_newer_one_changes_nothing(town, room):
    newer, older = datetime(2026, 3, 1, 13, tzinfo=UTC), datetime(2026, 3, 1, 12, tzinfo=UTC)
    message = await room.say("!one")
    await room.edit(message, "!three", at=newer)
    await room.edit(message, "!two", at=older)
    assert await waiting(town) == ["three"]
    await begin(town)
    await room.edit(message, "!two", at=older)
    assert room.whispers == []


async def test_an_edit_back_to_what_was_said_counts_before_an_older_one(town, room):
    older, newer = datetime(2026, 3, 1, 12, tzinfo=UTC), datetime(2026, 3, 1, 13, tzinfo=UTC)
    message = await room.say("!one")
    await room.edit(message, "!one", at=newer)
    await room.edit(message, "!two", at=older)
    assert await waiting(town) == ["one"]
