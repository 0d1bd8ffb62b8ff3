"""How much each pool is asked for, from the machines that were handed out."""

from dataclasses import dataclass
from uuid import UUID

from vmpool.warm.rows import Rows


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What a pool should hold."""

    hot: int
    cold: int
    claims_per_hour: float
    why: str


@dataclass(frozen=True, kw_only=True)
class DemandLimits:
    """What bounds the machines of one pool."""

    hot_min: int
    hot_max: int
    cold_min: int
    cold_max: int
    keep_seconds: float


class Demands:
    """What every pool of a host should hold."""

    def __init__(self, rows: Rows, limits: DemandLimits) -> None:
        self._rows = rows
        self._limits = limits
        self.refill_seconds = 5.0

    async def refresh(self) -> None:
        """Read what was handed out since."""

    def targets(self, key: tuple[UUID, str], refill_seconds: float) -> Targets:
        """What the pool should hold now, when a machine takes so long to become hot."""
        return Targets(
            hot=self._limits.hot_min,
            cold=self._limits.cold_min,
            claims_per_hour=1.0,
            why="the least that a used pool holds",
        )
