"""Bytes on their way to somebody who may take them slower than they come."""

from collections import deque
from collections.abc import Callable


class Outgoing:
    """What was not taken yet, in order; it is true as long as there is some."""

    def __init__(self) -> None:
        self._parts: deque[memoryview] = deque()
        self.length = 0
        """In bytes."""

    def __bool__(self) -> bool:
        return bool(self._parts)

    def add(self, data: bytes) -> None:
        """Put it behind the rest."""
        self._parts.append(memoryview(data))
        self.length += len(data)

    def clear(self) -> None:
        """Forget what nobody takes any more."""
        self._parts.clear()
        self.length = 0

    def write(self, write: Callable[[memoryview], int]) -> None:
        """Write until all is taken, or no more is taken now.

        :param write: returns how many bytes were taken
        :raises OSError: nobody takes them any more
        """
        while self._parts:
            part = self._parts[0]
            try:
                count = write(part)
            except BlockingIOError:
                return
            self.length -= count
            if count < len(part):
                self._parts[0] = part[count:]
            else:
                self._parts.popleft()
