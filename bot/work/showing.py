"""Pictures of a session's previews, taken in its machine when a turn delivers something.

The agent may have shown what it made itself; then nothing is added. Nothing here is told when it
fails: nobody asked for it, and most machines have no browser.
"""

from dataclasses import dataclass, field

import structlog
from sqlalchemy import text

from bot.store.database import Database
from bot.work.lease import OpenTurn
from bot.work.workplace import Workplace
from vmpool.errors import MachineError

log = structlog.get_logger(__name__)

SHOWN_MAX = 2
"""Of one turn, the previews that were made last."""
SECONDS_MAX = 120.0
"""For one; the machine's program gives up before."""

_PORTS = text(
    """
    SELECT preview.port
      FROM preview JOIN turn ON turn.session_id = preview.session_id
     WHERE turn.id = :turn AND preview.revoked_at IS NULL AND preview.expires_at > now()
       AND NOT EXISTS (SELECT FROM picture WHERE turn_id = turn.id AND posted_at IS NOT NULL)
     GROUP BY preview.port ORDER BY max(preview.created_at) DESC, preview.port LIMIT :most
    """
)


@dataclass(kw_only=True)
class Showing:
    """Shows the previews of a turn's session, once."""

    database: Database
    turn: OpenTurn
    place: Workplace
    _is_done: bool = field(default=False)

    async def show(self) -> None:
        """Let the machine's own `ona-preview` post pictures of what answers."""
        if self._is_done or self.place.machine is None:
            return
        self._is_done = True
        async with self.database.begin() as tx:
            wanted = {"turn": self.turn.id, "most": SHOWN_MAX}
            ports = list((await tx.execute(_PORTS, wanted)).scalars())
        around = [f"{name}={value}" for name, value in self.place.environment.items()]
        for port in ports:
            argv = ["env", *around, "ona-inside", "ona-preview", str(port), "--picture"]
            try:
                done = await self.place.machine.run(argv, timeout_seconds=SECONDS_MAX)
            except (MachineError, OSError) as error:
                log.info("preview_not_shown", port=port, why=str(error))
                return
            if done.exit_status != 0:
                why = done.stderr.decode("utf-8", "replace").strip()[-400:]
                log.info("preview_not_shown", port=port, why=why)
