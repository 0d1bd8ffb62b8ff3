"""What every benchmark hands back: a figure with its spread and its yardstick from the same run."""

import itertools
import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypedDict

RESULTS = Path(__file__).with_name("results.json")
PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
NESTED = PAGE.with_name("nested.md")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table; `ratio` is ours to the yardstick's."""

    name: str
    unit: str
    n: int = 0
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    yardstick: str
    yardstick_p50: float | None = None
    ratio: float | None = None
    target: str
    passed: bool
    note: str = ""
    load: float | None = None
    """Of the machine, over a minute, when the part began: below 1 it was quiet."""
    part: str = ""
    """Of `tests.bench.parts`, which measured it."""
    date: str = ""
    machine: str = ""

    @property
    def failed(self) -> bool:
        """Nothing was measured; the note says why."""
        return self.n == 0


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of `values` lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Spread(TypedDict):
    """How values lie, as a Figure takes it."""

    n: int
    p50: float
    p95: float
    p99: float


def spread(values: Sequence[float]) -> Spread:
    """n, p50, p95 and p99 of `values`."""
    return {
        "n": len(values),
        "p50": round(statistics.median(values), 4),
        "p95": round(percentile(values, 0.95), 4),
        "p99": round(percentile(values, 0.99), 4),
    }


def machine() -> str:
    """What this machine is, in a few words."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} × {model}, {memory:.0f} GiB, Linux {platform.release()}"


def write(figures: Sequence[Figure]) -> None:
    """Write the JSON for programs and the page for people."""
    rows = [{**asdict(figure), "pass": _met(figure)} for figure in figures]
    for row in rows:
        del row["passed"]
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(figures))


def written() -> list[Figure]:
    """What was measured before; [] before anything was."""
    if not RESULTS.exists():
        return []
    rows = json.loads(RESULTS.read_text())
    # Without a target there is nothing to meet.
    return [Figure(passed=row.pop("pass") is not False, **row) for row in rows]


def merged(
    earlier: Sequence[Figure], figures: Sequence[Figure], order: Sequence[str]
) -> list[Figure]:
    """New figures in the place of those that the same parts measured before.

    :param order: the names of all parts; what another one measured is left out
    """
    anew = {figure.part for figure in figures}
    kept = [figure for figure in earlier if figure.part not in anew]
    known = [figure for figure in (*kept, *figures) if figure.part in order]
    return sorted(known, key=lambda figure: order.index(figure.part))


def _met(figure: Figure) -> bool | None:
    """None: it has no target and stands there to be seen."""
    return figure.passed if figure.target or figure.failed else None


def page(figures: Sequence[Figure]) -> str:
    """The page for people."""
    machines = list(dict.fromkeys(figure.machine for figure in figures))
    lines = [
        "# Benchmarks",
        "",
        f"Written by `make bench`, or a part of it; {'; '.join(machines)}.",
        "Each figure stands beside a yardstick measured in the same run, because machines differ",
        "and are noisy: read the ratio, not the time. The load is the whole machine's as the part",
        "began; below 1 it was quiet.",
        "",
        "| what | n | p50 | p95 | p99 | yardstick | its p50 | ratio | target | met | load | on |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_line(figure) for figure in figures]
    told = [(figure.name, _note(figure, machines[:1])) for figure in figures]
    notes = [f"- {name}: {note}" for name, note in told if note]
    return "\n".join([*lines, "", *notes, "", *nested_suite(), ""])


def _note(figure: Figure, usual: Sequence[str]) -> str:
    """What there is to say of a figure; where it was measured, unless that is the usual machine."""
    where = [] if figure.machine in usual else [f"On {figure.machine}."]
    return " ".join([*where, *([figure.note] if figure.note else [])])


def nested_suite() -> list[str]:
    """What the suite on a real Cloud Hypervisor last did, as docs/nested.md has it."""
    page = NESTED.read_text().splitlines()
    begins = next(n for n, line in enumerate(page) if line.startswith("| date |"))
    table = itertools.takewhile(lambda line: line.startswith("|"), page[begins:])
    heading = "## The suite on a real Cloud Hypervisor"
    return [heading, "", "From [nested.md](nested.md), the newest last.", "", *table]


def _line(figure: Figure) -> str:
    unit = f" ({figure.unit})" if figure.unit else ""
    met = {True: "yes", False: "**no**", None: ""}[_met(figure)]
    cells = [
        f"{figure.name}{unit}",
        str(figure.n),
        *(_number(value) for value in (figure.p50, figure.p95, figure.p99)),
        figure.yardstick,
        _number(figure.yardstick_p50),
        "" if figure.ratio is None else f"{figure.ratio:.2f}",
        figure.target,
        "**failed**" if figure.failed else met,
        _number(figure.load),
        figure.date,
    ]
    return "| " + " | ".join(cells) + " |"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
