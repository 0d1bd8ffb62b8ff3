"""Which targets words mean."""

import pytest

from bot.automate.runs.steering import place_of
from bot.conversation.commands import Prompt, Runs, aimed, parse
from bot.conversation.run_places import read


@pytest.mark.parametrize(
    ("said", "which"),
    [
        ("failed", "failed"),
        (" All ", "all"),
        ("3", 3),
        ("#12", 12),
        ("", None),
        ("some", None),
        ("-1", None),
        ("\u0663", None),
        ("1234567", None),
    ],
)
def test_which_targets_are_meant(said, which):
    assert place_of(said) == which


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("runs", Runs()),
        ("@ona Runs.", Runs()),
        ("runs show run-7f3kd", Runs(act="show", short="run-7f3kd")),
        ("runs stop RUN-7F3KD!", Runs(act="stop", short="run-7f3kd")),
        ("runs rerun run-7f3kd", Runs(act="rerun", short="run-7f3kd")),
        ("runs rerun run-7f3kd failed", Runs(act="rerun", short="run-7f3kd", which="failed")),
        ("runs rerun run-7f3kd all", Runs(act="rerun", short="run-7f3kd", which="all")),
        ("runs rerun run-7f3kd #12", Runs(act="rerun", short="run-7f3kd", which="#12")),
    ],
)
def test_commands_about_runs(said, asked):
    assert parse(said) == asked


@pytest.mark.parametrize(
    "said", ["runs too slow", "runs show", "runs stop run-7 12", "runs rerun run-7 some of them"]
)
def test_words_that_only_begin_like_one_are_a_prompt(said):
    assert isinstance(parse(said), Prompt)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("#12 try again", (12, "try again")),
        ("#12: try again", (12, "try again")),
        ("target 12: why?", (12, "why?")),
        ("Target 3 why?", (3, "why?")),
        ("#12", None),
        ("#12345 x", None),
        ("look at #12 again", None),
        ("#12th of May", None),
    ],
)
def test_words_for_one_target_of_a_fleet(said, meant):
    assert aimed(said) == meant


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("slack:#payments", ("slack", "payments")),
        ("Slack: payments", ("slack", "payments")),
        ("discord:#general", ("discord", "general")),
        ("slack:T024BE7LD/C024BE91L", ("slack", "C024BE91L")),
        ("#payments", ("", "")),
        ("slack:", ("", "")),
        ("slack:#", ("", "")),
    ],
)
def test_where_a_run_reports(said, found):
    assert read(said) == found
