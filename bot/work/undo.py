"""Which turn `undo` takes back, and to what; pure.

Turns that were taken back, and the ways back themselves, count as if they had never been. What a
session was like before a turn is what it was like after the one before that counts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from bot.store.states import TurnState
from bot.words.amounts import short

UNDO = "undo"
"""The kind of a prompt that takes a turn back."""
SAID_LENGTH_MAX = 60
"""Of the prompt whose turn it was: enough to tell which."""


def said(kind: str, text: str) -> str:
    """The prompt of a turn, as far as it takes to know it again; `kind` and `text` are its own."""
    return ("!" if kind == "command" else "") + short(text, SAID_LENGTH_MAX)


@dataclass(frozen=True, kw_only=True)
class PastTurn:
    """A turn of a session that has ended."""

    id: UUID
    kind: str
    """Of its prompt."""
    text: str
    state: TurnState
    worked: bool
    """It had a machine."""
    checkpoint_id: UUID | None
    """What its files were like at its end; None: not saved."""
    undone: bool


@dataclass(frozen=True, kw_only=True)
class Back:
    """What is taken back."""

    turn: PastTurn
    checkpoint_id: UUID | None
    """What it goes back to; None: how the session began."""


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """The last turn can't be taken back: what it was like before it was never saved."""

    turn: PastTurn


def decide(turns: Sequence[PastTurn]) -> Back | Unknown | None:
    """What `undo` takes back; None: there is no turn left.

    :param turns: the newest first
    """
    left = _left(turns)
    last = next(left, None)
    if last is None:
        return None
    for before in left:
        if before.checkpoint_id is not None:
            return Back(turn=last, checkpoint_id=before.checkpoint_id)
        if _changed_files(before):
            return Unknown(turn=last)
    return Back(turn=last, checkpoint_id=None)


def _left(turns: Sequence[PastTurn]) -> Iterator[PastTurn]:
    return (one for one in turns if one.kind != UNDO and not one.undone)


def _changed_files(turn: PastTurn) -> bool:
    """Whether files that a later turn found may be its work.

    One without a machine had none to change; one whose machine is gone left the checkpoint before.
    """
    return turn.worked and turn.state is not TurnState.INTERRUPTED


def for_agent(prompts: Sequence[str]) -> str:
    """A line below the next prompt, for an agent that reads; "" when nothing was taken back."""
    if not prompts:
        return ""
    named = ", ".join(f"“{short(text, SAID_LENGTH_MAX)}”" for text in prompts)
    what = "turn before this one was" if len(prompts) == 1 else "turns before this one were"
    return (
        f"(From ona: your {what} taken back: {named}. Files and branch are as they were before; "
        "what you remember of it is not there any more, and is not wanted unless the prompt above "
        "says so.)"
    )
