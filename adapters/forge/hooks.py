"""What a forge's webhook delivers is heard, or refused."""

from collections.abc import Mapping
from typing import Protocol

from adapters.chat.incoming import Hear


class HookRefused(Exception):
    """A delivery that is not taken, now or later; nothing was heard."""


class Oversized(HookRefused):
    """It is longer than what is read."""


class Unsigned(HookRefused):
    """Nothing shows that it comes from the forge: the secrets differ, or it is too old."""


class Malformed(HookRefused):
    """It comes from the forge, and is nothing that a forge sends."""


class Hooks(Protocol):
    """Hears what the webhooks of one forge tell."""

    async def take(self, headers: Mapping[str, str], body: bytes, hear: Hear) -> None:
        """Hear a delivery; all of it is committed on return.

        :raises HookRefused: see there
        :raises ChatError: the forge can't be asked what more there is to know; the poll finds it
        """
        ...
