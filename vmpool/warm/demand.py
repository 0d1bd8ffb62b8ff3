"""How much each pool of a host is asked for, from the machines that were handed out."""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

from vmpool.warm import past, sizing
from vmpool.warm.past import EMPTY, HISTORY_SECONDS, Profile
from vmpool.warm.rows import Asked, Rows
from vmpool.warm.sizing import SizingLimits, Targets

Key = tuple[UUID, str]
"""A pool: project and size."""
LEARN_SECONDS = 1800.0
"""A profile of weeks changes slowly: it is learnt anew so often."""
LEARNT_AGAIN_MAX = 4
"""Profiles learnt anew in one look: each takes some 10 ms, in which nothing else is done."""


def local_now() -> datetime:
    """The time of the people whom this host works for, as far as the host knows."""
    return datetime.now(UTC).astimezone()


class Demands:
    """Remembers when machines were asked for, and says what every pool should hold."""

    def __init__(
        self,
        rows: Rows,
        limits: SizingLimits,
        *,
        at_once: int,
        now: Callable[[], datetime] = local_now,
    ) -> None:
        """`at_once` machines are made ready at a time."""
        self._rows = rows
        self._limits = limits
        self._at_once = at_once
        self._now = now
        self._claims: dict[Key, list[float]] = {}
        self._read_to: datetime | None = None
        self._heard: dict[UUID, datetime] = {}
        """Claims that are known, by the id of the row that they are or will be."""
        self._profiles: dict[Key, tuple[float, Profile]] = {}
        self._learnt_again = 0
        """Since the last `refresh`."""

    def hear(self, handed_out: Iterable[Asked]) -> None:
        """What this process handed out: a burst is answered before its rows are written."""
        for asked in handed_out:
            if asked.id not in self._heard:
                self._heard[asked.id] = asked.at
                claims = self._claims.setdefault((asked.project_id, asked.size), [])
                insort(claims, asked.at.timestamp())

    async def refresh(self) -> None:
        """Read what was handed out since the last time; begins a look."""
        self._learnt_again = 0
        if self._read_to is not None and self._now() < self._read_to:
            # The clock was set back: what comes now lies before what was read.
            self._claims.clear()
            self._heard.clear()
            self._read_to = None
        since = self._read_to or self._now() - timedelta(seconds=HISTORY_SECONDS)
        if rows := await self._rows.handouts(since):
            self.hear(rows)
            self._read_to = rows[-1].at

    async def forget(self) -> None:
        """Remove what is older than anybody looks back, here and in the rows."""
        oldest = self._now() - timedelta(seconds=HISTORY_SECONDS)
        await self._rows.forget_handouts(oldest)
        self._heard = {one: at for one, at in self._heard.items() if at >= oldest}
        for claims in self._claims.values():
            # The last one is kept: it says when the pool was used.
            del claims[: min(bisect_left(claims, oldest.timestamp()), len(claims) - 1)]

    def targets(self, key: Key, refill_seconds: float) -> Targets:
        """What the pool should hold now, when a machine takes so long to become hot."""
        now = self._now()
        claims = self._claims.get(key, [])
        recent = now.timestamp() - sizing.recent_seconds(refill_seconds)
        start = min(bisect_left(claims, recent), max(0, len(claims) - 1))
        return sizing.targets(
            self._profile(key, claims, now, refill_seconds),
            claims[start:],
            now,
            refill_seconds=refill_seconds,
            at_once=self._at_once,
            limits=self._limits,
        )

    def _profile(
        self, key: Key, claims: list[float], now: datetime, refill_seconds: float
    ) -> Profile:
        learnt, known = self._profiles.get(key, (float("-inf"), EMPTY))
        moment = now.timestamp()
        is_stale = not learnt <= moment < learnt + LEARN_SECONDS
        # A pool that nothing is known of is learnt at once.
        if is_stale and (key not in self._profiles or self._learnt_again < LEARNT_AGAIN_MAX):
            self._learnt_again += key in self._profiles
            known = past.profile(
                claims,
                moment,
                refill_seconds=refill_seconds,
                at_once=self._at_once,
                utc_offset_seconds=sizing.utc_offset(now),
            )
            self._profiles[key] = moment, known
        return known
