"""What GitLab runs of a note, and what it keeps."""

import pytest

from tests.fakes.gitlab.eyes import mentioned, shown
from tests.fakes.gitlab.quick_actions import extracted


@pytest.mark.parametrize(
    ("body", "left", "actions"),
    [
        ("/ona fix it", "/ona fix it", []),
        ("/ona", "/ona", []),
        ("/onapprove", "/onapprove", []),
        ("/ona fix it\n/close", "/ona fix it", [("close", "")]),
        ("/label ~bug\n/ona fix it", "/ona fix it", [("label", "~bug")]),
        ("/Close", "", [("close", "")]),
        ("/close now", "", [("close", "now")]),
        ("/closed", "/closed", []),
        (" /close", " /close", []),
        ("words /close", "words /close", []),
        ("words\n/close\nmore", "words\nmore", [("close", "")]),
        ("```\n/close\n```", "```\n/close\n```", []),
        ("> /close", "> /close", []),
        ("`a\n/close\nb`", "`a\n/close\nb`", []),
        ("<div>\n/close\n</div>", "<div>\n/close\n</div>", []),
        ("/cl\rose", "", [("close", "")]),
        ("\\/close", "\\/close", []),
        ("words  \n\n", "words", []),
    ],
)
def test_known_names_alone_are_run_and_taken_out(body, left, actions):
    assert extracted(body) == (left, actions)


async def test_a_note_of_actions_alone_is_not_kept(yard):
    assert yard.ann.tries(yard.request, "/close") == [("close", "")]
    assert (yard.request.notes, yard.request.state) == ([], "closed")
    note = yard.ann.says(yard.request, "/ona fix it")
    yard.ann.edits(note, "/reopen")
    assert (yard.request.notes, yard.request.state) == ([], "opened")


async def test_the_api_answers_202_to_actions_alone(yard):
    made = await yard.ask(
        lambda it: it.mergerequests.get(1, lazy=True).notes.create({"body": "/close"})
    )
    assert made.attributes["summary"] == ["Applied the commands."]
    assert not hasattr(made, "body")
    assert (
        await yard.refused(
            lambda it: it.mergerequests.get(1, lazy=True).discussions.create({"body": "/close"})
        )
        == 400
    )


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        ("two\nlines\n\nand more", "two\nlines\n\nand more"),
        ("\\*as it is\\* &lt;b&gt;", "*as it is* <b>"),
        ("**bold**", "[strong_open]bold[strong_close]"),
        ("# head", "[heading_open]head"),
        ("> said", "[blockquote_open]said"),
        ("- item", "[bullet_list_open][list_item_open]item"),
        ("[a](http://x.test)", "[link_open]a[link_close]"),
        ("`code`", "[code_inline]code"),
        ("```\n*code*\n```", "*code*"),
        ("a<b>c", "a[html_inline]<b>c"),
        ("words\n\n<!-- hidden -->", "words"),
        ("@\u2060ann", "@ann"),
    ],
)
def test_what_people_see(body, seen):
    assert shown(body) == seen


def test_who_is_mentioned():
    assert mentioned("@ann and @bo. Or mail@x.test, `@eve`, \\@dan, @\u2060cid") == [
        "ann",
        "bo",
        "dan",
    ]
