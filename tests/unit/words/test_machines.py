import pytest

from bot.words.catalogue import gettext
from bot.words.machines import told

ID = "0199a3c2-77aa-7bbb-8ccc-0123456789ab"


@pytest.mark.parametrize(
    ("why", "said"),
    [
        (f"machine {ID} has no process: none runs", "the machine has no process: none runs"),
        (f"Machine {ID} refused hello: no.", "the machine refused hello: no."),
        (
            f"machine {ID} has no process: the guest's kernel panicked: VFS: no root fs on (0,0)",
            "the machine has no process: the guest's kernel panicked",
        ),
        ("could not set up guest memory", "could not set up guest memory"),
    ],
)
def test_a_thread_reads_neither_whole_ids_nor_a_guest_s_console(why, said):
    assert told(why) == said


def test_a_sentence_of_ours_stays_one():
    ours = gettext("nobody wrote down why")
    assert told(ours) is ours
