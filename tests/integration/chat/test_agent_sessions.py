"""Slack's own agent sessions: what a thread shows while we work in it, and what people press."""

import asyncio
from dataclasses import replace

import pytest

from adapters.chat.slack.port import SlackChat
from bot.work import deleting
from bot.work.control import Actor
from tests.fakes.slack import Bad
from tests.integration.chat.slack_rig import Office, open_office
from tests.integration.chat.test_titles import give, titled, until_called
from tests.support.shift import Shift, until

SET, RENAME = "agents.sessions.setStatus", "agents.sessions.rename"


@pytest.fixture
async def office(town):
    async with open_office(town) as office:
        yield office


def session(office: Office, asked):
    return office.slack.sessions.get((office.general.id, asked.ts))


async def shown(office: Office, asked, *statuses: str) -> None:
    """Wait until the thread's session has had these statuses, the last one is what it shows."""

    def reached() -> bool:
        found = session(office, asked)
        return found is not None and tuple(found.statuses) == statuses

    await office.slack.until(reached)


def calls(office: Office, method: str) -> int:
    return sum(name == method for name, _ in office.slack.web.requests)


async def test_a_thread_shows_that_we_work_and_that_we_rest(office, places):
    async with office.serving(), Shift(office.town, places, "w"):
        asked = office.asks("sleep 3; echo **slept**")
        await shown(office, asked, "processing")
        assert session(office, asked).title == "sleep 3; echo slept"
        await office.answered(asked, "slept", "Done")
        await shown(office, asked, "processing", "active")
    assert office.slack.limits.refused == {}


async def test_slacks_own_stop_button_stops_the_turn_and_the_thread_rests(office, places):
    async with office.serving(), Shift(office.town, places, "w"):
        asked = office.asks("!echo begun; sleep 60")
        await shown(office, asked, "processing")
        office.bo.stops(office.general, asked)
        await office.answered(asked, "Stopped")
        await shown(office, asked, "processing", "active")


async def test_a_stop_button_that_slack_still_shows_goes_when_it_is_pressed(office, places):
    async with office.serving(), Shift(office.town, places, "w"):
        asked = office.asks("!sleep 3")
        await office.answered(asked, "Done")
        await shown(office, asked, "processing", "active")
        session(office, asked).given = "processing"
        office.bo.stops(office.general, asked)
        await shown(office, asked, "processing", "active", "active")


async def test_that_we_work_is_said_again_before_slack_takes_it_back(office, places, monkeypatch):
    monkeypatch.setattr(SlackChat, "limits", replace(SlackChat.limits, working_seconds=0.5))
    async with office.serving(), Shift(office.town, places, "w"):
        asked = office.asks("!sleep 60")
        await shown(office, asked, "processing", "processing", "processing")
        office.asks("stop", thread=asked)
        await office.answered(asked, "Stopped")
        await office.slack.until(lambda: session(office, asked).statuses[-1] == "active")
        known = len(session(office, asked).statuses)
        await asyncio.sleep(1.2)
        assert len(session(office, asked).statuses) == known


async def test_when_all_of_us_is_killed_slack_takes_it_back_by_itself(office, places):
    async with Shift(office.town, places, "w"):
        async with office.serving():
            asked = office.asks("!sleep 3")
            await shown(office, asked, "processing")
        assert session(office, asked).status == "processing"
        now = office.slack.limits.clock
        office.slack.limits.clock = session(office, asked).clock = lambda: now() + 3_601
        assert session(office, asked).status == "active"
        async with office.serving():
            await office.answered(asked, "Done")
            await office.slack.until(lambda: session(office, asked).statuses[-1] == "active")


@pytest.mark.parametrize("without", ["feature", "agent", "scope"])
async def test_where_there_are_none_it_is_asked_once_and_all_else_works(office, places, without):
    if without == "feature":
        office.team.has_agent_sessions = False
    elif without == "agent":
        office.slack.app.is_agent = False
    else:
        for _ in range(3):
            office.slack.behave(SET, Bad(refused="missing_scope"))
    async with office.serving(), Shift(office.town, places, "w"):
        for said in ("one", "two"):
            asked = office.asks(f"!echo {said}; sleep 3")
            await office.answered(asked, said, "Done")
        await phases_sent(office)
    assert calls(office, SET) == 1
    assert calls(office, RENAME) == 0
    assert await office.town.value("SELECT count(*) FROM reply WHERE state = 'failed'") == 0


async def phases_sent(office: Office) -> None:
    """Wait until nothing of what is to be shown is left."""
    async with asyncio.timeout(20):
        while await office.town.value(
            "SELECT count(*) FROM reply WHERE kind = 'phase'"
            " AND (state <> 'sent' OR body <> 'idle') OR state = 'sending'"
        ):
            await asyncio.sleep(0.05)


async def test_what_slack_does_not_take_now_is_said_later_and_once(office, places):
    office.slack.behave(SET, Bad(throttle_seconds=1))
    office.slack.behave(SET, Bad(status=503))
    async with office.serving(), Shift(office.town, places, "w"):
        asked = office.asks("!sleep 60")
        await shown(office, asked, "processing")
        office.asks("stop", thread=asked)
        await office.answered(asked, "Stopped")
        await shown(office, asked, "processing", "active")


async def deleted(office: Office) -> None:
    """Delete the one session that there is."""
    town = office.town
    async with town.database.begin() as tx:
        session_id = await town.value("SELECT id FROM session WHERE state <> 'deleting'")
        await deleting.delete(tx, session_id, Actor(id=town.people["Bo"], name="Bo"))


STORED = "SELECT id FROM reply WHERE kind = 'phase' AND posted_ref IS NOT NULL"
"""We know ourselves that Slack shows it."""
SHOWN = "SELECT shown FROM tombstone_thread"


@pytest.mark.parametrize("trouble", [None, Bad(status=503), Bad(throttle_seconds=1)])
async def test_the_thread_of_a_deleted_session_is_closed_until_another_begins(
    office, places, trouble
):
    async with office.serving(), Shift(office.town, places, "w"):
        asked = office.asks("!sleep 60")
        await shown(office, asked, "processing")
        await until(office.town, STORED, bool)
        if trouble is not None:
            office.slack.behave(SET, trouble)
        await deleted(office)
        await shown(office, asked, "processing", "closed")
        await until(office.town, SHOWN, lambda rows: rows == [(False,)])
        office.asks("new: !sleep 3", thread=asked)
        await office.answered(asked, "Done")
        await shown(office, asked, "processing", "closed", "processing", "active")


async def test_nothing_is_closed_where_nothing_was_shown_or_slack_shows_none(office, places):
    async with office.serving():
        asked = office.asks("!true")
        await office.heard()
        await deleted(office)
        assert await office.town.rows(SHOWN) == [(False,)]
        async with Shift(office.town, places, "w"):
            other = office.asks("!sleep 60")
            await shown(office, other, "processing")
            await until(office.town, STORED, bool)
            office.slack.behave(SET, Bad(refused="is_archived"))
            await deleted(office)
            gone = "SELECT shown FROM tombstone_thread ORDER BY place"
            await until(office.town, gone, lambda rows: rows == [(False,)] * 2)
    assert session(office, asked) is None
    assert session(office, other).statuses == ["processing"]


async def test_its_title_is_ours_and_ours_is_its(office, places):
    town = office.town
    async with office.serving(), Shift(town, places, "w"):
        asked = office.asks("!sleep 60")
        await shown(office, asked, "processing")
        await give(town, "Ours")
        await office.slack.until(lambda: session(office, asked).title == "Ours")
        office.bo.renames_session(office.general, asked, "Theirs")
        await until_called(town, "Theirs")
        office.asks("stop", thread=asked)
        await office.answered(asked, "Stopped")
    assert await titled(town) == [("Ann", "Ours"), ("bo", "Theirs")]


async def test_a_deleted_session_leaves_no_buttons_and_no_eyes(office, places):
    async with office.serving(), Shift(office.town, places, "w"):
        asked = office.asks("!echo begun; sleep 60")
        live = await office.answered(asked, "begun")
        assert [one for one in live.blocks if one["type"] == "actions"]
        waiting = office.asks("!echo later", thread=asked)
        await office.slack.until(lambda: "eyes" in waiting.reactions)
        known = "SELECT id FROM reply WHERE kind = 'reaction' AND posted_ref IS NOT NULL"
        await until(office.town, known, bool)
        await deleted(office)
        await office.slack.until(lambda: "Bo deleted session s-" in live.text)
        assert not [one for one in live.blocks if one["type"] == "actions"]
        await office.slack.until(lambda: not waiting.reactions)
