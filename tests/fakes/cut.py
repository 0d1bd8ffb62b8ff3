"""A database that is away for a while, under a process of ours that lives on."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from sqlalchemy.exc import OperationalError

from tests.fakes.mortal import Mortal
from vmpool.registry import Begin


class Cut(Mortal):
    """Counts transactions, and lets those from one of them on fail until it is over."""

    def __init__(self) -> None:
        super().__init__()
        self._until: int | None = None
        self.failed = 0
        """Transactions that found nobody since it began."""

    def after(self, transactions: int) -> None:
        """Let so many more begin; then the database is away."""
        self._until, self.failed = transactions, 0

    def over(self) -> None:
        """It is back."""
        self._until = None

    def step(self, name: str) -> None:
        """To tell a session something takes the database, too."""
        if self._until == 0:
            raise OperationalError(name, {}, Exception("the server closed the connection"))

    def begin(self, begin: Begin) -> Begin:
        """Transactions of this process."""

        def cut() -> AbstractAsyncContextManager[Any]:
            if self._until == 0:
                self.failed += 1
                raise OperationalError("BEGIN", {}, Exception("the server closed the connection"))
            if self._until is not None:
                self._until -= 1
            return begin()

        return cut

    def driver(self, driver: Any) -> Any:
        """The host goes on whatever becomes of the database."""
        return driver


class Unanswered(Cut):
    """One transaction is committed and nobody is told so: the connection breaks in that moment."""

    def step(self, name: str) -> None:
        pass

    def begin(self, begin: Begin) -> Begin:
        @asynccontextmanager
        async def unanswered() -> AsyncIterator[Any]:
            is_last = self._until == 0
            if self._until is not None:
                self._until -= 1
            async with begin() as tx:
                yield tx
            if is_last:
                self.failed += 1
                raise OperationalError("COMMIT", {}, Exception("the server closed the connection"))

        return unanswered
