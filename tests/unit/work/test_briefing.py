"""What files are called in the machine, and how an agent is told of them."""

from uuid import uuid4

import pytest

from adapters.chat.incoming import Attached
from bot.work.briefing import ANSWER, below, named, others
from bot.work.quoting import WHO, inlined, listing
from bot.work.workplace import BesideAt


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("log.txt", "1-log.txt"),
        ("../../etc/passwd", "1-.._.._etc_passwd"),
        ("a b\n; rm -rf $HOME", "1-a_b_rm_-rf_HOME"),
        ("-rf", "1--rf"),
        ("", "1-"),
        ("ü" * 300 + ".log", "1-_.log"),
    ],
)
def test_a_name_in_the_machine_means_nothing_to_a_shell(name, called):
    assert named(1, name) == called


def test_a_long_name_keeps_its_end():
    assert named(2, "x" * 500 + ".log").endswith("x.log")
    assert len(named(2, "x" * 500 + ".log")) < 90


def test_an_agent_reads_what_a_file_is_and_where_or_why_it_is_left_out():
    files = [
        (Attached(key="k", name="a\nb", media_type="text/plain", data=b"words"), "/tmp/1-a_b"),
        (Attached(key="k", name="c", why="neither text\nnor an image"), ""),
    ]
    assert listing(files).splitlines() == [
        f"{WHO}file a b: text/plain, 5 bytes: /tmp/1-a_b",
        f"{WHO}file c: left out, neither text nor an image",
    ]
    assert inlined("fix it", (), files).startswith("fix it\n\n")


def test_an_agent_is_asked_to_answer_in_the_language_of_the_prompt():
    told = below(inlined("Behebe den Fehler\n", (), ()))
    assert told == f"Behebe den Fehler\n\n{ANSWER}"
    assert "in the language of the prompt" in ANSWER


def test_an_agent_is_told_of_the_repositories_beside_and_of_none_where_there_are_none():
    assert others([]) == ""
    lib = BesideAt(id=uuid4(), name="lib", url="u", base_branch=None, directory="/work/lib")
    assert "lib in /work/lib." in others([lib])
