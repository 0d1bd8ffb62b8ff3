"""What docs/reminders.md shows people saying is said, and answered as the page has it."""

import re

import pytest

from bot.store.ids import new_id
from tests.integration.conftest import Town
from tests.support import examples

PAGE = (examples.DOCS / "reminders.md").read_text(encoding="utf-8")
SET = [said for said in examples.messages("reminders.md") if not said.startswith("reminders")]
NAMED = [said for said in re.findall(r"`(reminders \w+ r-[^`]+)`", PAGE) if "r-7f3k" in said]
LISTED = [said for said in examples.messages("reminders.md") if said.startswith("reminders")]
ENDS = ("no", "stop", "delete")


async def say(town: Town, words: str):
    """Said by Ann in a channel, where a surface knows Bo and a channel #payments."""
    meant = {"#payments": "terminal/C2", "#team": "terminal/C3"}
    return await town.say(words, asker="ann", channel="terminal/C1", meant=meant)


def yes(words: str) -> str:
    """What is said to save it: only an answer can have changed."""
    return "reminders answer r-7f3k" if "changed" in words else "reminders yes r-7f3k"


@pytest.fixture
async def known(town: Town) -> None:
    for name in ("bo", "anna", "ben"):
        await town.rows(
            "INSERT INTO identity (id, person_id, surface, external_id, name)"
            " VALUES (:id, :bo, 'terminal', :external, :name) RETURNING id",
            id=new_id(),
            bo=town.people["Bo"],
            external=f"terminal/{name}",
            name=name,
        )


def test_the_page_has_its_examples():
    assert len(SET) >= 8
    assert len(NAMED) + len(LISTED) >= 12


@pytest.mark.parametrize("words", SET)
async def test_an_example_is_understood_said_back_and_saved(town: Town, known, words: str) -> None:
    said = await say(town, words)
    ids = examples.Ids()
    ids.heard(said.text)
    assert said.verdict == "command", said.text
    assert "I understood" in said.text
    assert "Next:" in said.text
    saved = await say(town, ids.put(yes(words)))
    assert (saved.verdict, "due next" in saved.text) == ("command", True), saved.text
    assert await town.value("SELECT state FROM schedule") == "active"


@pytest.mark.parametrize("words", [*NAMED, *LISTED])
async def test_what_changes_a_reminder_changes_it(town: Town, known, words: str) -> None:
    ids = examples.Ids()
    ids.heard((await say(town, SET[0])).text)
    act = words.split()[1]
    if act not in {"yes", "answer", "no"}:
        await say(town, ids.put(yes(words)))
    said = await say(town, ids.put(words))
    assert said.verdict == "command", said.text
    left = await town.value("SELECT count(*) FROM reminder")
    assert left == {"snooze": 2, **dict.fromkeys(ENDS, 0)}.get(act, 1)
