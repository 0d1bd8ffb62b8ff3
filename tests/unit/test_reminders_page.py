"""The examples of docs/reminders.md are what the code does."""

import re
from pathlib import Path

import pytest

from bot.automate.reminders.answering import ANSWER_LENGTH_MAX
from bot.automate.reminders.firings import ANSWER_HOURS_MAX, ATTEMPTS_MAX, RETRY_SECONDS
from bot.automate.reminders.reminder_rows import PER_PERSON_MAX, WHAT_LENGTH_MAX
from bot.conversation import commands
from bot.conversation.agent_reminders import DAYS_MAX, SESSION_MAX
from bot.conversation.reminder_commands import Remind, Reminders
from bot.conversation.reminding import TARGETS_MAX
from tests.unit.scheduler.reading import told

PAGE = (Path(__file__).parents[2] / "docs" / "reminders.md").read_text()
BLOCKS = "".join(re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)).splitlines()
ROWS = re.findall(r"^\| `([^`]+)` \| ((?:\?|cron|every|\d{4}-).*?) \|$", PAGE, re.MULTILINE)
NAMED = [said for said in re.findall(r"`(reminders [^`]+)`", PAGE) if "r-" in said]


def test_the_page_has_its_examples():
    assert len(BLOCKS) >= 12
    assert len(ROWS) >= 20
    assert len(NAMED) >= 7


@pytest.mark.parametrize(("said", "understood"), ROWS)
def test_a_time_is_understood_as_the_page_says(said, understood):
    assert told(said, now="2026-11-25 10:20", zone="Europe/Berlin") == understood


@pytest.mark.parametrize("said", [*BLOCKS, *NAMED])
def test_a_command_of_the_page_is_one(said):
    parsed = commands.parse(said)
    assert isinstance(parsed, Remind | Reminders)


def test_the_limits_of_the_page_hold():
    assert f"at most {PER_PERSON_MAX} reminders" in PAGE
    assert f"at most {WHAT_LENGTH_MAX:,} characters" in PAGE
    assert f"at most {TARGETS_MAX} people and channels" in PAGE
    assert f"within {DAYS_MAX} days, agents of one session have at most {SESSION_MAX}" in PAGE
    assert f"After {ANSWER_HOURS_MAX:g} hours nobody waits" in PAGE
    assert f"as far as {ANSWER_LENGTH_MAX:,} characters" in PAGE
    assert round(ATTEMPTS_MAX * RETRY_SECONDS / 60) == 10
    assert "for about ten minutes" in PAGE
