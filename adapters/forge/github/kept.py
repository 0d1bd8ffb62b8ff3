"""Answers that are used again for a while."""

from typing import Generic, TypeVar

from adapters.chat.port import Deadline

KEPT_MAX = 2_000

T = TypeVar("T")


class Kept(Generic[T]):
    """Answers by key, each until its time; of too many, the oldest go first."""

    def __init__(self) -> None:
        self._answers: dict[str, tuple[Deadline, T]] = {}

    def get(self, key: str) -> T | None:
        """What is kept under the key."""
        until, answer = self._answers.get(key, (None, None))
        if until is None or until.left_seconds <= 0:
            return None
        return answer

    def put(self, key: str, answer: T, seconds: float) -> None:
        """Keep an answer for so long."""
        self._answers.pop(key, None)
        while len(self._answers) >= KEPT_MAX:
            del self._answers[next(iter(self._answers))]
        self._answers[key] = (Deadline.after(seconds), answer)

    def drop(self, key: str) -> bool:
        """Forget what is kept under the key. True: there was something."""
        return self._answers.pop(key, None) is not None
