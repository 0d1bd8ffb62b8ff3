"""The examples of docs/runs.md are what the code does."""

import re
import shlex
from pathlib import Path
from typing import get_args

import pytest
import typer

from bot.automate.backing_off import BACK_OFF_SECONDS, BACK_OFF_SECONDS_MAX
from bot.automate.definition import TARGETS_MAX
from bot.automate.runs.actionable import NOTHING
from bot.automate.runs.stepping import TRIES_MAX
from bot.automate.runs.tally import Status
from bot.cli.main import app
from bot.conversation import commands
from bot.conversation.run_posting import PROGRESS_SECONDS

PAGE = (Path(__file__).parents[2] / "docs" / "runs.md").read_text()
TEXT = " ".join(PAGE.split())
BLOCKS = "".join(re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)).splitlines()
SHELL = "".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)).splitlines()


def test_the_page_has_its_examples():
    assert len(BLOCKS) >= 9
    assert len(SHELL) >= 8


@pytest.mark.parametrize("said", BLOCKS)
def test_what_the_page_says_is_understood(said):
    assert isinstance(commands.parse(said), commands.Runs) or commands.aimed(said)


@pytest.mark.parametrize("line", SHELL)
def test_a_command_line_of_the_page_is_one(line):
    """Down to its options: only its words are read, nothing is run."""
    program, *words = shlex.split(line)
    assert program == "ona"
    command = typer.main.get_command(app)
    context = command.make_context("ona", [], resilient_parsing=True)
    while hasattr(command, "get_command"):
        name = words.pop(0)
        command = command.get_command(context, name)
        assert command is not None, name
    command.make_parser(context).parse_args(words)


def test_every_status_is_explained():
    rows = re.findall(r"^\| (\w+) \| \w", PAGE, re.MULTILINE)
    assert set(rows) - {"status"} == set(get_args(Status))


def test_the_limits_of_the_page_hold():
    assert f"up to {TARGETS_MAX:,}" in PAGE
    assert f"every {PROGRESS_SECONDS:g} s" in PAGE
    assert f'"{NOTHING}"' in PAGE
    assert f"again after {BACK_OFF_SECONDS:g} seconds" in TEXT
    assert f"at most {BACK_OFF_SECONDS_MAX / 60:g} minutes" in TEXT
    assert f"After {TRIES_MAX} tries" in TEXT
