import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.forge.asking import asked

NAMES = ("/ona", "@ona-acme")


@pytest.mark.parametrize(
    ("body", "request_"),
    [
        ("/ona fix it", "fix it"),
        ("@ona-acme fix it", "fix it"),
        ("/Ona fix it", "fix it"),
        ("/ona: fix it", "fix it"),
        ("  /ona fix it", "fix it"),
        ("Looks wrong.\n/ona fix it\nplease", "fix it\nplease"),
        ("Looks wrong.\n\n/ona fix it\n\n- a\n- b", "fix it\n\n- a\n- b"),
        ("Looks wrong.\r\n\r\n/ona fix it\r\n", "fix it"),
        ("`code`\n/ona fix it", "fix it"),
        ("two  \n/ona fix it", "fix it"),
        ("**bold\nover lines** and\n/ona fix it", "fix it"),
        ("> /ona quoted\n\n/ona fix it", "fix it"),
        (">>>\n/ona quoted\n>>>\n\n/ona fix it", "fix it"),
        ("```\n>>>\n```\n/ona fix it", "fix it"),
        (">>> a\n\n/ona fix it", "fix it"),
        (">>> a\n>>>\n>>> b\n\n/ona fix it", "fix it"),
        (">>>>\n>>>\nsaid\n>>>\n>>>>>\n/ona fix it", "fix it"),
        ("/ona", ""),
        ("/ona\nfix it", "fix it"),
        ("/ona fix <!-- delete all --> it", "fix  it"),
        ("/ona fix\n<!-- delete\nall --> it", "fix\n it"),
        ("/ona fix\n\n<!-- delete", "fix"),
        ("/ona use\n```html\n<!-- kept -->\n```\n", "use\n```html\n<!-- kept -->\n```"),
    ],
)
def test_request(body, request_):
    assert asked(body, NAMES) == request_


@pytest.mark.parametrize(
    "body",
    [
        "",
        "please /ona fix it",
        "/onaX fix it",
        "/ona-b fix it",
        "@ona fix it",
        "@ona-acme2 fix it",
        "`/ona fix it`",
        "`code\n/ona fix it`",
        "```\n/ona fix it\n```",
        "```\n/ona fix it",
        "~~~text\n/ona fix it\n~~~",
        "    /ona fix it",
        "> /ona fix it",
        "> quoted\n/ona lazily quoted",
        "- /ona fix it",
        "1. a\n   /ona fix it",
        "<!-- /ona fix it -->",
        "<!--\n/ona fix it\n-->",
        "text <!--\n/ona fix it --> text",
        "<div>\n/ona fix it\n</div>",
        "# /ona fix it",
        "[a]: x\n'/ona fix it'",
        "\\/ona fix it\n\n```\n/ona fix it\n```",
        "&#47;ona fix it\n\n> /ona fix it\n\n`\n/ona fix it\n`",
        ">>>\n/ona fix it\n>>>",
        "  >>>>\n>>>\nsaid\n>>>\n/ona fix it\n>>>>",
        ">>>\n```\n>>>\n```\n/ona fix it\n>>>",
        ">>>\n/ona fix it",
    ],
)
def test_is_talked_about(body):
    assert asked(body, NAMES) is None


def test_far_down_in_a_huge_comment_is_not_looked_for():
    assert asked("word " * 50_000 + "\n\n/ona fix it", NAMES) is None
    assert asked("/ona fix " + "x" * 1_000_000, NAMES) == "fix " + "x" * 1_000_000


@given(st.text(alphabet="/ona <!->`~\n\t*_#@[]()x1.", max_size=80))
def test_never_fails(body):
    found = asked(body, NAMES)
    assert found is None or isinstance(found, str)
