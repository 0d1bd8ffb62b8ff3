"""The slots that the words of a time fill, before it is known what they mean; pure."""

from dataclasses import dataclass, field

from scheduler.cursor import Clock


@dataclass(kw_only=True)
class Spoken:
    """What was said, slot by slot."""

    every: int | None = None
    """Of so many units."""
    unit: str = ""
    other: bool = False
    """Every other one."""
    nth: list[int] = field(default_factory=list)
    """-1: the last."""
    of_month: bool = False
    of_weekday: bool = False
    """The ordinals count weekdays."""
    weekdays: list[int] = field(default_factory=list)
    month: int | None = None
    day: int | None = None
    """Days from today."""
    week: str = ""
    """`next` or `this`, said of the weekday or the unit."""
    next_unit: str = ""
    date: tuple[int | None, int, int] | None = None
    slashed: tuple[int, ...] | None = None
    times: list[Clock] = field(default_factory=list)
    is_span: bool = False
    """From one time of day to another."""
    part: str = ""
    after: tuple[float, str] | None = None
    """In so many units."""
    until: "Spoken | None" = None
    start: "Spoken | None" = None
