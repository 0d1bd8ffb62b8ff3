"""A chat whose people speak to an installation, and hear what is whispered to them."""

import itertools
from dataclasses import dataclass, field, replace
from datetime import datetime

import pytest

from adapters.chat.incoming import Author, Reacted, Reworded, Said, Spot, Withdrawn
from adapters.chat.port import Sign
from bot.conversation.hearing import Chats
from tests.fakes.chat import FakeChat

SURFACE = "fake"
SPOT = Spot(surface=SURFACE, channel="T/C", place="T/C/1")


class WhisperingChat(FakeChat):
    """A surface on which hints can be heard."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1")
        self.whispers: list[tuple[str, str, tuple[str, ...]]] = []

    async def whisper(self, place, person, text, buttons=()):
        self.whispers.append((person, text, tuple(button.says for button in buttons)))


class SigningChat(FakeChat):
    """A surface on which nobody can be told anything alone."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1")
        self.signs: list[tuple[str, Sign | None]] = []

    async def react(self, place, ref, sign, deadline):
        self.signs.append((ref, sign))


@dataclass(kw_only=True)
class Room:
    """One channel of the surface."""

    chats: Chats
    port: WhisperingChat | SigningChat
    numbers: itertools.count = field(default_factory=lambda: itertools.count(1))

    @property
    def whispers(self):
        return self.port.whispers

    def message(self, text="!true", *, by="ann", to_us=True, spot=SPOT, **more) -> Said:
        number = next(self.numbers)
        standing = more.pop("standing", "member")
        made = Said(
            spot=spot,
            author=Author(account="T", id=by, name=by.title(), standing=standing),
            delivery=f"d{number}",
            key=f"T/C/{number}",
            ref=str(number),
            text=text,
            to_us=to_us,
        )
        return replace(made, **more)

    async def say(self, text="!true", **more) -> Said:
        message = self.message(text, **more)
        await self.chats.hear(message)
        return message

    async def edit(self, message: Said, text: str, *, at: datetime | None = None) -> None:
        await self.chats.hear(
            Reworded(spot=message.spot, author=message.author, key=message.key, text=text, at=at)
        )

    async def delete(self, message: Said) -> None:
        await self.chats.hear(Withdrawn(spot=message.spot, author=message.author, key=message.key))

    async def react(self, ref: str, *, by="ann", shared=False) -> None:
        await self.chats.hear(
            Reacted(
                surface=SURFACE,
                channel="T/C",
                shared=shared,
                author=Author(account="T", id=by, name=by.title()),
                delivery=f"r{next(self.numbers)}",
                ref=ref,
            )
        )


async def _room(town, port):
    yield Room(chats=Chats(town.database, town.inbox, {SURFACE: port}, mention="ona"), port=port)
    await port.close()


@pytest.fixture
async def room(town):
    async for room in _room(town, WhisperingChat()):
        yield room


@pytest.fixture
async def deaf_room(town):
    async for room in _room(town, SigningChat()):
        yield room
