"""One lock for each channel, so that its messages are heard in order."""

from asyncio import Lock
from weakref import WeakValueDictionary


class Locks:
    """Locks by key; one that nobody holds or waits for is forgotten."""

    def __init__(self) -> None:
        """There is none before it is asked for."""
        self._locks: WeakValueDictionary[str, Lock] = WeakValueDictionary()

    def __len__(self) -> int:
        """How many are held or waited for."""
        return len(self._locks)

    def of(self, key: str) -> Lock:
        """The lock of a channel; whoever has it keeps it the same for all."""
        return self._locks.setdefault(key, Lock())
