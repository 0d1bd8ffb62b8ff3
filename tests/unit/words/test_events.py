"""What the names in events mean to people."""

from bot.words.events import step


def test_a_step_says_how_long_it_usually_takes_where_that_is_known():
    assert step("resuming") == "Waking the machine …"
    assert step("resuming", usual_seconds=2.5) == "Waking the machine, usually ready after 2.5 s …"
    assert step("ready", usual_seconds=2.5, took=" after 3 s") == "The machine is ready after 3 s."
