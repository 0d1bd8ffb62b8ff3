"""The sentences about a machine that came in place of another."""

import pytest

from bot.work import machine_words


@pytest.mark.parametrize(
    ("why", "cause"),
    [
        ("a person asked for it", "a person asked for it"),
        ("The snapshot\nis short.", "The snapshot is short"),
        ("the guest's kernel panicked: VFS: no root", "the guest's kernel panicked"),
        ("", machine_words.UNKNOWN),
        (None, machine_words.UNKNOWN),
    ],
)
def test_a_new_machine_is_told_with_its_cause_what_was_kept_and_what_happens_next(why, cause):
    told = machine_words.replaced(why, "Its checkpoint was restored: branch main.")
    assert told == (
        f"This session got a new machine, because the old one is gone: {cause}. "
        "Its checkpoint was restored: branch main. "
        "The prompt runs in it now; what ran in the old one has to be started again."
    )


def test_without_a_checkpoint_it_is_said_that_nothing_was_kept():
    assert "nothing else was kept. The prompt runs" in machine_words.replaced("why", None)
