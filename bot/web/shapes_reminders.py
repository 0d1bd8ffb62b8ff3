"""The shapes of the API about reminders."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from bot.automate.reminders.reminder_rows import WHAT_LENGTH_MAX
from bot.conversation.reminding import TARGETS_MAX
from bot.web.shapes import Given, Taken

WHEN_LENGTH_MAX = 200
TO_LENGTH_MAX = 2_000
_DRY_RUN = Field(default=False, description="say what it would be, and save nothing")


class NewReminder(Taken):
    """A reminder to set; it holds at once, unless it is a dry run."""

    when: str = Field(
        min_length=1,
        max_length=WHEN_LENGTH_MAX,
        description="in words or as cron, see docs/reminders.md",
    )
    what: str = Field(min_length=1, max_length=WHAT_LENGTH_MAX)
    answer: bool = Field(default=False, description="an agent answers it each time")
    only_changed: bool = Field(
        default=False, description="post nothing while the answer stays the same"
    )
    session: str | None = Field(default=None, description="in whose thread; else a new session's")
    project: str | None = Field(default=None, description="of a new session, where it is not clear")
    zone: str | None = Field(default=None, description="IANA name; else that of the person")
    to: list[Annotated[str, Field(max_length=TO_LENGTH_MAX)]] = Field(
        default_factory=list,
        max_length=TARGETS_MAX,
        description="channels and people, such as `slack:#payments`, `discord:@ben` and"
        " `slack:me`; else the session's thread",
    )
    if_missed: Literal["once", "skip"] = Field(
        default="once",
        description="what was due while nothing ran is said once, late, or not at all",
    )
    dry_run: bool = _DRY_RUN


class ReminderChanges(Taken):
    """What is named is changed."""

    when: str | None = Field(default=None, max_length=WHEN_LENGTH_MAX)
    what: str | None = Field(default=None, min_length=1, max_length=WHAT_LENGTH_MAX)
    quiet: str | None = Field(
        default=None, max_length=20, description="hours as 22:00-07:00; `off`: none"
    )
    only_changed: bool | None = Field(
        default=None, description="post nothing while the answer stays the same"
    )
    dry_run: bool = _DRY_RUN


class Snooze(Taken):
    """Until when one is put off."""

    until: str = Field(
        min_length=1, max_length=WHEN_LENGTH_MAX, description="`10m`, `tomorrow`, `friday 9`"
    )


class Reminder(Given):
    """Something that is said at a time."""

    reminder: str = Field(description="its name; empty: it would be a new one")
    state: Literal["active", "paused", "ended"]
    why: str = Field(description="why it is paused; `unconfirmed`: nobody has said yes")
    when: str
    zone: str
    what: str
    answer: bool
    only_changed: bool
    by_agent: bool = Field(description="an agent set it for its creator")
    quiet: str
    project: str
    session: str | None = Field(description="in which it was set; null: there is none (yet)")
    by: str
    next: list[datetime] = Field(description="its next three times")
    time_assumed: bool = Field(
        default=False, description="no time of day was said just now, so 9:00 was taken"
    )
    to: list[str] = Field(
        default_factory=list, description="channels and people that were named just now"
    )


class Reminders(Given):
    """The reminders of a person."""

    reminders: list[Reminder]
