"""Writes the table and the figures of docs/pool-sizing.md: `python -m tests.simulation`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

from tests.simulation.arrivals import DAY, HOUR, TRACE, WORKLOADS, record
from tests.simulation.figure import Figure
from tests.simulation.run import WARM_UP, Outcome, Run, met, run

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "pool-sizing.md"
SEEDS, SHOWN = range(1, 21), 3
BEGIN, END = "<!-- results -->", "<!-- end of results -->"
SUMMARY = (
    *("workload", "seeds", "mean hits", "worst", "mean ratio", "worst"),
    *("the mean meets both", "seeds that do"),
)
ROWS = ("workload", "seed", "claims", "hits", "hot machine-hours", "with hindsight", "ratio", "met")


def main() -> None:
    """Run everything; some minutes."""
    write_trace()
    summary, rows = table(SUMMARY), table(ROWS)
    shown: Run | None = None
    for name in WORKLOADS:
        runs = [run(name, seed) for seed in (SEEDS if name != "recorded" else (0,))]
        summary.append(summed(name, runs))
        rows += [row(name, one) for one in runs[:SHOWN]]
        print(summary[-1], flush=True)
        if name == "bursts":
            shown = runs[0]
    assert shown is not None
    week(shown.claims, shown.outcome).write(DOCS / "pool-week.svg")
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    first = f"The first {SHOWN} seeds of each:"
    lines = [f"As of {datetime.now(UTC).date()}:", "", *summary, "", first, "", *rows]
    results = "\n".join(lines)
    PAGE.write_text(f"{before}{BEGIN}\n{results}\n{END}{after}", encoding="utf-8")


def write_trace() -> None:
    """The recorded workload; the same bytes every time."""
    rows = "".join(f"{moment:.1f}\n" for moment in record())
    TRACE.write_text("seconds\n" + rows, encoding="ascii")


def table(heads: Sequence[str]) -> list[str]:
    """The head of a table."""
    return [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]


def summed(name: str, runs: Sequence[Run]) -> str:
    """One line over all seeds of a workload."""
    hits, ratios = [one.hit_ratio for one in runs], [one.cost_ratio for one in runs]
    mean = met(fmean(hits), fmean(ratios))
    count = sum(met(one.hit_ratio, one.cost_ratio) for one in runs)
    return (
        f"| {name} | {len(runs)} | {fmean(hits):.2%} | {min(hits):.2%} | {fmean(ratios):.2f} |"
        f" {max(ratios):.2f} | {'yes' if mean else 'no'} | {count} |"
    )


def row(name: str, one: Run) -> str:
    """One line for one seed."""
    return (
        f"| {name} | {one.seed or ''} | {one.outcome.claims:,} | {one.hit_ratio:.2%} |"
        f" {one.outcome.machine_seconds / HOUR:,.0f} | {one.best_seconds / HOUR:,.0f} |"
        f" {one.cost_ratio:.2f} | {'yes' if met(one.hit_ratio, one.cost_ratio) else 'no'} |"
    )


def week(claims: Sequence[float], outcome: Outcome) -> Figure:
    """Claims per hour and hot machines over the first week after the warm-up."""
    start, end = WARM_UP, WARM_UP + 7 * DAY
    hours = [0] * (7 * 24)
    for moment in claims:
        if start <= moment < end:
            hours[int((moment - start) // HOUR)] += 1
    figure = Figure("Claims per hour (bars) and hot machines (line), one week with bursts")
    figure.bars([count / 1.0 for count in hours])
    held = [((at - start) / HOUR, count) for at, count in outcome.held if start <= at < end]
    figure.steps(held)
    figure.ticks(
        [
            (24 * day + 12, name)
            for day, name in enumerate(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"])
        ]
    )
    return figure


if __name__ == "__main__":
    main()
