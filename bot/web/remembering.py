"""The shapes of the API about a project's memory."""

from datetime import datetime

from pydantic import Field

from bot.web.shapes import Given, Taken
from bot.work.memory import NOTE_BYTES_MAX


class NoteName(Given):
    """What is known of a note, without its words."""

    name: str
    size: int = Field(description="bytes, in UTF-8")
    by: str | None = Field(description="who wrote it last, or for whom an agent did")
    session: str = Field(description="whose agent wrote it; empty: the person themselves")
    updated_at: datetime


class Note(NoteName):
    """A note."""

    text: str


class Notes(Given):
    """The notes of a project by name."""

    notes: list[NoteName]


class NewNote(Taken):
    """A note to write, over the one of that name."""

    text: str = Field(max_length=NOTE_BYTES_MAX)
