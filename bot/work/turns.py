"""The turns of a worker: each is run with the same means, and gives its lease back."""

import structlog

from bot.errors import Bug
from bot.words.catalogue import gettext as _
from bot.work.lease import Lease
from bot.work.queue import LeaseLost
from bot.work.suspending import Suspended
from bot.work.turn import Turn
from bot.work.turn_means import Means
from bot.work.watching import HandedBack, TurnSignals
from bot.work.workplace import HostBack

log = structlog.get_logger(__name__)


class Turns:
    """Runs the turns of leased sessions."""

    def __init__(self, means: Means) -> None:
        """`means` of all of them."""
        self._means = means

    async def run(self, lease: Lease, signals: TurnSignals) -> None:
        """Run one turn of the leased session and give the lease back, whatever happens.

        :raises NoCapacity: nothing was begun; the lease is still held
        """
        try:
            await Turn(self._means, lease, signals).run()
        except LeaseLost:
            log.warning("lease_lost", session=lease.short)
        except (HandedBack, HostBack):
            await self._means.queue.hand_back(lease)
            log.info("turn_handed_back")
        except Suspended:
            log.info("turn_waits_for_answer")

    async def give_up(self, lease: Lease, error: Exception) -> None:
        """End the turn that can't be run for a reason that nobody foresaw, and give the lease back.

        :raises LeaseLost:
        """
        bug = Bug(
            _("an error of ours ended this turn ({name})", name=type(error).__name__),
            kept=_("its command may still run in the machine"),
            do=_("the log of `ona work` has the whole story"),
        )
        await Turn(self._means, lease, TurnSignals()).fail(bug)
