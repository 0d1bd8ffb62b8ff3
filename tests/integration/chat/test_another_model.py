"""A provider of models fails: the thread is told, and goes on with another one by a button.

The gateway, the agent's program and the surfaces' SDKs are real; what fails is a server that
answers as providers do.
"""

import pytest

from bot.govern.agents import Agents
from bot.govern.offers import Offer
from tests.integration.chat import discord_rig, slack_rig
from tests.integration.chat.providers import OVERLOADED, answering, open_providers, says
from tests.support.shift import Shift, until

AGENTS = Agents(names=("one", "two", "shell"), default="shell")
TWO = Offer(provider="beta", agent="two")
LARGE = Offer(provider="alpha", agent="one", model="large")
BUTTON = "Continue with another model"
TURNS = "SELECT state FROM turn ORDER BY started_at"
CHARGES = "SELECT provider, model, fault FROM charge ORDER BY created_at"
RUN_BY = "SELECT body ->> 'agent' FROM turn_event WHERE kind = 'turn.started' ORDER BY number"
RAW = ("529", "API Error", "Internal error", "overloaded_error", "Traceback")


async def test_a_turn_goes_on_with_another_provider_once_however_often_the_button_is_pressed(
    town, places, tmp_path
):
    failing = {"alpha": answering("529 Overloaded", OVERLOADED), "beta": says("beta is here")}
    places.door.clear()
    async with (
        slack_rig.open_office(town) as office,
        open_providers(town, tmp_path, **failing) as providers,
    ):
        office.agents = AGENTS
        shift = Shift(town, places, "w", agents=providers.agents, offers=[TWO])
        async with office.serving(), shift:
            asked = office.asks("agent=one say I look.\nmodel")
            await office.heard()
            await providers.know()
            places.door.set()
            failed = await office.answered(asked, "alpha is overloaded", "what was done is kept")
            assert "`agent=two retry` goes on with two" in failed.text
            assert not [word for word in RAW if word in failed.text]
            office.bo.clicks(failed, BUTTON)
            await office.answered(asked, "beta is here", "Done")
            office.ann.clicks(failed, BUTTON)
            await office.slack.until(
                lambda: any(
                    one.only_for is office.ann and "asked again already" in one.text
                    for one in office.general.messages
                )
            )
            said = await office.answered(asked, "The prompt once more, with two.")
            assert said.thread_ts == asked.ts
            office.ann.says(office.general, f"{office.bot.user.mention} say and on", thread=asked)
            await office.answered(asked, "and on", "Done")
    assert [row[0] for row in await town.rows(TURNS)] == ["failed", "succeeded", "succeeded"]
    assert await town.rows(CHARGES) == [
        ("alpha", "one-default", "overloaded"),
        ("beta", "two-default", None),
    ]
    assert [row[0] for row in await town.rows(RUN_BY)] == ["one", "two", "two"]
    assert await town.rows("SELECT agent, model FROM session") == [("two", None)]
    outcome = await town.value("SELECT outcome FROM turn WHERE state = 'failed'")
    assert "529" in outcome["reported"]
    (kept,) = (tmp_path / "two").glob("conversation-*")
    read = kept.read_text()
    # What the other agent was asked and answered is told once: from then on it is known.
    assert read.count(">     I look.") == 1
    assert "> one, " in read


async def test_of_several_models_one_is_chosen_in_the_thread(town, places, tmp_path):
    failing = {"alpha": answering("500 Oops", {}), "beta": says("beta is here")}
    places.door.clear()
    async with (
        discord_rig.open_office(town) as office,
        open_providers(town, tmp_path, **failing) as providers,
    ):
        office.agents = AGENTS
        shift = Shift(town, places, "w", agents=providers.agents, offers=[LARGE, TWO])
        async with office.serving(), shift:
            await office.ready()
            asked = office.asks("agent=one model")
            await until(town, "SELECT 1 FROM session", bool)
            await providers.know()
            places.door.set()
            failed = await office.answered(asked, "alpha failed to answer")
            office.bo.clicks(failed, BUTTON)
            which = await office.answered(asked, "With which model?")
            labels = [each["label"] for row in which.components for each in row["components"]]
            assert labels == ["two", "large (one)"]
            office.bo.clicks(which, "large (one)")
            await until(town, TURNS, lambda rows: [one[0] for one in rows] == ["failed"] * 2)
            await office.fake.until(lambda: "The prompt once more, with large" in which.text)
            assert which.components == []
    assert await town.rows("SELECT agent, model FROM session") == [("one", "large")]
    assert await town.rows(CHARGES) == [
        ("alpha", "one-default", "broken"),
        ("alpha", "large", "broken"),
    ]


async def test_without_another_model_there_is_only_a_retry(town, places, tmp_path):
    failing = {"alpha": answering("529 Overloaded", OVERLOADED), "beta": says("beta is here")}
    places.door.clear()
    async with (
        slack_rig.open_office(town) as office,
        open_providers(town, tmp_path, **failing) as providers,
    ):
        office.agents = AGENTS
        async with office.serving(), Shift(town, places, "w", agents=providers.agents):
            asked = office.asks("agent=one model")
            await office.heard()
            await providers.know()
            places.door.set()
            failed = await office.answered(asked, "alpha is overloaded", "`retry` asks it again")
            assert "goes on" not in failed.text
            with pytest.raises(Exception, match="no button"):
                office.bo.clicks(failed, BUTTON)
            office.bo.clicks(failed, "Retry")
            await until(town, TURNS, lambda rows: [one[0] for one in rows] == ["failed"] * 2)


async def test_a_failure_of_the_agent_itself_offers_no_other_model(town, places, tmp_path):
    working = {"alpha": says("alpha is here"), "beta": says("beta is here")}
    places.door.clear()
    async with (
        slack_rig.open_office(town) as office,
        open_providers(town, tmp_path, **working) as providers,
    ):
        office.agents = AGENTS
        shift = Shift(town, places, "w", agents=providers.agents, offers=[TWO])
        async with office.serving(), shift:
            asked = office.asks("agent=one model\nerror the disk is full")
            await office.heard()
            await providers.know()
            places.door.set()
            failed = await office.answered(asked, "the disk is full")
            with pytest.raises(Exception, match="no button"):
                office.bo.clicks(failed, BUTTON)
