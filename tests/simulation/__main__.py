"""Writes the table and the figures of docs/pool-sizing.md: `python -m tests.simulation`."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.simulation.arrivals import DAY, HOUR, TRACE, WORKLOADS, record
from tests.simulation.figure import Figure
from tests.simulation.run import WARM_UP, Outcome, Simulated, cheapest

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "pool-sizing.md"
SEEDS = (1, 2, 3)
BEGIN, END = "<!-- results -->", "<!-- end of results -->"
HIT_TARGET, COST_TARGET = 0.99, 1.5


def main() -> None:
    """Run everything; some minutes."""
    write_trace()
    heads = (
        *("workload", "seed", "claims", "hits", "hot machine-hours"),
        *("cheapest with hindsight", "ratio", "both met"),
    )
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    shown: tuple[Sequence[float], Outcome] | None = None
    for name, make in WORKLOADS.items():
        for seed in SEEDS if name != "recorded" else (0,):
            claims = make(random.Random(seed))
            outcome = Simulated(claims).run()
            lines.append(row(name, seed, claims, outcome))
            print(lines[-1], flush=True)
            if name == "bursts" and seed == SEEDS[0]:
                shown = claims, outcome
    assert shown is not None
    week(*shown).write(DOCS / "pool-week.svg")
    today = datetime.now(UTC).date()
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    results = "\n".join([f"As of {today}:", "", *lines])
    PAGE.write_text(f"{before}{BEGIN}\n{results}\n{END}{after}", encoding="utf-8")


def write_trace() -> None:
    """The recorded workload; the same bytes every time."""
    rows = "".join(f"{moment:.1f}\n" for moment in record())
    TRACE.write_text("seconds\n" + rows, encoding="ascii")


def row(name: str, seed: int, claims: Sequence[float], outcome: Outcome) -> str:
    """One line of the table."""
    best = cheapest(claims, outcome.hits)
    ratio = outcome.machine_seconds / best
    met = outcome.hit_ratio >= HIT_TARGET and ratio <= COST_TARGET
    return (
        f"| {name} | {seed or ''} | {outcome.claims:,} | {outcome.hit_ratio:.2%} |"
        f" {outcome.machine_seconds / HOUR:,.0f} | {best / HOUR:,.0f} | {ratio:.2f} |"
        f" {'yes' if met else 'no'} |"
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
