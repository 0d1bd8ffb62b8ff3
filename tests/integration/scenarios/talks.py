"""How people talk to an installation on each surface, for scenarios that are the same everywhere.

A talk is a surface with Ann and Bo on it, who may both ask. What a surface can't have is not among
its capabilities, and no scenario of it is generated there.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

from tests.integration.conftest import Town

WAIT_SECONDS_MAX = 100.0

Thread = Any
"""A thread as its talk knows it."""
Message = Any


class Talk(Protocol):
    """A surface, and what Ann and Bo do there."""

    name: str
    stops: ClassVar[Sequence[str]]
    """Ways of stopping a turn beside the API."""
    asks_which: ClassVar[bool]
    """Several projects can be meant, and a button says which."""
    confides: ClassVar[bool]
    """A person can be written to alone."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """The section of the settings, by its name."""
        ...

    def accounts(self) -> Mapping[str, tuple[str, str]]:
        """Surface and id of the account of each person, by their name."""
        ...

    async def hooked(self, url: str) -> None:
        """Deliveries over HTTP arrive at `url`."""
        ...

    async def ready(self) -> None:
        """Wait until we listen."""
        ...

    async def begins(self, text: str, by: str = "ann") -> Thread:
        """Say something to us where nobody has before."""
        ...

    async def says(self, thread: Thread, text: str, by: str = "ann") -> Message:
        """Say something to us in a thread."""
        ...

    async def edits(self, message: Message, text: str, by: str = "ann") -> None:
        """Change what was said to us."""
        ...

    async def stop(self, thread: Thread, how: str) -> None:
        """Stop what runs, in one of the ways that there are."""
        ...

    def posts(self, thread: Thread) -> list[str]:
        """What everybody reads of us in a thread, in order."""
        ...


class Asking(Talk, Protocol):
    """A surface on which a button says which project is meant."""

    async def chooses(self, thread: Thread, project: str) -> None:
        """Press the button of a project."""
        ...

    async def doubts(self, thread: Thread) -> None:
        """Say that what runs is about another project than meant."""
        ...


class Confiding(Talk, Protocol):
    """A surface on which a person can be written to alone."""

    def confided(self, by: str = "ann") -> list[str]:
        """What we have written to a person alone."""
        ...


async def until(holds: Any, what: object = "") -> None:
    """Wait until a function, plain or of a coroutine, returns something true."""
    try:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while True:
                found = holds()
                if await found if asyncio.iscoroutine(found) else found:
                    return
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not within {WAIT_SECONDS_MAX:g} s: {what}") from None


async def shown(talk: Talk, thread: Thread, *words: str, count: int = 1) -> list[str]:
    """Wait until so many posts of ours have these words in them; all that there are."""

    def fitting() -> bool:
        return sum(all(word in one for word in words) for one in talk.posts(thread)) >= count

    try:
        await until(fitting)
    except AssertionError:
        raise AssertionError(f"no {words} among {talk.posts(thread)}") from None
    return talk.posts(thread)


async def told(talk: Talk, thread: Thread, *words: str) -> None:
    """Wait until these words are told to Ann: alone where that can be, else in the thread."""
    hinted = getattr(talk, "hinted", None)
    read = hinted if hinted is not None else lambda: talk.posts(thread)
    await until(lambda: any(all(word in one for word in words) for one in read()), words)


async def counted(town: Town, statement: str, count: int) -> None:
    """Wait until a statement counts so many."""

    async def fitting() -> bool:
        return bool(await town.value(statement) == count)

    await until(fitting, statement)
