"""The agent's tool that sets a reminder in its session's thread, for whom its turn runs."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from bot.store.transaction import Transaction
from bot.words.catalogue import Message
from bot.work.queue import Event
from bot.work.tools.calls import Desk, check_length
from bot.work.tools.tool import Arguments, Asker, Call, Tool

WHEN_CHARACTERS_MAX = 200
WHAT_CHARACTERS_MAX = 1_000
REMINDERS_MAX = 5
"""Of one turn."""
SET_REMINDER = (
    "Set a reminder in this session's thread for whoever asked for this turn, such as to look at a"
    " release that takes two hours. Either your words are posted then, or an agent that may read"
    " and not write answers them at that time. People are told at once, and can stop it."
)


@dataclass(frozen=True, kw_only=True)
class Reminded:
    """A reminder that was set."""

    short: str
    told: Message
    """What the thread is told."""
    thread_id: UUID
    """Which that is: where this turn was asked for."""
    times: Sequence[datetime]
    """When it is due first, in UTC."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A reminder as an agent wants it."""

    when: str
    what: str
    answer: bool


Remind = Callable[[Transaction, Call, Asker, Wanted], Awaitable[Reminded]]
"""Sets one in the thread in which the turn was asked for.
:raises TellPerson: the time can't be read, nobody would read it, or there are too many"""


class SetReminder(Arguments):
    """Arguments of `set_reminder`."""

    when: str = Field(
        description="such as `in 2 hours`, `tomorrow 9:00`, `every weekday at 8:30`, in the time"
        " zone of whoever asked; it ends after 30 days"
    )
    what: str = Field(description="what is posted, or what is to be answered then")
    answer: bool = Field(
        default=False, description="true: an agent looks then and answers; false: these words"
    )


class Reminding:
    """The tools of this group."""

    def __init__(self, desk: Desk, remind: Remind) -> None:
        self._desk = desk
        self._remind = remind

    def tools(self) -> list[Tool[Any]]:
        """As agents are told of them."""
        return [
            Tool(
                name="set_reminder",
                about=SET_REMINDER,
                takes=SetReminder,
                run=self.set_reminder,
                per_turn_max=REMINDERS_MAX,
                reaches_out=True,
            )
        ]

    async def set_reminder(self, call: Call, given: SetReminder) -> str:
        """Set it, and tell the thread."""
        wanted = Wanted(
            when=check_length("time", given.when, WHEN_CHARACTERS_MAX),
            what=check_length("text", given.what, WHAT_CHARACTERS_MAX),
            answer=given.answer,
        )
        async with self._desk.begin(call) as entry:
            done = await self._remind(entry.tx, call, entry.asker, wanted)
            body = {"text": done.told, "asked_in": str(done.thread_id)}
            entry.events.append(Event(kind="notice", body=body))
            entry.facts |= {"reminder": done.short, "when": wanted.when, "text": wanted.what}
        said = ", ".join(f"{at:%Y-%m-%d %H:%M} UTC" for at in done.times)
        return f"Set as {done.short}. Due: {said}."
