"""What turns are run with, and what bounds one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from adapters.agent import port
from bot.govern.grants import Grants
from bot.govern.offers import Offer
from bot.govern.rights import Rights
from bot.work.bounds import SessionLimits
from bot.work.delivery import Delivery
from bot.work.instructing import Instructing
from bot.work.work_queue import WorkQueue
from bot.work.workplace import Workplaces


@dataclass(frozen=True, kw_only=True)
class TurnLimits:
    """What bounds a turn."""

    seconds_max: float
    output_bytes_max: int
    question_seconds_max: float
    session: SessionLimits = field(default_factory=SessionLimits)


@dataclass(frozen=True, kw_only=True)
class Means:
    """What turns are run with."""

    queue: WorkQueue
    workplaces: Workplaces
    agents: Mapping[str, port.Agent]
    """By the names that sessions use; `shell` runs every `!command`."""
    limits: TurnLimits
    grants: Grants | None = None
    """None: there is no Vault, and no turn gets any."""
    delivery: Delivery | None = None
    """None: what turns leave stays in their machines and checkpoints."""
    servers: Sequence[port.Server] = ()
    """What agents are told of."""
    offers: Sequence[Offer] = ()
    """With what a turn can go on whose provider of models failed."""
    rights: Rights | None = None
    """Who may do what; None: everybody of the installation may everything."""
    instructing: Instructing | None = None
    """None: agents are told nothing besides what their repositories tell them."""
