"""Durations and counts as people say them; pure."""

from bot.words.catalogue import N_, Message, ngettext
from bot.words.catalogue import gettext as _

MICRO = 1_000_000
"""Micro-dollars in a dollar."""
ORDINALS = (N_("{number}th"), N_("{number}st"), N_("{number}nd"), N_("{number}rd"))
"""By what a number ends in; other languages may say them all alike."""


def duration(seconds: float) -> Message:
    """`0.3 s`, `12 s`, `3 min 5 s`, `2 h 10 min`."""
    if seconds < 10:
        return tenths(seconds)
    whole = round(seconds)
    if whole < 60:
        return _("{seconds} s", seconds=whole)
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return _("{minutes} min {seconds} s", minutes=minutes, seconds=rest)
    hours, minutes = divmod(minutes, 60)
    return _("{hours} h {minutes} min", hours=hours, minutes=minutes)


def tenths(seconds: float) -> Message:
    """`75.2 s`."""
    return _("{seconds} s", seconds=float(seconds))


def dollars(micro: int) -> str:
    """Micro-dollars in words: cents, or what matters below one."""
    return f"{micro / MICRO:.2f}" if micro >= MICRO // 100 or not micro else f"{micro / MICRO:.4f}"


def ordinal(number: int) -> Message:
    """`1st`, `2nd`, `11th`."""
    last = 0 if number // 10 % 10 == 1 else number % 10
    return _(ORDINALS[last if last < len(ORDINALS) else 0], number=number)


def prompts(count: int) -> Message:
    """`1 prompt`, `2 prompts`."""
    return ngettext("{count} prompt", "{count} prompts", count)


def short(text: str, length_max: int) -> str:
    """`text` on one line, at most `length_max` characters with what says that it was cut."""
    line = " ".join(text.split())
    return line if len(line) <= length_max else line[: length_max - 1] + "…"
