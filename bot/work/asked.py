"""What a turn asks a person, and which answer somebody means; pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

TOOL = "tool:"
"""What the keys of questions begin with that agents ask by their tools."""
NO_ANSWER = ""
"""What the job is told when nobody answered in time."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked."""

    key: str
    """The asker's own name for it; what is asked twice is one question."""
    text: str
    choices: Sequence[str] = ()
    permitted: Collection[UUID] | None = None
    """Who may answer; None: who said something in the prompt, and who opened the session; empty:
    everybody."""
    closed: bool = False
    """Only one of the choices is an answer."""
    extends_micro: int | None = None
    """With its first choice the session may spend so much more."""


@dataclass(frozen=True, kw_only=True)
class OpenQuestion:
    """A question that nobody has answered yet."""

    id: UUID
    turn_id: UUID
    text: str
    choices: Sequence[str]
    permitted: frozenset[str]
    closed: bool = False
    extends_micro: int | None = None

    def may_answer(self, person_id: UUID) -> bool:
        """Whether this person's words are the answer."""
        return not self.permitted or str(person_id) in self.permitted

    def means(self, said: str) -> str | None:
        """The answer that somebody means; None: of a closed question it is none."""
        if self.closed:
            return choice_of(self.choices, said)
        return numbered(self.choices, said) or said


@dataclass(frozen=True, kw_only=True)
class Settled:
    """A question of a turn as the harness needs it after a rest."""

    key: str
    open: bool
    answer: str
    by: str | None = None
    """Name of who answered."""


def numbered(choices: Sequence[str], said: str) -> str | None:
    """The choice of that number, as they are shown; None: it is none, or choices are numbers."""
    words = said.strip().rstrip(".")
    if any(one.strip().isdecimal() for one in choices) or not words.isdecimal():
        return None
    return choices[int(words) - 1] if 1 <= int(words) <= len(choices) else None


def choice_of(choices: Sequence[str], said: str) -> str | None:
    """The choice that somebody means by its words, its number or how it begins; None: none.

    `continue` means “Continue with 5.00 more”, if no other choice begins so.
    """
    words = " ".join(said.split()).rstrip(".!").casefold()
    if words.isdecimal() and 1 <= int(words) <= len(choices):
        return choices[int(words) - 1]
    fitting = [one for one in choices if words and f"{one} ".casefold().startswith(f"{words} ")]
    return fitting[0] if len(fitting) == 1 else None
