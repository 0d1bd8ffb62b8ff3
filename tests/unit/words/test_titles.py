"""Titles made of prompts, and those that people give."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.words.titles import MADE_CHARACTERS_MAX, made_of, made_of_command, tidied


@pytest.mark.parametrize(
    ("prompt", "title"),
    [
        ("fix the flaky payment test", "fix the flaky payment test"),
        ("**Fix** `flaky_test` in [payments](https://x.example/a)", "Fix flaky_test in payments"),
        ("# Goal\n\n- *one*\n- two", "Goal one two"),
        ("> quoted\n\nwhy?", "quoted why?"),
        ("see https://www.forge.example/acme/web/pull/7/", "see forge.example/acme/web/pull/7"),
        ("keep snake_case and 2 * 3 * 4", "keep snake_case and 2 * 3 * 4"),
        ("why does `__init__` run?", "why does __init__ run?"),
        ("this fails\n```py\nboom()\n```\nplease fix", "this fails please fix"),
        ("```\nonly code\n```", "only code"),
        ("~~not~~ this\u202e\x1b[31m", "not this"),
        ("", ""),
        ("  \n ", ""),
    ],
)
def test_a_title_is_the_words_of_a_prompt_without_its_markup(prompt, title):
    assert made_of(prompt) == title


def test_a_long_prompt_is_cut_behind_a_word():
    title = made_of("rewrite the importer so that it reads both formats, and say what it dropped")
    assert title == "rewrite the importer so that it reads both formats, and say…"
    assert len(made_of("x" * 500)) == MADE_CHARACTERS_MAX


@given(st.text(max_size=300))
def test_whatever_is_said_a_title_is_one_short_line(prompt):
    title = made_of(prompt)
    assert len(title) <= MADE_CHARACTERS_MAX
    assert title == tidied(title)


def test_a_command_is_no_markup():
    assert made_of_command("grep -l '*x*' `ls`\n") == "grep -l '*x*' `ls`"
    assert len(made_of_command("x" * 500)) == MADE_CHARACTERS_MAX


def test_a_title_that_a_person_gave_is_one_line():
    assert tidied(" two\n lines\t\u200b ") == "two lines"


@pytest.mark.parametrize(
    "unit", ["`", "` ", " *a", " _a", "[a", "\n", "```\n", "~~~\n \n", "http://"]
)
def test_a_long_prompt_is_titled_as_soon_as_a_short_one(unit):
    """As long as a comment on a forge may be; whoever wrote it keeps nobody else waiting."""
    assert len(made_of(unit * (65_536 // len(unit)))) <= MADE_CHARACTERS_MAX
    assert made_of(f"fix it {unit * 20_000}").startswith("fix it")


def test_what_is_said_behind_a_long_block_of_code_is_the_title():
    assert made_of("```\n" + "x = 1\n" * 5_000 + "```\nmake it shorter") == "make it shorter"
