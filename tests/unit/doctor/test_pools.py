"""What `ona doctor` says of templates that fail and of pools that are held back."""

from datetime import UTC, datetime

import pytest

from bot.doctor.finding import Verdict
from bot.doctor.pools import NAMED_MAX, built, filled
from bot.doctor.stored import FailedTemplate, HeldPool

AT = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


def failed(project="shop", *, older=False, failures=2, at=AT, note="`make` ended with status 2"):
    return FailedTemplate(
        project=project,
        size="small",
        host="atlas",
        note=note,
        has_older=older,
        failures=failures,
        again_at=at,
    )


def held(project="shop"):
    return HeldPool(project=project, size="small", host="atlas", held="no memory is left")


def test_a_template_that_fails_is_named_with_its_reason_its_next_try_and_what_to_do():
    finding = built([failed()], enabled=True)
    assert finding.verdict is Verdict.LESS
    assert finding.found == (
        "shop (small) on atlas: `make` ended with status 2; failed 2 times in a row,"
        " tried again 2026-11-29 12:00 UTC"
    )
    assert "booted, without" in finding.follows
    assert "`ona templates show shop`" in finding.do
    assert "`ona templates build shop`" in finding.do


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (failed(at=None), "tried again next"),
        (failed(failures=None, note=None), "nobody wrote down why"),
    ],
)
def test_what_is_not_known_of_it_is_left_out(one, words):
    assert built([one], enabled=True).found.endswith(words)


@pytest.mark.parametrize(
    ("older", "words"),
    [
        ((True,), "made of the template before."),
        ((True, False), "made of the template before, or booted"),
        ((False,), "booted, without"),
    ],
)
def test_it_is_said_what_machines_are_made_of_meanwhile(older, words):
    assert words in built([failed(older=one) for one in older], enabled=True).follows


def test_a_pool_that_is_held_back_is_named_with_what_to_do():
    finding = filled([held()], enabled=True)
    assert (finding.verdict, finding.found) == (
        Verdict.LESS,
        "shop (small) on atlas: no memory is left",
    )
    assert finding.follows
    assert "machine.memory_mib_max" in finding.do


@pytest.mark.parametrize(("said", "some"), [(built, failed), (filled, held)])
def test_few_are_named_and_nothing_is_said_where_all_is_well_or_none_is_wanted(said, some):
    many = said([some(f"p{n}") for n in range(NAMED_MAX + 2)], enabled=True)
    assert many.found.count("atlas") == NAMED_MAX
    assert many.found.endswith("; and 2 more")
    for finding in (said([], enabled=True), said([some()], enabled=False)):
        assert (finding.verdict, finding.follows, finding.do) == (Verdict.FINE, "", "")
