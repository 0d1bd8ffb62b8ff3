"""What an agent is asked when a reminder is due that it shall answer, and what it said; pure."""

from collections.abc import Sequence
from typing import Any

NOTHING_CHANGED = "NOTHING_CHANGED"
"""The whole answer of an agent that found nothing new."""
ANSWER_LENGTH_MAX = 1_500
"""Characters of an answer that are posted: a few sentences; the rest is on its session's page."""
_ONLY_CHANGED = (
    f" Your answer of last time is quoted below. If nothing that it tells has changed, answer with"
    f" the one word {NOTHING_CHANGED} and nothing else; then nobody is told anything."
)


def asked_of_agent(row: Any) -> str:
    """The prompt of a reminder, of which a row of `bot.automate.reminders.firings` is given."""
    return (
        f"It is {row.now:%Y-%m-%d %H:%M} UTC. {row.creator} asked to have this answered at this"
        f" time ({row.said}, {row.zone}). Look at how things stand now and answer in a few"
        f" sentences; your last message is what is posted. You may read and not write: change"
        f" nothing in the repository and open nothing, and ask nobody anything."
        f"{_ONLY_CHANGED if compares(row) else ''}\n\n{row.what}"
    )


def compares(row: Any) -> bool:
    """Whether the agent is shown what it answered last; the first time there is nothing."""
    return bool(row.only_changed and row.last_answer)


def is_unchanged(answer: str) -> bool:
    """Whether an answer says that nothing changed."""
    return answer.strip(" \t\r\n`*_.!\"'") == NOTHING_CHANGED


def last_words(events: Sequence[tuple[str, str]]) -> str:
    """What an agent said last: its words after the last tool that it used before them.

    :param events: kind and text of a turn's events, in order; without any words of the agent its
        output counts, as that of a command
    """
    said: list[str] = []
    for kind, words in reversed(events):
        if kind == "text":
            said.append(words)
        elif said:
            break
    said = said or [words for kind, words in reversed(events) if kind == "output"]
    return "".join(reversed(said)).strip()


def shown(answer: str) -> str:
    """An answer as far as it is posted."""
    if len(answer) <= ANSWER_LENGTH_MAX:
        return answer
    return answer[: ANSWER_LENGTH_MAX - 1].rstrip() + "…"
