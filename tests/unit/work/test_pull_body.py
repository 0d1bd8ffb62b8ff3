"""The words of a pull request."""

import re
from dataclasses import replace

import pytest

from bot.work import pull_body
from bot.work.pull_body import (
    BODY_CHARACTERS_MAX,
    Did,
    Picture,
    Story,
    Words,
    again,
    title_of,
    wished,
)
from bot.work.pull_marks import sealed
from bot.work.tested import Ran

STORY = Story(
    what="It is mended.",
    asked="mend it",
    by="Ann",
    agent="codex",
    short="s-1",
    link="https://x/s-1",
)

TEMPLATE = "## Summary\n\n## Checklist\n- [ ] docs\n"
NOTHING = Words()


def body_of(story: Story, template: str = "") -> str:
    """The text as people see it."""
    return shown(pull_body.body_of(story, template))


def shown(body: str | None) -> str:
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"<!-- /?ona:[^>]* -->\n?", "", body or ""))


def opened(template: str = "", wish: str = "") -> Words:
    """A pull request as we open it."""
    said = wished(wish, STORY) if wish else pull_body.body_of(STORY, template)
    return Words(title="Mend it", body=sealed(said, "Mend it"))


def later(**more) -> Story:
    """The story of another turn of it."""
    mine = {"what": "It has a test.", "asked": "and a test", "by": "Bo", **more}
    return replace(STORY, earlier=(Did(what=STORY.what, asked=STORY.asked, by=STORY.by),), **mine)


def test_without_a_template_each_part_has_a_heading() -> None:
    assert body_of(STORY) == (
        "## What\n\nIt is mended.\n\n"
        "## Why\n\nAnn asked:\n\n> mend it\n\n"
        "## How it was tested\n\nNo test was seen to run.\n\n"
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
        "<!-<!-- taken out -->- put together -->",
        "![pixel](https://evil.example/p.png)",
        "!![pixel](https://evil.example/p.png)",
        "!!![pixel](https://evil.example/p.png)",
        "<img src='https://evil.example/p.png'>",
        "<PICTURE><source srcset=//evil.example/p.png></PICTURE>",
    ],
)
def test_what_was_said_does_nothing(words: str) -> None:
    said = body_of(replace(STORY, what=words, asked=words, by=words))
    assert "@ann" not in said
    assert "<!--" not in said
    assert "![" not in said
    assert not re.search("<(img|picture|source)", said, re.IGNORECASE)
    assert not any(line.lstrip().startswith("/") for line in said.splitlines())


def test_what_was_run_closes_no_part_of_ours() -> None:
    forged = "pytest <!-<!-- x -->- /ona:tested -->"
    ran = Ran(title=forged, status="completed")
    said = pull_body.body_of(replace(STORY, tools=[ran]))
    assert said.count("<!-- /ona:tested -->") == 1


def test_a_name_is_no_markup() -> None:
    assert "Ann \\[x\\](y)" in body_of(replace(STORY, by="Ann [x](y)"))


def test_the_last_run_of_each_test_command_is_told_and_how_it_ended() -> None:
    ran = [
        Ran(title="`pytest -q`", status="failed"),
        Ran(title="Edit src/a.py", status="completed"),
        Ran(title="`pytest -q`", status="completed"),
        Ran(title="Run them", status="completed", command="go test ./...", exit_status=1),
        Ran(title="npm test | tee log", status="completed"),
    ]
    said = body_of(replace(STORY, tools=ran))
    assert "- `pytest -q`: passed\n- `go test ./...`: failed\n- `npm test | tee log`: ran\n" in said


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


def test_the_next_turn_renews_what_is_told() -> None:
    ran = (Ran(title="`pytest -q`", status="completed"),)
    said = again(opened(TEMPLATE), later(tools=ran), wish=NOTHING)
    assert said.title is None
    text = shown(said.body)
    assert "## Summary\n\nIt is mended.\n\nIt has a test.\n" in text
    assert "Ann asked:\n\n> mend it\n\nBo asked:\n\n> and a test" in text
    assert "- `pytest -q`: passed" in text
    assert "- [ ] docs" in text
    assert again(Words(title="Mend it", body=said.body), later(tools=ran), wish=NOTHING) == NOTHING


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_what_somebody_edited_stays_and_the_rest_is_renewed(ends: str) -> None:
    first = opened(TEMPLATE)
    edited = "Closes #7.\n\n" + first.body.replace("[ ] docs", "[x] docs").replace(
        "It is mended.", "It rounds per line."
    )
    now = Words(title="Round per line", body=edited.replace("\n", ends))
    said = again(now, later(), wish=Words(title="Mend all", body=None))
    assert said.title is None
    text = shown(said.body)
    assert text.startswith("Closes #7.")
    assert "It rounds per line." in text
    assert "It has a test." not in text
    assert "[x] docs" in text
    assert "Bo asked:\n\n> and a test" in text


def test_text_that_is_none_of_ours_is_left_alone() -> None:
    now = Words(title="Mend it", body="I write my own.")
    assert again(now, later(), wish=Words(title="T", body="B")) == NOTHING


def test_what_the_agent_wishes_takes_the_place_of_what_nobody_edited() -> None:
    wish = Words(title="Mend all", body="It was the lock. @ann <!-- ona:seal -->")
    said = again(opened(), later(), wish=wish)
    assert said.title == "Mend all"
    text = shown(said.body)
    assert text.startswith("It was the lock.")
    assert "@ann" not in text
    assert "## Why" not in text
    edited = Words(title="Mend it", body="Closes #7.\n\n" + opened().body)
    kept = shown(again(edited, later(), wish=wish).body)
    assert kept.startswith("Closes #7.\n\n## What\n\nIt was the lock.")
    assert "Bo asked:" in kept


def test_a_wished_text_tells_what_turns_did_since_until_it_is_wished_anew() -> None:
    ran = (Ran(title="pytest -q", status="failed"), Ran(title="pytest -q", status="completed"))
    first = opened(wish="It was the lock.")
    did = later(tools=ran)
    said = again(first, did, wish=NOTHING, since=[did])
    text = shown(said.body)
    assert text.startswith("It was the lock.\n\n## Since then\n\nBo asked:\n\n> and a test\n")
    assert "It has a test.\n\n- `pytest -q`: passed" in text
    anew = Words(title=None, body="It was the lock, and has a test.")
    last = shown(again(Words(title="Mend it", body=said.body), did, wish=anew).body)
    assert last.startswith("It was the lock, and has a test.")
    assert "Since then" not in last


def test_a_title_alone_changes_the_title_alone() -> None:
    wish = Words(title="Mend all", body=None)
    said = again(opened(), later(), wish=wish, changed=False)
    assert said.title == "Mend all"
    assert shown(said.body) == shown(opened().body)
    again_said = again(Words(title="Mend all", body=said.body), later(), wish=wish, changed=False)
    assert again_said == NOTHING


def test_what_was_shown_is_linked_where_people_can_reach_it() -> None:
    picture = Picture(name="0199", caption="The [page] of @ann")
    link = "- [The \\[page\\] of @\u2060ann](https://x/s-1/pictures/0199)"
    said = again(opened(wish="It has a page."), later(pictures=(picture,)), wish=NOTHING)
    assert f"## Pictures\n\n{link}" in shown(said.body)
    assert link in body_of(replace(STORY, pictures=(picture,)))
    assert "Pictures" not in body_of(replace(STORY, pictures=(picture,), link=""))
    assert "Pictures" not in body_of(STORY)
