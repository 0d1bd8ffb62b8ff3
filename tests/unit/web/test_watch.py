"""What the command line makes of a stream of events."""

from bot.cli.following import Printer, Watch


def event(kind, turn=None, **body):
    return {"number": 1, "kind": kind, "turn": turn, "body": body}


def watched(watch, *events):
    return [watch.take(one) for one in events]


def test_only_the_turn_of_the_prompt_counts():
    watch = Watch(prompt="p2")
    concerns = watched(
        watch,
        event("turn.started", "t1", prompt="p1"),
        event("output", "t1", text="not mine"),
        event("turn.ended", "t1", outcome="succeeded"),
        event("step", None, step="booting"),
        event("turn.started", "t2", prompt="p2"),
        event("output", "t2", text="mine\n"),
        event("turn.ended", "t2", outcome="failed", summary="exit status 2", seconds=1.0),
    )
    assert concerns == [False, False, False, True, True, True, True]
    assert (watch.turn, watch.outcome, watch.reply) == ("t2", "failed", "mine")
    assert (watch.summary, watch.seconds) == ("exit status 2", 1.0)


def test_what_the_agent_says_is_the_reply_and_not_what_its_tools_put_out():
    watch = Watch(prompt="p")
    watched(
        watch,
        event("turn.started", "t", prompt="p"),
        event("output", "t", text="noise"),
        event("text", "t", text="Fixed "),
        event("text", "t", text="it."),
    )
    assert watch.reply == "Fixed it."


def test_what_was_cut_or_went_wrong_is_noted_beside_the_reply():
    watch = Watch(prompt="p")
    watched(
        watch,
        event("turn.started", "t", prompt="p"),
        event("output", "t", text="x"),
        event("output.cut", "t", bytes=12, where="/var/x"),
        event("error", "t", text="broken"),
    )
    assert watch.reply == "x"
    assert watch.notes == ["12 more bytes are not shown; the machine has them in /var/x.", "broken"]


def test_a_cancelled_prompt_ends_the_wait():
    watch = Watch(prompt="p")
    watched(watch, event("prompt.cancelled", None, prompt="other"))
    assert watch.outcome is None
    watched(watch, event("prompt.cancelled", None, prompt="p", name="Bo"))
    assert watch.outcome == "cancelled"


def test_an_answer_is_followed_to_the_end_of_the_turn_that_asked():
    watch = Watch(prompt=None)
    watched(
        watch,
        event("output", "t", text="80"),
        event("turn.ended", "t", outcome="succeeded"),
    )
    assert (watch.turn, watch.outcome) == ("t", "succeeded")


def test_what_an_agent_says_between_its_tools_is_not_the_reply():
    watch = Watch(prompt="p")
    watched(
        watch,
        event("turn.started", "t", prompt="p"),
        event("text", "t", text="I look. "),
        event("tool", "t", id="1", title="grep", status="completed"),
        event("text", "t", text="**Fixed** "),
        event("text", "t", text="it."),
    )
    assert watch.reply == "**Fixed** it."


def test_pieces_are_printed_as_one_text_and_a_tool_that_goes_on_once(capsys):
    printer = Printer()
    for one in (
        event("thought", "t", text="hm"),
        event("thought", "t", text=" yes"),
        event("text", "t", text="I "),
        event("text", "t", text="look."),
        event("tool", "t", id="1", title="grep x", status="pending"),
        event("tool", "t", id="1", title="grep x", status="completed"),
        event("tool", "t", id="2", title="make", status="running"),
        event("tool", "t", id="2", title="make", status="failed"),
        event("usage", "t", context_tokens=0),
        event("conversation", "t", agent="a", id="c"),
        event("text", "t", text="Done."),
    ):
        printer.show(one)
    said = capsys.readouterr()
    assert said.out == "I look.\nDone."
    lines = said.err.splitlines()
    assert lines[0] == "hm yes"
    assert [line for line in lines if "grep x" in line] == ["> grep x"]
    assert [line for line in lines if "make" in line] == ["> make", "failed: make"]
    assert "Used" not in said.err


def test_which_tests_ran_and_why_they_failed_is_noted_beside_the_reply():
    watch = Watch(prompt="p")
    tests = [{"command": "pytest -q", "passed": False, "failing": "E  assert 1"}]
    watched(
        watch,
        event("turn.started", "t", prompt="p"),
        event("turn.ended", "t", outcome="succeeded", tests=tests),
    )
    assert watch.notes == ["Tests: `pytest -q` failed.\nE  assert 1"]


def test_a_notice_names_commands_as_a_terminal_takes_them(capsys):
    said = event("notice", "t", text="A reminder. `reminders stop r-7f3k` stops it.")
    watch = Watch(prompt="p")
    watched(watch, event("turn.started", "t", prompt="p"), said)
    assert "`ona reminders stop r-7f3k`" in watch.notes[0]
    Printer().show(said)
    assert "`ona reminders stop r-7f3k`" in capsys.readouterr().err
