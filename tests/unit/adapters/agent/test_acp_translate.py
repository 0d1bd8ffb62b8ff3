"""What the updates of an agent are as events: its tools, plans, words and what it used."""

import pytest

from adapters.agent.acp.commands import OUTPUT_LENGTH_MAX, command_of, exit_status_of, output_of
from adapters.agent.acp.translate import FILES_MAX, TITLE_LENGTH_MAX, Translator
from adapters.agent.port import Plan, Text, Usage


def change(path: object) -> dict[str, object]:
    return {"type": "diff", "path": path, "oldText": "a\n", "newText": "b\n"}


def files_of(*contents: object) -> list[tuple[str, ...] | None]:
    translator = Translator()
    made: list[tuple[str, ...] | None] = []
    for number, content in enumerate(contents):
        update = {
            "sessionUpdate": "tool_call" if number == 0 else "tool_call_update",
            "toolCallId": "1",
            "title": f"edit {number}",
            "status": "completed",
            "content": content,
        }
        made += [one.files for one in translator.events(update)]
    return made


@pytest.mark.parametrize(
    ("content", "files"),
    [
        (None, None),
        ([{"type": "content", "path": "/w/a"}], None),
        ([change("/w/a"), change("/w/b"), change("/w/a")], ("/w/a", "/w/b")),
        ([change(3), "odd"], None),
        ([change("/w/a\nb")], ("/w/a b",)),
        ([change(f"/w/{n}") for n in range(30)], tuple(f"/w/{n}" for n in range(FILES_MAX))),
    ],
)
def test_the_files_of_a_call_are_named_once_and_bounded(content, files):
    assert files_of(content) == [files]


def test_a_later_update_without_any_keeps_them():
    assert files_of([change("/w/a")], None) == [("/w/a",), ("/w/a",)]


@pytest.mark.parametrize(
    ("given", "command"),
    [
        (None, None),
        ({"command": 3}, None),
        ({"command": "pytest -q"}, "pytest -q"),
        ({"command": "pytest -k 'a"}, "pytest -k 'a"),
        ({"command": ["bash", "-lc", "cd x && pytest"]}, "cd x && pytest"),
        ({"command": "/bin/bash -lc 'cd x && pytest'"}, "cd x && pytest"),
        ({"command": ["pytest", "-k", "a b"]}, "pytest -k 'a b'"),
        ({"command": "pytest", "run_in_background": True}, "pytest &"),
    ],
)
def test_the_command_of_a_call_is_read_wherever_agents_put_it(given, command):
    assert command_of(given) == command


@pytest.mark.parametrize(
    ("gave", "status"),
    [
        ("x", None),
        ({"exit_code": 2}, 2),
        ({"exitCode": 0}, 0),
        ({"exit_code": True}, None),
        ({"metadata": {"exit": 1}}, 1),
    ],
)
def test_its_exit_status_too(gave, status):
    assert exit_status_of(gave) == status


SHOWN = [{"type": "content", "content": {"type": "text", "text": "```console\nE  a\n```"}}]


@pytest.mark.parametrize(
    ("gave", "content", "output"),
    [
        (None, None, None),
        (None, ["odd", {"content": "odd"}], None),
        (None, SHOWN, "E  a"),
        ("E  b", SHOWN, "E  b"),
        ({"output": "E  c", "metadata": {}}, SHOWN, "E  c"),
        ({"stdout": "d", "stderr": "E  d"}, None, "d\nE  d"),
        ("x" * 9_000, None, "x" * OUTPUT_LENGTH_MAX),
    ],
)
def test_and_what_it_wrote(gave, content, output):
    assert output_of(gave, content) == output


def test_how_a_command_ended_is_told_once_it_has():
    translator = Translator()
    begun = {
        "sessionUpdate": "tool_call",
        "toolCallId": "1",
        "title": "bash",
        "status": "in_progress",
        "rawInput": {"command": "pytest -q"},
        "content": SHOWN,
    }
    gave = {"output": "E  a", "metadata": {"exit": 1}}
    done = {"toolCallId": "1", "status": "completed", "rawOutput": gave}
    (first,) = translator.events(begun)
    (last,) = translator.events({"sessionUpdate": "tool_call_update", **done})
    assert (first.command, first.exit_status, first.output) == ("pytest -q", None, None)
    assert (last.command, last.exit_status, last.output) == ("pytest -q", 1, "E  a")


CHANGE = {"type": "diff", "path": "a.py", "oldText": "one\ntwo", "newText": "one\nthree"}
NEW = {"type": "diff", "path": "b.py", "oldText": None, "newText": "x\n"}


@pytest.mark.parametrize(
    ("content", "diff"),
    [
        ([CHANGE], "--- a.py\n+++ a.py\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n"),
        ([NEW], "--- /dev/null\n+++ b.py\n@@ -0,0 +1 @@\n+x\n"),
        (
            [{**CHANGE, "newText": "y" * 300_000}],
            "--- a.py\n+++ a.py\n(too long to be compared here)\n",
        ),
        ([{**CHANGE, "newText": 7}, "odd"], None),
        ("odd", None),
    ],
)
def test_what_a_call_changes_is_one_diff(content, diff):
    (told,) = Translator().events(
        {"sessionUpdate": "tool_call", "toolCallId": "c1", "content": content}
    )
    assert told.diff == diff


@pytest.mark.parametrize(
    ("update", "event"),
    [
        (
            {"sessionUpdate": "plan", "entries": [{"content": "look\nagain"}, {"content": 1}, 2]},
            Plan(entries=[{"content": "look again", "status": "pending"}]),
        ),
        ({"sessionUpdate": "plan", "entries": None}, Plan(entries=[])),
        (
            {"sessionUpdate": "usage_update", "used": 7, "cost": {"amount": 1, "currency": "USD"}},
            Usage(context_tokens=7, cost_usd=1.0),
        ),
        (
            {
                "sessionUpdate": "usage_update",
                "used": "7",
                "cost": {"amount": 1, "currency": "EUR"},
            },
            Usage(),
        ),
        (
            {
                "sessionUpdate": "agent_message_chunk",
                "content": {"type": "resource_link", "uri": "u"},
            },
            Text(text="u"),
        ),
    ],
)
def test_plans_usage_and_links_are_told(update, event):
    assert Translator().events(update) == [event]


@pytest.mark.parametrize(
    ("said", "usage"),
    [
        ({"used": 900, "size": 2_000}, Usage(context_tokens=900)),
        (
            {"used": 900, "cost": {"amount": 1.5, "currency": "USD"}},
            Usage(context_tokens=900, cost_usd=1.5),
        ),
        ({"used": "many", "cost": {"amount": 1.5, "currency": "EUR"}}, Usage()),
    ],
)
def test_what_is_told_of_use_is_how_full_the_context_is_and_dollars(said, usage):
    assert Translator().events({"sessionUpdate": "usage_update", **said}) == [usage]


@pytest.mark.parametrize("status", [[], {}, 3, None, "dreaming"])
def test_a_status_that_is_none_leaves_the_call_as_it_was(status):
    begun = {"sessionUpdate": "tool_call", "toolCallId": "1", "title": "x", "status": "in_progress"}
    translator = Translator()
    assert [one.status for one in translator.events(begun)] == ["running"]
    changed = {**begun, "sessionUpdate": "tool_call_update", "title": "y", "status": status}
    assert [one.status for one in translator.events(changed)] == ["running"]


@pytest.mark.parametrize("amount", [float("nan"), float("inf"), -1, 10**400, [], "1", None])
def test_amounts_that_are_none_are_not_kept(amount):
    update = {
        "sessionUpdate": "usage_update",
        "used": amount,
        "cost": {"amount": amount, "currency": "USD"},
    }
    (usage,) = Translator().events(update)
    assert (usage.context_tokens, usage.cost_usd) == (0, None)


def test_an_exit_status_that_is_none_is_not_kept():
    assert exit_status_of({"exit_code": 10**400}) is None


def test_a_plan_is_bounded_in_all_its_words():
    entry = {"content": "x" * 10_000, "status": "x" * 10_000}
    (plan,) = Translator().events({"sessionUpdate": "plan", "entries": [entry]})
    assert {len(said) for said in plan.entries[0].values()} == {TITLE_LENGTH_MAX}
