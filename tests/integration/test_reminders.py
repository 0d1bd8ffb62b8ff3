"""A reminder from its words to its post: said back, saved, due, posted once, put off, stopped."""

import asyncio
import re
from datetime import timedelta

import pytest
from sqlalchemy import text

from adapters.chat.port import MOMENT
from adapters.chat.terminal import TerminalChat
from bot.automate import forgetting, leaving
from bot.automate.reminders import reminder_rows
from bot.automate.reminders.firings import ANSWER_HOURS_MAX, ATTEMPTS_MAX, Firings, pause
from bot.conversation.due import Due
from bot.conversation.reminding import TARGETS_MAX
from bot.conversation.replies import Replies
from bot.govern import people
from bot.store.ids import new_id
from bot.store.states import TurnState
from bot.work import questions
from bot.work.asked import Question
from bot.work.queue import Event
from scheduler.clock import LEASE_SECONDS, Clock
from scheduler.leader import Leader

BODIES = text("SELECT body FROM reply ORDER BY created_at, id")
UNSAYABLE = "UPDATE reminder SET quiet = 'never'"
"""Hours that can't be read."""
BUTTONS = text("SELECT buttons FROM reply ORDER BY created_at, id")


async def bodies(town) -> list[str]:
    return list((await town.database.run(BODIES)).scalars())


def short_of(told: str) -> str:
    return re.search(r"r-\w+", told)[0]


async def set_one(town, words: str, *, act: str = "yes", **more) -> str:
    said = await town.say(words, **more)
    assert said.verdict == "command", said.text
    short = short_of(said.text)
    confirmed = await town.say(f"reminders {act} {short}", **more)
    assert confirmed.text.startswith(f"Saved as {short}"), confirmed.text
    return short


async def due_now(town) -> None:
    """The next due moments are now, instead of when they are."""
    await town.database.run(
        text(
            "UPDATE schedule SET due_at = now(), fire_at = now(), rule = CASE rule ->> 'kind'"
            " WHEN 'once' THEN jsonb_set(rule, '{at}', to_jsonb(now())) ELSE rule END"
            " WHERE state = 'active'"
        )
    )


async def fire(town) -> int:
    leader = Leader(name="schedules", owner="a", seconds=LEASE_SECONDS)
    await Clock(town.database.begin, leader, new_id=new_id).tick()
    await town.database.run(text("UPDATE firing SET act_at = now() WHERE prompt_id IS NOT NULL"))
    return await Firings(town.database, Due(town.database, town.inbox)).once()


async def answer(town, said: str, state: TurnState = TurnState.SUCCEEDED, summary: str = ""):
    """Let an agent answer the prompt that waits; its turn."""
    queue = town.queue("w")
    lease = await queue.claim()
    turn = await queue.begin_turn(lease, None)
    if said:
        await queue.record(lease, turn, [Event(kind="text", body={"text": said})], batch=1)
    await queue.finish(lease, turn, state, {"summary": summary})
    return turn


async def ask_now(town) -> None:
    """Let what is due be asked."""
    await due_now(town)
    await fire(town)


async def firings(town) -> list[tuple[str, str]]:
    return await town.rows("SELECT state, why FROM firing ORDER BY fired_at, id")


async def test_a_reminder_is_said_back_saved_and_posted_once(town):
    said = await town.say("remind me in 20 minutes to check the build", told_in_thread=True)
    short = short_of(said.text)
    assert "in 20 minutes" in said.text
    assert "check the build" in said.text
    (buttons,) = (await town.database.run(BUTTONS)).scalars()
    assert [button["says"] for button in buttons] == [
        f"reminders yes {short}",
        f"reminders answer {short}",
        f"reminders no {short}",
    ]
    # Nobody has said yes: it is never due.
    assert await fire(town) == 0
    await town.say(f"reminders yes {short}")
    assert await fire(town) == 0
    await due_now(town)
    assert await fire(town) == 1
    assert await fire(town) == 0
    post = (await bodies(town))[-1]
    assert post.startswith("check the build\n\nA reminder of Ann: in 20 minutes (UTC).")
    assert f"`reminders stop {short}`" in post
    *_, buttons = (await town.database.run(BUTTONS)).scalars()
    assert [(button["label"], button["says"]) for button in buttons] == [
        ("Done", f"reminders done {short}"),
        ("In 10 minutes", f"reminders snooze {short} in 10 minutes"),
        ("Tomorrow", f"reminders snooze {short} tomorrow"),
        ("Another time", f"reminders snooze {short} {MOMENT}"),
        ("Stop it", f"reminders stop {short}"),
    ]


async def test_where_posts_are_sent_nowhere_it_is_an_event_of_the_session_once(town):
    short = await set_one(town, "remind me in 20 minutes to check the build")
    await due_now(town)
    await fire(town)
    await fire(town)
    told = "SELECT body ->> 'text' FROM turn_event WHERE kind = 'notice'"
    ((said,),) = await town.rows(told)
    assert said.startswith("check the build\n\nA reminder of Ann:")
    posted = await bodies(town)
    # No thread is told of it again.
    await Replies(town.database, {"terminal": TerminalChat()}).once()
    assert await bodies(town) == posted
    # In a chat the post is where it is read.
    await town.rows("UPDATE thread SET surface = 'slack' WHERE surface = 'terminal' RETURNING id")
    await town.say(f"reminders snooze {short} in 10 minutes", place="elsewhere")
    await due_now(town)
    assert await fire(town) == 1
    assert len(await town.rows(told)) == 1


async def test_the_next_three_times_are_said_in_the_zone_of_the_author(town):
    await town.database.run(
        text("UPDATE person SET zone = 'Asia/Kolkata' WHERE id = :id"), {"id": town.people["Ann"]}
    )
    told = (await town.say("remind me every friday 16:00 what is still open?")).text
    assert "Asia/Kolkata" in told
    assert len(re.findall(r"\d{4}-\d\d-\d\d 16:00 IST", told)) == 3


async def test_it_is_edited_and_put_off_in_its_zone(town):
    short = await set_one(town, "remind me every friday 16:00 Asia/Kolkata to stretch")
    edited = (await town.say(f"reminders edit {short} every day at 10:30")).text
    put_off = (await town.say(f"reminders snooze {short} tomorrow")).text
    assert re.search(r"\d{4}-\d\d-\d\d 10:30 IST", edited), edited
    assert re.search(r"\d{4}-\d\d-\d\d 09:00 IST", put_off), put_off
    zones = await town.rows("SELECT zone FROM schedule")
    assert zones == [("Asia/Kolkata",)] * 2


async def test_what_is_no_reminder_is_a_prompt_and_says_what_it_resembles(town):
    said = await town.say("remind me how the build works")
    assert said.verdict == "prompt"
    assert "remind me tomorrow 9" in said.text


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("remind me tomorrow at 3 to call Bob", "is it 03:00 or 15:00"),
        ("remind me next friday to call Bob", "is it 20"),
        ("remind me tomorrow 9", "says when and not what"),
        ("remind me mañana a las 9 llamar", "i read no time in “mañana a las 9 llamar”"),
        ("remind me mañana a las 9 llamar", "`remind me 2026-12-24 09:00 …`"),
        ("remind me 21:30 mañana llamar", "a language that i don't read"),
        ("remind me", "neither when nor what"),
        ("remind channel tomorrow 9 to call Bob", "there is no channel here"),
        ("remind @nobody tomorrow 9 to call Bob", "nobody here who is called nobody"),
    ],
)
async def test_what_is_unclear_is_asked_back_and_nothing_is_saved(town, words, asked):
    said = await town.say(words)
    assert (said.verdict, asked in said.text.lower()) == ("refused", True), said.text
    count = (await town.database.run(text("SELECT count(*) FROM reminder"))).scalar_one()
    assert count == 0


async def test_one_that_nobody_confirmed_is_listed_as_waiting_for_that(town):
    await town.say("remind me every day at 9 to stretch")
    listed = (await town.say("reminders")).text
    assert "waits for a yes" in listed
    assert "paused" not in listed


async def test_reminders_are_listed_edited_paused_resumed_and_deleted(town):
    short = await set_one(town, "remind me every day at 9 to stretch")
    assert "stretch" in (await town.say("reminders")).text
    assert "every day at 9" in (await town.say(f"reminders show {short}")).text
    assert "10:30" in (await town.say(f"reminders edit {short} every day at 10:30")).text
    await town.say(f"reminders pause {short}")
    await due_now(town)
    assert await fire(town) == 0
    assert "10:30" in (await town.say(f"reminders resume {short}")).text
    other = await town.say(f"reminders delete {short}", by="Bo")
    assert other.verdict == "refused"
    assert "is gone" in (await town.say(f"reminders delete {short}")).text
    assert (await town.say("reminders")).text.startswith("You have no reminder")


@pytest.mark.parametrize("said", ["say stand-up", 'say "stand-up"', "Say  “stand-up”"])
async def test_its_words_are_edited(town, said):
    short = await set_one(town, "remind me every day at 9 to stretch")
    assert (await town.say(f"reminders edit {short} {said}")).text == "It says: stand-up"
    assert await town.rows("SELECT what, said FROM reminder") == [("stand-up", "every day at 9")]


async def test_one_that_is_paused_is_so_after_an_edit_too(town):
    short = await set_one(town, "remind me every day at 9 to stretch")
    await town.say(f"reminders pause {short}")
    told = (await town.say(f"reminders edit {short} every day at 10:30")).text
    assert told.startswith(f"Saved, and still paused: `reminders resume {short}` lets it go on")
    assert await town.rows("SELECT state FROM schedule") == [("paused",)]
    assert "10:30" in (await town.say(f"reminders resume {short}")).text
    assert "is due next" in (await town.say(f"reminders edit {short} every day at 11")).text


async def test_one_that_waits_for_a_yes_does_so_after_an_edit_too(town):
    told = (await town.say("remind me every day at 9 to stretch")).text
    short = re.search(r"reminders yes (r-\w+)", told)[1]
    told = (await town.say(f"reminders edit {short} every day at 10:30")).text
    assert f"`reminders yes {short}`" in told
    assert await town.rows("SELECT state, why FROM schedule") == [("paused", "unconfirmed")]
    assert "10:30" in (await town.say(f"reminders yes {short}")).text


async def test_one_that_is_put_off_for_a_while_comes_again(town):
    short = await set_one(town, "remind me every day at 9 to stretch")
    assert (await town.say(f"reminders snooze {short} 10m")).text.startswith("I say it again at")


async def test_one_that_is_put_off_comes_again_and_goes_on(town):
    short = await set_one(town, "remind me every day at 9 to stretch")
    told = (await town.say(f"reminders snooze {short} in 10 minutes")).text
    assert told.startswith("I say it again at")
    await due_now(town)
    assert await fire(town) == 2
    states = (await town.database.run(text("SELECT state FROM schedule ORDER BY state"))).scalars()
    assert list(states) == ["active", "ended"]


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("whom", ["me", "channel"])
async def test_one_of_somebody_who_was_deactivated_pauses_and_says_so(town, whom, at_once):
    short = await set_one(town, f"remind {whom} every day at 9 to stretch", channel="c")
    async with town.database.begin() as tx:
        await people.deactivate(tx, town.people["Ann"])
    if at_once:
        for _ in range(2):
            await leaving.pause(town.database, Due(town.database, town.inbox))
    else:
        await due_now(town)
        await fire(town)
    assert sum("is paused" in body for body in await bodies(town)) == 1
    assert (await bodies(town))[-1] == (
        "The reminder “stretch” is paused: whoever set it is deactivated here. An operator takes it"
        f" over with `reminders resume {short}`; anybody else sets it anew."
    )
    row = (await town.database.run(text("SELECT state, why FROM schedule"))).one()
    assert (row.state, row.why) == ("paused", "creator")
    place = await town.value("SELECT place FROM thread JOIN reply ON reply.thread_id = thread.id")
    assert place.startswith("c/~") is (whom == "channel")


async def test_one_of_somebody_who_was_deactivated_goes_on_as_whose_operator_takes_it_over(town):
    short = await set_one(town, "remind me every day at 9 to stretch")
    async with town.database.begin() as tx:
        await people.deactivate(tx, town.people["Ann"])
    ways = Due(town.database, town.inbox)
    await leaving.pause(town.database, ways)
    assert (await town.say(f"reminders resume {short}", by="Bo")).verdict == "refused"
    await town.rows(
        "INSERT INTO identity (id, person_id, surface, external_id, name)"
        " VALUES (gen_random_uuid(), :bo, 'local', 'bo', 'Bo') RETURNING id",
        bo=town.people["Bo"],
    )
    resumed = await town.say(f"reminders resume {short}", by="Bo")
    assert resumed.text.startswith(f"Saved as {short}"), resumed.text
    await leaving.pause(town.database, ways)
    assert await town.rows("SELECT creator_id, state FROM reminder, schedule") == [
        (town.people["Bo"], "active")
    ]


async def test_one_that_is_due_once_of_somebody_who_was_deactivated_is_told_at_once(town):
    short = await set_one(town, "remind me in 20 minutes to stretch")
    await due_now(town)
    leader = Leader(name="schedules", owner="a", seconds=LEASE_SECONDS)
    await Clock(town.database.begin, leader, new_id=new_id).tick()
    paused = await town.say(f"reminders pause {short}")
    assert (paused.verdict, "has passed" in paused.text) == ("refused", True)
    async with town.database.begin() as tx:
        await people.deactivate(tx, town.people["Ann"])
    await fire(town)
    assert await firings(town) == [("skipped", "creator")]
    assert "whoever set it is deactivated here" in (await bodies(town))[-1]


async def test_in_quiet_hours_it_waits_until_they_are_over(town):
    short = await set_one(town, "remind me every hour to stretch")
    now = (await town.database.run(text("SELECT clock_timestamp() AS now"))).one().now
    hours = f"{now - timedelta(hours=1):%H:%M}-{now + timedelta(hours=2):%H:%M}"
    await town.say(f"reminders edit {short} quiet {hours}")
    await due_now(town)
    await fire(town)
    assert await bodies(town) == []
    row = (await town.database.run(text("SELECT state, why, act_at FROM firing"))).one()
    assert (row.state, row.why) == ("due", "quiet")
    assert timedelta(hours=1, minutes=58) < row.act_at - now <= timedelta(hours=2)
    await town.database.run(text("UPDATE reminder SET quiet = ''"))
    await town.database.run(text("UPDATE firing SET act_at = now()"))
    await fire(town)
    assert len(await bodies(town)) == 1


async def test_one_that_is_paused_while_it_waits_is_not_said(town):
    short = await set_one(town, "remind me every hour to stretch")
    now = (await town.database.run(text("SELECT clock_timestamp() AS now"))).one().now
    hours = f"{now - timedelta(hours=1):%H:%M}-{now + timedelta(hours=2):%H:%M}"
    await town.say(f"reminders edit {short} quiet {hours}")
    await due_now(town)
    await fire(town)
    await town.say(f"reminders pause {short}")
    await town.database.run(text("UPDATE reminder SET quiet = ''"))
    await town.database.run(text("UPDATE firing SET act_at = now()"))
    await fire(town)
    assert await bodies(town) == []
    assert await firings(town) == [("skipped", "paused")]


class Slow(Due):
    """Something is done about a reminder while a surface is asked who is in its channel."""

    def __init__(self, town, act: str) -> None:
        super().__init__(town.database, town.inbox)
        self.town, self.act = town, act

    async def check(self, row) -> bool:
        await self.town.say(f"reminders {self.act} {row.short}")
        return True


@pytest.mark.parametrize("act", ["pause", "delete"])
async def test_one_that_is_stopped_while_a_surface_is_asked_is_not_said(town, act):
    await set_one(town, "remind channel every hour to stretch", channel="c")
    await due_now(town)
    leader = Leader(name="schedules", owner="a", seconds=LEASE_SECONDS)
    await Clock(town.database.begin, leader, new_id=new_id).tick()
    await Firings(town.database, Slow(town, act)).once()
    assert await bodies(town) == []
    left = [("skipped", "paused")] if act == "pause" else []
    assert await firings(town) == left


async def test_what_comes_again_in_quiet_hours_is_said_once_when_they_are_over(town):
    short = await set_one(town, "remind me every hour to stretch")
    now = (await town.database.run(text("SELECT clock_timestamp() AS now"))).one().now
    hours = f"{now - timedelta(hours=1):%H:%M}-{now + timedelta(hours=2):%H:%M}"
    await town.say(f"reminders edit {short} quiet {hours}")
    for _ in range(3):
        await due_now(town)
        await fire(town)
    assert await firings(town) == [("skipped", "quiet"), ("skipped", "quiet"), ("due", "quiet")]
    await town.database.run(text("UPDATE reminder SET quiet = ''"))
    await town.database.run(text("UPDATE firing SET act_at = now()"))
    await fire(town)
    (post,) = await bodies(town)
    assert post.endswith("It comes late: 2 before it were missed.")


async def test_when_quiet_hours_end_as_it_is_due_again_it_is_said_once(town):
    short = await set_one(town, "remind me every hour to stretch")
    now = (await town.database.run(text("SELECT clock_timestamp() AS now"))).one().now
    hours = f"{now - timedelta(hours=1):%H:%M}-{now + timedelta(hours=2):%H:%M}"
    await town.say(f"reminders edit {short} quiet {hours}")
    await due_now(town)
    await fire(town)
    await town.database.run(text("UPDATE reminder SET quiet = ''"))
    await town.database.run(text("UPDATE firing SET act_at = now()"))
    await due_now(town)
    # It is due again, which nobody has written down yet.
    assert await Firings(town.database, Due(town.database, town.inbox)).once() == 1
    assert await bodies(town) == []
    await town.database.run(text("UPDATE firing SET act_at = now()"))
    await fire(town)
    (post,) = await bodies(town)
    assert "It comes late" not in post
    assert await firings(town) == [("skipped", "quiet"), ("done", "")]
    await town.database.run(text("UPDATE firing SET act_at = now() WHERE state = 'due'"))
    await fire(town)
    assert len(await bodies(town)) == 1


async def test_one_that_waited_for_quiet_hours_gives_way_to_what_is_due_with_it(town):
    short = await set_one(town, "remind me every hour what is open?", act="answer")
    now = (await town.database.run(text("SELECT clock_timestamp() AS now"))).one().now
    hours = f"{now - timedelta(hours=1):%H:%M}-{now + timedelta(hours=2):%H:%M}"
    await town.say(f"reminders edit {short} quiet {hours}")
    await due_now(town)
    await fire(town)
    await town.database.run(text("UPDATE reminder SET quiet = ''"))
    # The one that waited comes first in line.
    await town.database.run(text("UPDATE firing SET act_at = now() - interval '1 hour'"))
    await ask_now(town)
    assert await town.value("SELECT count(*) FROM prompt") == 1
    assert await firings(town) == [("skipped", "quiet"), ("due", "")]


async def two_due(town, spoil: str) -> None:
    """One that can't be said, and behind it one that can."""
    await set_one(town, "remind me in 20 minutes to stretch")
    await due_now(town)
    leader = Leader(name="schedules", owner="a", seconds=LEASE_SECONDS)
    await Clock(town.database.begin, leader, new_id=new_id).tick()
    await town.database.run(text(spoil))
    await set_one(town, "remind me in 20 minutes to check the build")
    await due_now(town)


async def try_to_the_end(town) -> None:
    for _attempt in range(ATTEMPTS_MAX):
        await town.database.run(text("UPDATE firing SET act_at = now()"))
        await fire(town)


async def test_one_that_can_t_be_said_is_put_off_and_the_others_are_said(town):
    await two_due(town, UNSAYABLE)
    await fire(town)
    assert (await bodies(town))[-1].startswith("check the build")
    assert await firings(town) == [("due", ""), ("done", "")]
    put_off = "SELECT attempts, act_at > fired_at FROM firing WHERE state = 'due'"
    assert await town.rows(put_off) == [(1, True)]


def test_the_pause_before_it_is_tried_again_grows_to_a_most():
    assert [pause(attempts) for attempts in range(5)] == [5, 10, 20, 30, 30]


async def test_one_that_can_t_be_said_however_often_fails_and_that_is_told(town):
    await two_due(town, UNSAYABLE)
    await try_to_the_end(town)
    assert await firings(town) == [("failed", "attempts"), ("done", "")]
    assert (await bodies(town))[-1] == (
        "The reminder “stretch” was not said: it could not be posted, however often I tried."
    )


async def test_one_of_which_nothing_can_be_told_is_not_tried_for_ever(town):
    await two_due(town, "UPDATE reminder SET language = 'tlh'")
    await try_to_the_end(town)
    assert await firings(town) == [("failed", "attempts"), ("done", "")]


@pytest.mark.parametrize(
    "targets", ['{"thread": 1}', '"x"', '["x"]', '[{"thread": 1}]', '[{"thread": "x"}]', "[{}]"]
)
async def test_one_whose_places_can_t_be_read_pauses_and_tells_where_it_was_set(town, targets):
    await two_due(town, f"UPDATE reminder SET targets = '{targets}'")
    await fire(town)
    said = await bodies(town)
    assert any(one.startswith("check the build") for one in said)
    short = await town.value("SELECT short FROM reminder WHERE what = 'stretch'")
    assert (
        "The reminder “stretch” is paused: where it is posted can't be read any more."
        f" Set it anew; `reminders delete {short}` deletes this one."
    ) in said
    assert await firings(town) == [("failed", "targets"), ("done", "")]
    assert "is gone" in (await town.say(f"reminders delete {short}")).text


async def pausing(town, short: str, why: str) -> None:
    """It is paused, and told once."""
    assert await bodies(town) == [
        f"The reminder “stretch” is paused: {why}."
        f" Say its time anew: `reminders edit {short} every friday 16:00`."
    ]
    assert await town.value("SELECT state FROM schedule") == "paused"
    await fire(town)
    assert len(await bodies(town)) == 1
    refused = await town.say(f"reminders resume {short}")
    assert refused.verdict == "refused"
    assert f"reminders edit {short} tomorrow 9" in refused.text


async def test_one_whose_zone_is_gone_pauses_and_says_what_to_do(town):
    short = await set_one(town, "remind me every day at 9 to stretch")
    await town.rows("UPDATE schedule SET zone = 'Mars/Phobos' RETURNING id")
    await due_now(town)
    await fire(town)
    await pausing(town, short, "there is no time zone Mars/Phobos any more")
    assert await firings(town) == [("failed", "zone")]
    saved = await town.say(f"reminders edit {short} every friday 16:00")
    assert saved.text.startswith(f"Saved as {short}; it is due next at ")
    assert await town.rows("SELECT state, zone FROM schedule") == [("active", "UTC")]


async def test_one_whose_time_can_t_be_read_pauses_and_says_what_to_do(town):
    short = await set_one(town, "remind me every day at 9 to stretch")
    await due_now(town)
    await town.rows("UPDATE schedule SET rule = '{}' RETURNING id")
    await fire(town)
    await pausing(town, short, "when it is due can't be read any more")


async def test_one_whose_zone_goes_while_it_waits_pauses_and_says_so(town):
    short = await set_one(town, "remind me every day at 9 to stretch")
    await due_now(town)
    leader = Leader(name="schedules", owner="a", seconds=LEASE_SECONDS)
    await Clock(town.database.begin, leader, new_id=new_id).tick()
    await town.rows("UPDATE schedule SET zone = 'Mars/Phobos' RETURNING id")
    await fire(town)
    await pausing(town, short, "there is no time zone Mars/Phobos any more")


async def test_one_that_was_mended_before_it_is_told_is_said(town):
    short = await set_one(town, "remind me every day at 9 to stretch")
    await town.rows("UPDATE schedule SET zone = 'Mars/Phobos' RETURNING id")
    await due_now(town)
    leader = Leader(name="schedules", owner="a", seconds=LEASE_SECONDS)
    await Clock(town.database.begin, leader, new_id=new_id).tick()
    await town.say(f"reminders edit {short} every friday 16:00")
    await fire(town)
    (post,) = await bodies(town)
    assert post.startswith("stretch\n\nA reminder of Ann: every friday 16:00 (UTC).")


async def test_those_that_are_over_take_nobody_s_place(town, monkeypatch):
    monkeypatch.setattr(reminder_rows, "PER_PERSON_MAX", 1)
    await set_one(town, "remind me in 20 minutes to stretch")
    full = await town.say("remind me tomorrow 9 to call Bob")
    assert (full.verdict, "no more fit" in full.text) == ("refused", True)
    await due_now(town)
    await fire(town)
    await set_one(town, "remind me tomorrow 9 to call Bob")


LEFT = """
    SELECT (SELECT count(*) FROM reminder) AS reminders, (SELECT count(*) FROM schedule) AS due,
           (SELECT count(*) FROM firing) AS fired
"""


async def long_after(town) -> None:
    """All that is there is older than anything is kept that is over; forget it."""
    days = {"days": forgetting.KEPT_DAYS + 1}
    await town.rows(
        "UPDATE schedule SET created_at = created_at - make_interval(days => :days) RETURNING id",
        **days,
    )
    await town.rows(
        "UPDATE firing SET ended_at = ended_at - make_interval(days => :days) RETURNING id", **days
    )
    async with town.database.begin() as tx:
        await forgetting.forget(tx)


async def test_those_that_are_over_are_forgotten_after_a_while_and_no_others(town):
    short = await set_one(town, "remind me in 20 minutes to stretch")
    await due_now(town)
    await fire(town)
    await set_one(town, "remind me every day at 9 to call Bob")
    async with town.database.begin() as tx:
        await forgetting.forget(tx)
    assert await town.rows(LEFT) == [(2, 2, 1)]
    # Its buttons work meanwhile, and what it was put off to comes before it is forgotten.
    await town.say(f"reminders snooze {short} in 10 minutes")
    await long_after(town)
    assert await town.rows(LEFT) == [(3, 3, 0)]
    await due_now(town)
    await fire(town)
    await long_after(town)
    await long_after(town)
    assert await town.rows("SELECT what FROM reminder") == [("call Bob",)]


async def test_one_that_is_deleted_takes_along_what_it_was_put_off_to(town):
    short = await set_one(town, "remind me every day at 9 to stretch")
    await town.say(f"reminders snooze {short} in 10 minutes")
    again = await town.value("SELECT short FROM reminder WHERE snoozed_id IS NOT NULL")
    await town.say(f"reminders snooze {again} in 20 minutes")
    assert await town.rows(LEFT) == [(3, 3, 0)]
    await town.say(f"reminders delete {short}")
    assert await town.rows(LEFT) == [(0, 0, 0)]


async def test_a_schedule_that_is_nobody_s_is_removed(town):
    await set_one(town, "remind me every day at 9 to stretch")
    await town.rows("DELETE FROM reminder RETURNING id")
    async with town.database.begin() as tx:
        await forgetting.forget(tx)
    assert await town.rows(LEFT) == [(0, 0, 0)]


async def test_one_that_is_answered_becomes_a_prompt_in_a_session_of_its_own_once(town):
    await set_one(town, "remind me every day at 9 stop what is still open?", act="answer")
    await due_now(town)
    firings = [Firings(town.database, Due(town.database, town.inbox)) for _ in range(3)]
    await Clock(
        town.database.begin,
        Leader(name="schedules", owner="a", seconds=LEASE_SECONDS),
        new_id=new_id,
    ).tick()
    assert sorted(await asyncio.gather(*(one.once() for one in firings))) == [0, 0, 1]
    prompts = await town.database.run(
        text(
            "SELECT delivery.text, prompt.read_only, thread.place FROM prompt"
            " JOIN delivery ON delivery.prompt_id = prompt.id"
            " JOIN session ON session.id = prompt.session_id"
            " JOIN thread ON thread.id = prompt.thread_id"
        )
    )
    row = prompts.one()
    assert row.text.endswith("\n\nstop what is still open?")
    assert "change nothing" in row.text
    assert row.read_only
    assert row.place.startswith("reminder/")
    # Nothing is said before there is an answer.
    assert await bodies(town) == []


async def test_a_process_that_ends_before_the_prompt_is_noted_asks_it_once(town):
    await set_one(town, "remind me every day at 9 what is still open?", act="answer")
    await due_now(town)

    class Dies(Due):
        async def prompt(self, row):
            await super().prompt(row)
            raise KeyboardInterrupt

    leader = Leader(name="schedules", owner="a", seconds=LEASE_SECONDS)
    await Clock(town.database.begin, leader, new_id=new_id).tick()
    with pytest.raises(KeyboardInterrupt):
        await Firings(town.database, Dies(town.database, town.inbox)).once()
    assert (await town.database.run(text("SELECT state FROM firing"))).scalar_one() == "due"
    await town.database.run(text("UPDATE firing SET act_at = now()"))
    assert await fire(town) == 1
    assert (await town.database.run(text("SELECT count(*) FROM prompt"))).scalar_one() == 1
    await answer(town, "Two are open.")
    await fire(town)
    await fire(town)
    assert ["Two are open." in one for one in await bodies(town)] == [True]
    assert (await town.database.run(text("SELECT state FROM firing"))).scalar_one() == "done"


async def test_one_that_can_t_be_answered_is_said(town):
    await set_one(town, "remind me every day at 9 what is still open?", act="answer")
    await town.database.run(text("UPDATE project SET removed_at = now()"))
    await due_now(town)
    await fire(town)
    assert "There is no answer to the reminder" in (await bodies(town))[-1]
    assert (await town.database.run(text("SELECT state FROM firing"))).scalar_one() == "failed"


async def test_one_that_nobody_confirms_is_forgotten(town):
    await town.say("remind me tomorrow 9 to call Bob")
    await town.database.run(text("UPDATE schedule SET created_at = now() - interval '25 hours'"))
    async with town.database.begin() as tx:
        await reminder_rows.expire(tx)
    assert (await town.database.run(text("SELECT count(*) FROM reminder"))).scalar_one() == 0


async def test_an_answer_is_one_post_that_says_who_asked_what(town):
    short = await set_one(town, "remind me every day at 9 what is still open?", act="answer")
    await ask_now(town)
    await answer(town, "Two are open:\n\n- one\n- two")
    assert await fire(town) == 1
    (post,) = await bodies(town)
    assert "- two" in post
    assert "Asked by Ann: what is still open? (every day at 9, UTC)." in post
    assert f"`reminders stop {short}`" in post
    assert await firings(town) == [("done", "")]


@pytest.mark.parametrize(
    ("said", "state", "told"),
    [
        ("", TurnState.SUCCEEDED, "its agent said nothing"),
        ("half of it", TurnState.FAILED, "the model is away"),
        ("", TurnState.TIMED_OUT, "the model is away"),
    ],
)
async def test_an_answer_that_does_not_come_is_said(town, said, state, told):
    await set_one(town, "remind me every day at 9 what is still open?", act="answer")
    await ask_now(town)
    await answer(town, said, state, "the model is away")
    await fire(town)
    (post,) = await bodies(town)
    assert post.startswith("There is no answer to the reminder “what is still open?”")
    assert told in post
    assert (await firings(town))[0][0] == "failed"


async def test_an_answer_that_nobody_wants_any_more_is_said(town):
    await set_one(town, "remind me every day at 9 what is still open?", act="answer")
    await ask_now(town)
    await town.rows("UPDATE prompt SET state = 'cancelled' RETURNING id")
    await fire(town)
    assert "somebody took it out of the queue" in (await bodies(town))[-1]


async def test_nobody_waits_for_an_answer_for_ever(town):
    await set_one(town, "remind me every day at 9 what is still open?", act="answer")
    await ask_now(town)
    hours = ANSWER_HOURS_MAX + 1
    await town.rows(
        "UPDATE firing SET fired_at = now() - make_interval(hours => :hours) RETURNING id",
        hours=int(hours),
    )
    await fire(town)
    assert "longer than a day" in (await bodies(town))[-1]
    assert await firings(town) == [("failed", "slow")]


async def test_what_its_agent_asks_is_said_once_and_the_answer_still_comes(town):
    await set_one(town, "remind me every day at 9 what is still open?", act="answer")
    await ask_now(town)
    queue = town.queue("w")
    lease = await queue.claim()
    turn = await queue.begin_turn(lease, None)
    async with town.database.begin() as tx:
        await questions.put(tx, lease, turn.id, Question(key="q", text="Which one?"), seconds=60)
    await fire(town)
    await fire(town)
    (post,) = await bodies(town)
    assert "its agent asks: Which one?" in post
    session = await town.value("SELECT short FROM session WHERE id = :id", id=lease.session_id)
    assert f"`join {session}`" in post
    assert (await firings(town))[0][0] == "due"


async def test_only_if_something_changed_the_same_answer_is_not_posted(town):
    told = await town.say("remind me every day at 9 what is open?, only if something changed")
    short = short_of(told.text)
    assert "only if something changed" in told.text
    words = await town.say(f"reminders yes {short}")
    assert "nothing can have changed" in words.text
    await town.say(f"reminders answer {short}")
    await ask_now(town)
    first = await answer(town, "NOTHING_CHANGED is what I would say, but two are open.")
    assert "NOTHING_CHANGED" not in first.text
    assert first.quoted == ()
    await fire(town)
    assert len(await bodies(town)) == 1
    await ask_now(town)
    second = await answer(town, "`NOTHING_CHANGED`")
    assert "NOTHING_CHANGED" in second.text
    assert [one.text for one in second.quoted] == [
        "NOTHING_CHANGED is what I would say, but two are open."
    ]
    await fire(town)
    assert len(await bodies(town)) == 1
    await ask_now(town)
    third = await answer(town, "Three are open.")
    assert third.quoted == second.quoted
    await fire(town)
    assert "Three are open." in (await bodies(town))[-1]
    assert await firings(town) == [("done", ""), ("skipped", "unchanged"), ("done", "")]


async def test_whether_it_is_posted_each_time_is_changed_later(town):
    short = await set_one(town, "remind me every day at 9 what is open?", act="answer")
    assert "stays the same" in (await town.say(f"reminders edit {short} changed on")).text
    assert "only if something changed" in (await town.say(f"reminders show {short}")).text
    assert "each time" in (await town.say(f"reminders edit {short} changed off")).text
    assert "only if" not in (await town.say(f"reminders show {short}")).text
    words = await set_one(town, "remind me every day at 9 stretch")
    refused = await town.say(f"reminders edit {words} changed on")
    assert (refused.verdict, "nothing can have changed" in refused.text) == ("refused", True)


async def test_one_that_is_put_off_without_a_time_says_how(town):
    short = await set_one(town, "remind me every day at 9 to stretch")
    assert "Say when" in (await town.say(f"reminders snooze {short}")).text
    assert await town.value("SELECT count(*) FROM reminder") == 1


async def test_everybody_of_a_list_is_told_in_one_post_of_the_thread(town):
    for name in ("Ann", "Bo"):
        await town.rows(
            "INSERT INTO identity (id, person_id, surface, external_id, name)"
            " VALUES (gen_random_uuid(), :person, 'terminal', :name, :name) RETURNING id",
            person=town.people[name],
            name=name,
        )
    await set_one(town, "remind me, @bo and here tomorrow 9 stand-up", asker="Ann")
    await due_now(town)
    await fire(town)
    assert await town.rows("SELECT notify FROM reply") == [("Ann,Bo",)]


async def test_a_list_has_an_end(town):
    names = ", ".join(f"@p{number}" for number in range(TARGETS_MAX + 1))
    refused = await town.say(f"remind {names} tomorrow 9 stand-up")
    assert (refused.verdict, f"at most {TARGETS_MAX}" in refused.text) == ("refused", True)


async def test_one_whose_threads_are_gone_pauses(town):
    await set_one(town, "remind me every day at 9 stretch")
    await town.rows("DELETE FROM thread RETURNING id")
    await due_now(town)
    await fire(town)
    assert await firings(town) == [("failed", "thread")]
    assert await town.rows("SELECT state, why FROM schedule") == [("paused", "thread")]


async def test_a_private_session_is_reminded_in_private(town):
    await town.say("private: what is up?", place="p")
    private = await town.value("SELECT place FROM thread WHERE place LIKE 'p~%'")
    await set_one(town, "remind me every day at 9 what is open?", act="answer", place=private)
    await ask_now(town)
    rows = await town.rows(
        "SELECT private_to, priority FROM session JOIN thread ON thread.session_id = session.id"
        " WHERE thread.surface = 'clock'"
    )
    assert rows == [(town.people["Ann"], 1)]


async def test_what_is_reminded_of_where_few_read_is_narrow_too(town):
    await town.say("what is up?", place="p", narrow=True)
    await set_one(town, "remind me every day at 9 what is open?", act="answer", place="p")
    await ask_now(town)
    assert await town.rows("SELECT narrow FROM session") == [(True,), (True,)]
