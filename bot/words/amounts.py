"""Durations and counts as people say them; pure."""


def duration(seconds: float) -> str:
    """`0.3 s`, `12 s`, `3 min 5 s`, `2 h 10 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def prompts(count: int) -> str:
    """`1 prompt`, `2 prompts`."""
    return "1 prompt" if count == 1 else f"{count} prompts"


def short(text: str, length_max: int) -> str:
    """`text` on one line, at most `length_max` characters with what says that it was cut."""
    line = " ".join(text.split())
    return line if len(line) <= length_max else line[: length_max - 1] + "…"
