"""How the tables of times are written: a phrase, and what is understood."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from scheduler.rules import Cron, Days, Every, Once
from scheduler.when import NotRead, Reading, Unclear, when


def told(phrase: str, *, now: str, zone: str) -> str:
    """What is understood, in one line; times as the clocks of the zone show them."""
    moment = datetime.fromisoformat(now).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    try:
        return shown(when(phrase, now=moment, zone=zone))
    except Unclear as unclear:
        return f"? {unclear.code}"
    except NotRead:
        return "-"


def shown(reading: Reading) -> str:
    schedule = reading.schedule
    zone = ZoneInfo(schedule.zone)

    def at(moment: datetime) -> str:
        return f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"

    match schedule.rule:
        case Once(at=moment):
            words = at(moment)
        case Cron(fields=fields):
            words = f"cron {fields}"
        case Every(seconds=seconds, first=first):
            words = f"every {seconds} s from {at(first)}"
        case Days(days=days, first=first):
            words = f"every {days} days from {first:%Y-%m-%d %H:%M}"
    if schedule.starts_at:
        words += f" after {at(schedule.starts_at)}"
    if schedule.ends_at:
        words += f" until {at(schedule.ends_at)}"
    return words + (" (assumed)" if reading.is_assumed else "")
