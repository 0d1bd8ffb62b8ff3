"""What the names in events mean to people."""

from bot.words.events import step


def test_a_step_says_how_long_it_usually_takes_and_how_far_its_template_is():
    assert step("resuming") == "Waking the machine …"
    assert step("resuming", usual_seconds=2.5) == "Waking the machine, usually ready after 2.5 s …"
    assert step("booting", template={"step": 4, "of": 7}) == (
        "Starting the machine (its template is being built: step 4 of 7) …"
    )
    assert step("booting", usual_seconds=9, template={"step": 1, "of": None}) == (
        "Starting the machine (its template is being built: step 1), usually ready after 9.0 s …"
    )
    assert step("waiting", place=3, template={"step": 4, "of": 7}) == (
        "Waiting for a machine (its template is being built: step 4 of 7), "
        "place 3 in the line: none is free."
    )
    assert step("ready", usual_seconds=2.5, took=" after 3 s") == "The machine is ready after 3 s."
