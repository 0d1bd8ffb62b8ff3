"""What this process knows of its surfaces, and writes where every process reads it."""

import asyncio
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import structlog

from adapters.listening import Condition, Tell
from bot.store import surface_states
from bot.store.database import Database, may_pass
from bot.store.surface_states import REPORT_SECONDS, Said
from bot.switched import Mode, Switch
from scheduler.waits import first_of

log = structlog.get_logger(__name__)

WHY_LENGTH_MAX = 300


class Standings:
    """The condition of each surface in this process."""

    def __init__(self, switches: Mapping[str, Switch]) -> None:
        self._said = {name: _first(name, switch) for name, switch in switches.items()}
        self._remarks: dict[str, str] = {}
        self._changed = asyncio.Event()

    def tell_of(self, surface: str) -> Tell:
        """What a surface's listener is given."""
        return partial(self.tell, surface)

    def tell(self, surface: str, condition: Condition, why: str) -> None:
        """Take down how a surface does."""
        known = self._said[surface]
        if (known.state, condition) == (Condition.FAILING, Condition.CONNECTING):
            # It tries again; what failed counts until it comes to something.
            return
        remark = self._remarks.get(surface, "")
        shown = "; ".join(" ".join(part.split()) for part in (why, remark) if part)
        said = replace(known, state=condition, why=shown[:WHY_LENGTH_MAX])
        if said != known:
            self._said[surface] = said
            self._changed.set()

    def remark(self, surface: str, remark: str, *, mode: Mode, delay_seconds: float) -> None:
        """Something works otherwise than the settings want, from now on."""
        self._remarks[surface] = remark
        known = self._said[surface]
        self._said[surface] = replace(known, mode=mode, delay_seconds=delay_seconds, why=remark)

    def delay_seconds(self, surface: str) -> float:
        """How long to wait between two looks, where we ask."""
        return self._said[surface].delay_seconds

    @contextmanager
    def opening(self, surface: str) -> Iterator[None]:
        """What goes wrong within is that surface's trouble and nobody else's."""
        try:
            yield
        except Exception as error:
            log.exception("surface_not_opened", surface=surface)
            self.tell(surface, Condition.FAILING, brief(error))

    async def report(self, database: Database, owner: str, stop: asyncio.Event) -> None:
        """Write it down whenever it changes, and again and again, until `stop`."""
        try:
            while not stop.is_set():
                self._changed.clear()
                await _unless_away(surface_states.put(database, owner, self._said.values()))
                await first_of(stop, self._changed, seconds_max=REPORT_SECONDS)
        finally:
            await _unless_away(surface_states.forget(database, owner))


def brief(error: Exception) -> str:
    """What went wrong, for an operator: in one line."""
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def _first(name: str, switch: Switch) -> Said:
    return Said(
        surface=name,
        state=Condition.CONNECTING if switch.on else Condition.OFF,
        why=switch.missing,
        mode=switch.mode,
        delay_seconds=switch.delay_seconds,
    )


async def _unless_away(writing: Coroutine[Any, Any, None]) -> None:
    try:
        await writing
    except Exception as error:
        if not may_pass(error):
            raise
        log.warning("surfaces_not_reported", error=str(error))
