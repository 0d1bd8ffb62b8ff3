"""How findings are shown and what they add up to."""

import json

from bot.doctor.finding import Finding, Verdict, as_rows, is_fit, render

FINE = Finding(name="QEMU", verdict=Verdict.FINE, found="7.2")
LESS = Finding(
    name="KVM", verdict=Verdict.LESS, found="no device", follows="It is slow.", do="Get one."
)
MISSING = Finding(
    name="a database",
    verdict=Verdict.MISSING,
    found="gone",
    follows="Nothing works.",
    do="Start it.",
)


def test_each_thing_is_a_line_with_what_follows_and_what_to_do_below_it():
    assert render([FINE, LESS]).splitlines() == [
        "fine     QEMU  7.2",
        "less     KVM   no device",
        "               It is slow.",
        "               Get one.",
        "",
        "ona can run here; it could be better: KVM.",
    ]


def test_the_last_line_names_what_is_missing():
    assert render([FINE, LESS, MISSING]).splitlines()[-1] == "ona can't run here yet: a database."
    assert render([FINE]).splitlines()[-1] == "All is fine."


def test_only_what_is_missing_makes_a_host_unfit():
    assert is_fit([FINE, LESS])
    assert not is_fit([FINE, MISSING])


def test_the_rows_are_json_with_every_part():
    assert json.loads(json.dumps(as_rows([LESS]))) == [
        {
            "name": "KVM",
            "verdict": "less",
            "found": "no device",
            "follows": "It is slow.",
            "do": "Get one.",
        }
    ]
