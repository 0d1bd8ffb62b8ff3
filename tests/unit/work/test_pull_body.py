"""The words of a pull request."""

from dataclasses import replace

import pytest

from bot.work.pull_body import BODY_CHARACTERS_MAX, Ran, Story, body_of, ran_tests, title_of

STORY = Story(
    what="It is mended.",
    asked="mend it",
    by="Ann",
    agent="codex",
    short="s-1",
    link="https://x/s-1",
)


def test_without_a_template_each_part_has_a_heading() -> None:
    assert body_of(STORY) == (
        "## What\n\nIt is mended.\n\n"
        "## Why\n\nAnn asked:\n\n> mend it\n\n"
        "## How it was tested\n\nNo test was seen to run in this turn.\n\n"
        "---\nOpened by ona for Ann, with codex, in session [s-1](https://x/s-1).\n"
    )


def test_a_template_is_filled_where_its_headings_fit_and_keeps_the_rest() -> None:
    template = (
        "# Description\r\n<!-- what -->\r\n\r\n### Testing done\n\n## Checklist\n- [ ] docs\n"
    )
    said = body_of(STORY, template)
    assert said.startswith("## Why\n\nAnn asked:")
    assert "# Description\n\nIt is mended.\n<!-- what -->" in said
    assert "### Testing done\n\nNo test was seen" in said
    assert "## Checklist\n- [ ] docs" in said
    assert said.count("It is mended.") == 1


@pytest.mark.parametrize(
    "words",
    [
        "hello @ann",
        "/approve",
        "  /merge",
        "<!-- hidden -->x",
        "<!-- never closed",
        "![pixel](https://evil.example/p.png)",
    ],
)
def test_what_was_said_does_nothing(words: str) -> None:
    said = body_of(replace(STORY, what=words, asked=words, by=words))
    assert "@ann" not in said
    assert "<!--" not in said
    assert "![" not in said
    assert not any(line.lstrip().startswith("/") for line in said.splitlines())


def test_a_name_is_no_markup() -> None:
    assert "Ann \\[x\\](y)" in body_of(replace(STORY, by="Ann [x](y)"))


def test_the_last_run_of_each_test_command_is_told() -> None:
    ran = [
        Ran(title="`pytest -q`", status="failed"),
        Ran(title="Edit src/a.py", status="completed"),
        Ran(title="`pytest -q`", status="completed"),
        Ran(title="npm run lint", status="completed"),
        Ran(title="npm run test:unit", status="completed"),
        Ran(title="cd x && cargo test", status="completed"),
        Ran(title="Look at the tests", status="completed"),
    ]
    found = [(one.title, one.status) for one in ran_tests(ran)]
    assert found == [
        ("`pytest -q`", "completed"),
        ("npm run test:unit", "completed"),
        ("cd x && cargo test", "completed"),
    ]
    assert "- `'pytest -q'`: completed" in body_of(replace(STORY, tools=ran))


def test_opened_by_the_person_it_does_not_speak_for_them() -> None:
    assert "Made with ona, with codex" in body_of(replace(STORY, by_us=False))


def test_it_is_bounded() -> None:
    huge = "x" * 100_000
    said = body_of(replace(STORY, what=huge, asked=huge), huge)
    assert len(said) < BODY_CHARACTERS_MAX + 200
    assert said.endswith("in session [s-1](https://x/s-1).\n")


@pytest.mark.parametrize(
    ("title", "shown"), [("Mend  it\nnow", "Mend it now"), ("", "Changes"), ("x" * 300, "x" * 200)]
)
def test_a_title_is_one_line(title: str, shown: str) -> None:
    assert title_of(title) == shown
