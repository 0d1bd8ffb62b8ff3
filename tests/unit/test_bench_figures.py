"""Figures of a part that is measured again take the place of those it had."""

from contextlib import nullcontext
from dataclasses import replace

from tests.bench import __main__ as bench
from tests.bench.figures import RESULTS, Figure, merged, page, written
from tests.bench.parts import PARTS

OLD = Figure(
    name="x", unit="s", n=1, p50=2.0, yardstick="y", target="", passed=True, part="a", date="1"
)


def test_a_part_s_figures_are_replaced_and_the_others_stay_in_the_order_of_parts():
    new = [replace(OLD, p50=1.0, date="2"), replace(OLD, name="z", date="2")]
    other = replace(OLD, part="b", name="other")
    gone = replace(OLD, part="removed")
    found = merged([other, OLD, gone], new, ["a", "b"])
    assert found == [*new, other]


def test_what_is_written_is_read_again_and_belongs_to_parts_that_there_are():
    figures = written()
    assert figures
    assert {figure.part for figure in figures} <= set(PARTS)
    assert all(figure.date and figure.machine for figure in figures)


def test_the_page_is_what_the_results_say():
    lines = (RESULTS.parents[2] / "docs" / "benchmarks.md").read_text()
    assert page(written()) == lines


def test_a_figure_that_was_measured_in_a_bed_says_so():
    here, bed = replace(OLD, machine="here"), replace(OLD, name="z", machine="a bed", note="Noisy.")
    told = page([here, bed])
    assert "part of it; here; a bed." in told
    assert "\n- z: On a bed. Noisy.\n" in told
    assert "\n- x: " not in told


async def test_where_a_figure_was_measured_is_kept_by_whoever_asked_for_it(monkeypatch, tmp_path):
    async def run(name, part, directory):
        return [OLD, replace(OLD, machine="a bed")]

    monkeypatch.setattr(bench, "scratch", lambda: nullcontext(tmp_path))
    monkeypatch.setattr(bench, "run", run)
    monkeypatch.setattr(bench, "machine", lambda: "here")
    figures = await bench.main(list(PARTS)[:1])
    assert [figure.machine for figure in figures] == ["here", "a bed"]
