"""Channels that automations watch: what is said there, and which channel a name means."""

import json
from dataclasses import replace

import pytest
from sqlalchemy import text

from bot.conversation.automation_channels import AutomationChannels
from tests.fakes.chat import FakeChat
from tests.integration.automate.happenings import NOTICES, taking, trigger
from tests.integration.automate.rig import automation
from tests.integration.chat.conftest import SPOT

STEPS = [{"prompt": "look at it"}]
EVENTS = "SELECT facts ->> 'text' FROM trigger_event ORDER BY created_at, id"


async def watched(town, *, match: str = "fake:T/C", **options) -> None:
    said = {"message": {"channel": match, **options}}
    await trigger(town, await automation(town, steps=STEPS), "message", options=said, match=match)


async def overhear(room, words: str, number: int, **more):
    """Somebody says something to the channel, not to us."""
    spot = replace(SPOT, place=f"T/C/m{number}")
    more = {"spot": spot, "ref": f"m{number}", "key": f"T/C/m{number}", **more}
    return await room.say(words, to_us=False, **more)


async def test_what_is_said_in_a_watched_channel_begins_a_run_as_material_only(town, room) -> None:
    await watched(town, contains=["down"])
    message = await overhear(room, "prod is DOWN", 1)
    await room.chats.hear(message)
    await overhear(room, "all is well", 2)
    assert await town.rows(EVENTS) == [("prod is DOWN",)]
    assert await town.value("SELECT count(*) FROM prompt") == 0
    assert await town.value("SELECT count(*) FROM delivery") == 0
    assert room.whispers == []
    await taking(town).once()
    ((why,),) = await town.rows("SELECT trigger FROM run")
    assert (why["kind"], why["author"], why["channel"]) == ("message", "Ann", "T/C")


async def test_nobody_but_members_sets_one_off_and_nothing_that_is_for_us(town, room) -> None:
    await watched(town)
    for number, standing in enumerate(("bot", "guest", "stranger")):
        await overhear(room, "down", number, standing=standing)
    await overhear(room, "down", 4, spot=replace(SPOT, place="T/C/m4", shared=True))
    await overhear(room, "down", 5, spot=replace(SPOT, place="T/C/other"))
    await overhear(room, "down", 6, spot=replace(SPOT, place="T/D/m6", channel="T/D"))
    await room.say("!true")
    await room.say("and down", to_us=False, spot=SPOT, ref="1", key="T/C/again")
    assert await town.rows(EVENTS) == []


async def test_no_more_than_so_many_messages_an_hour_count_which_is_said_once(town, room) -> None:
    await watched(town, per_hour_max=2)
    for number in range(5):
        await overhear(room, f"down {number}", number)
    assert len(await town.rows(EVENTS)) == 2
    ((_, said),) = await town.rows(NOTICES)
    assert "per_hour_max" in said


@pytest.mark.parametrize("options", [{"matches": "(", "channel": "fake:T/C"}, {"future": 1}, {}, 7])
async def test_a_trigger_that_can_t_be_read_keeps_no_other_from_hearing(
    town, room, options
) -> None:
    bad = await automation(town, steps=STEPS, name="bad")
    await trigger(town, bad, "message", options={"message": options}, match="fake:T/C")
    await watched(town)
    await overhear(room, "down", 1)
    assert await town.rows(EVENTS) == [("down",)]


async def test_a_paused_one_hears_nothing(town, room) -> None:
    await watched(town)
    await town.rows("UPDATE automation SET state = 'paused' RETURNING id")
    await overhear(room, "down", 1)
    assert await town.rows(EVENTS) == []


class Channels(FakeChat):
    """A surface whose channels have names, each with those who are in it."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1")
        self.channels = {("ann", "alerts"): "T/C"}

    async def channel_of(self, near, person, name, deadline):
        return self.channels.get((person, name))


@pytest.mark.parametrize(("name", "match"), [("alerts", "fake:T/C"), ("secret", "fake:#secret")])
async def test_a_name_means_a_channel_in_which_its_approver_is(town, room, name, match) -> None:
    await watched(town, match=f"fake:#{name}")
    await town.database.run(
        text(
            "INSERT INTO identity (id, person_id, surface, external_id, name)"
            " VALUES (gen_random_uuid(), :ann, 'fake:T', 'ann', 'Ann')"
        ),
        {"ann": town.people["Ann"]},
    )
    port = Channels()
    channels = AutomationChannels(town.database, {"fake": port})
    found = [await channels.look() for _look in range(2)]
    await port.close()
    assert found == ([1, 0] if name == "alerts" else [0, 0])
    assert await town.value("SELECT match FROM automation_trigger") == match
    await overhear(room, "down", 1)
    assert len(await town.rows(EVENTS)) == (name == "alerts")
    notices = await town.rows("SELECT said -> 'values' FROM automation_notice")
    if name == "alerts":
        assert notices == []
    else:
        assert json.dumps(notices[0][0]).count("fake:#secret") == 1
