"""What every benchmark hands back: a figure with its spread and its yardstick from the same run."""

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).with_name("results.json")
PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table; `ratio` is ours to the yardstick's."""

    name: str
    unit: str
    n: int
    p50: float
    p95: float
    p99: float
    yardstick: str
    yardstick_p50: float | None
    ratio: float | None
    target: str
    passed: bool
    note: str = ""


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of `values` lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def spread(values: Sequence[float]) -> dict[str, float]:
    """n, p50, p95 and p99 of `values`, as a Figure takes them."""
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
    here, today = machine(), datetime.now(UTC).date().isoformat()
    rows = [
        {**asdict(figure), "pass": figure.passed, "machine": here, "date": today}
        for figure in figures
    ]
    for row in rows:
        del row["passed"]
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(_page(figures, here, today))


def _page(figures: Sequence[Figure], here: str, today: str) -> str:
    lines = [
        "# Benchmarks",
        "",
        f"Written by `make bench` on {today}; {here}.",
        "Each figure stands beside a yardstick measured in the same run, because machines differ",
        "and are noisy: read the ratio, not the time.",
        "",
        "| what | n | p50 | p95 | p99 | yardstick | its p50 | ratio | target | met |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for figure in figures:
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        theirs = "" if figure.yardstick_p50 is None else f"{figure.yardstick_p50:g}"
        met = "yes" if figure.passed else "**no**"
        lines.append(
            f"| {figure.name} ({figure.unit}) | {figure.n} | {figure.p50:g} | {figure.p95:g} "
            f"| {figure.p99:g} | {figure.yardstick} | {theirs} | {ratio} | {figure.target} "
            f"| {met} |"
        )
    notes = [f"- {figure.name}: {figure.note}" for figure in figures if figure.note]
    return "\n".join([*lines, "", *notes, ""])
