"""A reminder is stopped and put off by people who did not set it, each for what is theirs."""

import json

import pytest

from adapters.forge.port import Permission
from bot.conversation.inbox import Inbox
from bot.govern.rights import Rights
from bot.store.ids import new_id
from tests.integration.test_reminders import set_one

REPOSITORY = "https://forge.test/acme/shop.git"
BODIES = "SELECT thread.place, reply.body FROM reply JOIN thread ON thread.id = reply.thread_id"


@pytest.fixture
async def town(town, forge):
    """Ann and Bo are known on the forge of the project and in the terminal; both may write."""
    rights = Rights(town.database, {"forge": forge})
    town.inbox = Inbox(town.database, prompt_bytes_max=100_000, rights=rights)
    await town.rows("UPDATE project SET repository_url = :url RETURNING id", url=REPOSITORY)
    for name, number in (("Ann", "1"), ("Bo", "2")):
        for surface in ("forge:forge.test", "terminal"):
            await town.rows(
                "INSERT INTO identity (id, person_id, surface, external_id, name)"
                " VALUES (:id, :person, :surface, :number, :name) RETURNING id",
                id=new_id(),
                person=town.people[name],
                surface=surface,
                number=number,
                name=name,
            )
    may_write = {("acme/shop", number): Permission.WRITE for number in "12"}
    forge.levels.update(may_write)
    return town


async def notified(town) -> list[str | None]:
    rows = await town.rows(
        "SELECT target ->> 'notify' FROM reminder, jsonb_array_elements(targets) AS one (target)"
    )
    return [who for (who,) in rows]


async def test_who_is_notified_is_so_no_more_and_others_are(town):
    short = await set_one(town, "remind me and @bo every day at 9 stand-up", asker="1")
    assert await notified(town) == ["1,2"]
    stopped = await town.say(f"reminders stop {short}", by="Bo", place="elsewhere")
    assert stopped.text == f"You get the reminder {short} no more."
    assert await notified(town) == ["1"]
    told = await town.rows(f"{BODIES} WHERE reply.key LIKE 'stopped:%'")
    assert told == [("t", "Bo gets the reminder “stand-up” no more.")]


async def test_a_reminder_that_nobody_gets_any_more_is_gone(town):
    short = await set_one(town, "remind @bo every day at 9 stand-up")
    await town.say(f"reminders stop {short}", by="Bo", place="elsewhere")
    assert await town.value("SELECT count(*) FROM schedule") == 0
    ((_, said),) = await town.rows(f"{BODIES} WHERE reply.key LIKE 'stopped:%'")
    assert said.endswith("Nobody is left who gets it, so it is gone.")


async def test_who_may_write_stops_what_is_posted_where_they_read(town):
    more = {"channel": "c"}
    short = await set_one(town, "remind here and channel every day at 9 stand-up", **more)
    stopped = await town.say(f"reminders stop {short}", by="Bo", place="other", channel="c")
    assert stopped.text == f"The reminder {short} is not posted here any more."
    assert await town.value("SELECT count(*) FROM reminder") == 0


async def test_who_may_only_read_stops_nothing_that_others_get(town, forge):
    forge.levels["acme/shop", "2"] = Permission.READ
    short = await set_one(town, "remind here every day at 9 stand-up")
    refused = await town.say(f"reminders stop {short}", by="Bo")
    assert refused.verdict == "refused"
    assert "may not write to" in refused.text
    assert await town.value("SELECT count(*) FROM reminder") == 1


@pytest.mark.parametrize("words", ["remind me", "remind here", "remind channel"])
async def test_a_reminder_of_others_somewhere_else_is_nobody_s_business(town, words):
    short = await set_one(town, f"{words} every day at 9 stand-up", channel="c", asker="1")
    refused = await town.say(f"reminders stop {short}", by="Bo", place="other", channel="d")
    assert refused.text.startswith("You have no reminder")
    assert await town.value("SELECT count(*) FROM reminder") == 1


@pytest.mark.parametrize("act", ["stop", "done", "snooze"])
async def test_what_somebody_is_told_alone_is_nobody_else_s_business(town, act):
    short = await set_one(town, "remind here every day at 9 stand-up")
    alone = [{"thread": str(await town.value("SELECT thread_id FROM reminder")), "alone": "9"}]
    await town.rows(
        "UPDATE reminder SET targets = CAST(:alone AS jsonb) RETURNING id", alone=json.dumps(alone)
    )
    refused = await town.say(f"reminders {act} {short} in 10 minutes", by="Bo")
    assert refused.text.startswith("You have no reminder"), refused.text
    assert await town.value("SELECT count(*) FROM reminder") == 1


async def test_here_goes_on_for_everybody_when_one_who_was_named_stops_it(town):
    short = await set_one(town, "remind here and @bo every day at 9 stand-up")
    await town.say(f"reminders stop {short}", by="Bo")
    assert await notified(town) == [None]


async def test_its_creator_stops_it_for_all(town):
    short = await set_one(town, "remind me and @bo every day at 9 stand-up")
    assert (await town.say(f"reminders stop {short}")).text.endswith("is gone.")
    assert await town.value("SELECT count(*) FROM schedule") == 0


PUT_OFF = (
    "SELECT reminder.targets, schedule.zone, schedule.rule ->> 'kind' FROM reminder"
    " JOIN schedule ON schedule.id = schedule_id WHERE snoozed_id IS NOT NULL"
)


async def test_who_is_notified_is_done_with_it_and_puts_it_off_for_themselves(town):
    await town.rows(
        "UPDATE person SET zone = 'Asia/Kolkata' WHERE id = :bo RETURNING id", bo=town.people["Bo"]
    )
    short = await set_one(town, "remind me and @bo every day at 9 stand-up", asker="1")
    by_bo = {"by": "Bo", "place": "elsewhere"}
    assert (await town.say(f"reminders done {short}", **by_bo)).text == "Done."
    for when in ("in 10 minutes", "tomorrow 9"):
        told = await town.say(f"reminders snooze {short} {when}", **by_bo)
        assert told.text.startswith("I say it again at"), told.text
    assert told.text.endswith("09:00 IST.")
    # It was put off twice and comes once, in whose zone it was said.
    ((targets, zone, kind),) = await town.rows(PUT_OFF)
    assert [one["notify"] for one in targets] == ["2"]
    assert (zone, kind) == ("Asia/Kolkata", "once")
    assert sorted(await notified(town)) == ["1,2", "2"]


@pytest.mark.parametrize("level", [Permission.READ, Permission.WRITE])
async def test_what_is_for_everybody_is_put_off_by_who_may_write(town, forge, level):
    forge.levels["acme/shop", "2"] = level
    short = await set_one(town, "remind here every day at 9 stand-up")
    said = await town.say(f"reminders snooze {short} in 10 minutes", by="Bo")
    may = level is Permission.WRITE
    assert (said.verdict == "command") is may, said.text
    assert len(await town.rows(PUT_OFF)) == int(may)


@pytest.mark.parametrize("act", ["done", "snooze"])
async def test_nobody_puts_off_what_they_do_not_get(town, act):
    short = await set_one(town, "remind me every day at 9 stand-up", asker="1")
    said = await town.say(f"reminders {act} {short} in 10 minutes", by="Bo", place="other")
    assert said.text.startswith("You have no reminder")
    assert await town.rows(PUT_OFF) == []
