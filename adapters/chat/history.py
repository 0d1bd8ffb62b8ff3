"""What was said in a thread before we were asked: how much of it we take along; pure."""

from collections.abc import Sequence
from dataclasses import replace

from adapters.chat.incoming import Quoted

HISTORY_SECONDS = 1.2
"""For reading it: a surface waits three seconds for the acknowledgement of the message itself."""
MESSAGES_MAX = 50
MESSAGE_LENGTH_MAX = 4_000
"""Characters of one message."""
LENGTH_MAX = 20_000
"""Characters of all of them."""


def bounded(said: Sequence[Quoted]) -> tuple[Quoted, ...]:
    """The first message, which says what the thread is about, and the newest ones that fit.

    :param said: in the order in which it was said
    """
    words = [_cut(one) for one in said if one.text.strip()]
    if not words:
        return ()
    first, *others = words
    room = LENGTH_MAX - len(first.text)
    newest: list[Quoted] = []
    for one in reversed(others[-(MESSAGES_MAX - 1) :]):
        room -= len(one.text)
        if room < 0:
            break
        newest.append(one)
    return (first, *reversed(newest))


def _cut(one: Quoted) -> Quoted:
    if len(one.text) <= MESSAGE_LENGTH_MAX:
        return one
    return replace(one, text=one.text[: MESSAGE_LENGTH_MAX - 1] + "…")
