"""When sessions ask for machines: generators of five weeks, in seconds since a Monday."""

import csv
import random
from collections.abc import Callable, Iterator
from pathlib import Path

DAY = 86400.0
HOUR = 3600.0
WEEKS = 5
TRACE = Path(__file__).parent / "trace.csv"

Rate = Callable[[float], float]
"""Claims per hour at a moment."""


def poisson(rate: Rate, highest: float, dice: random.Random) -> Iterator[float]:
    """Arrivals of an inhomogeneous Poisson process, by thinning (Lewis and Shedler, 1979)."""
    moment = 0.0
    while (moment := moment + dice.expovariate(highest / HOUR)) < WEEKS * 7 * DAY:
        if dice.random() * highest < rate(moment):
            yield moment


def steady(dice: random.Random) -> list[float]:
    """Twenty an hour, day and night."""
    return list(poisson(lambda _: 20.0, 20.0, dice))


def working_days(dice: random.Random) -> list[float]:
    """A team of some fifty: twelve an hour in working time, a lunch, few in the evening."""
    return list(poisson(_office, 12.0, dice))


def bursts(dice: random.Random) -> list[float]:
    """The same team, eight at once after the stand-up, and people who open several at a time."""
    found = working_days(dice)
    for day in range(WEEKS * 7):
        if day % 7 >= 5:
            continue
        found += [day * DAY + 9.5 * HOUR + dice.random() * 120 for _ in range(8)]
        for _ in range(3):
            begin = day * DAY + (9 + 8 * dice.random()) * HOUR
            found += [begin + dice.random() * 60 for _ in range(dice.randint(3, 5))]
    return sorted(found)


def small_team(dice: random.Random) -> list[float]:
    """Two an hour in working time: too few to know which hour the next one falls into."""
    return list(poisson(lambda moment: _office(moment) / 6, 2.0, dice))


def recorded(_: random.Random) -> list[float]:
    """The trace beside this file; see `record`."""
    with TRACE.open(encoding="ascii", newline="") as file:
        return [float(row["seconds"]) for row in csv.DictReader(file)]


def record(seed: int = 20261124) -> list[float]:
    """What the trace holds: a busy organisation whose claims excite more claims.

    A Hawkes process: every claim brings 0.4 further ones in the minutes after it (exponential,
    mean 4 minutes), the first of each family by office hours in two time zones seven hours apart.
    """
    dice = random.Random(seed)
    families = poisson(lambda t: _office(t) + _office(t - 7 * HOUR) * 0.6, 19.2, dice)
    found = []
    waiting = list(families)
    while waiting:
        moment = waiting.pop()
        found.append(moment)
        if dice.random() < 0.4:
            waiting.append(moment + dice.expovariate(1 / 240.0))
    return sorted(moment for moment in found if moment < WEEKS * 7 * DAY)


WORKLOADS: dict[str, Callable[[random.Random], list[float]]] = {
    "steady": steady,
    "working days": working_days,
    "bursts": bursts,
    "recorded": recorded,
    "small team": small_team,
}


def _office(moment: float) -> float:
    day, hour = int(moment // DAY) % 7, moment % DAY / HOUR
    if day >= 5:
        return 0.05
    if 8 <= hour < 18:
        return 6.0 if 12 <= hour < 13 else 12.0
    return 0.3 if 7 <= hour < 22 else 0.02
