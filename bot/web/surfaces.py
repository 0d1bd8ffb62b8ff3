"""How the surfaces do, as every process of the installation has written it."""

from bot.govern.access import Act
from bot.store import surface_states
from bot.store.surface_states import SurfaceStatus
from bot.switched import SURFACES
from bot.web.reading import Row
from bot.web.services import Services
from bot.web.visitor import Visitor
from bot.words.listening import NAMES, way_in

SILENT = "silent"
"""State of a surface of which no process says anything."""


async def surfaces(visitor: Visitor, services: Services) -> list[Row]:
    """Every surface that needs settings; for operators, because reasons tell of the inside."""
    visitor.require(Act.SURFACES)
    async with services.database.begin() as tx:
        found = await surface_states.statuses(tx, SURFACES)
    return [_row(one) for one in found]


def _row(one: SurfaceStatus) -> Row:
    silent = "no process of ona serve has said anything lately; look at its log"
    return {
        "surface": one.surface,
        "name": NAMES[one.surface],
        "state": SILENT if one.state is None else str(one.state),
        "why": silent if one.state is None else one.why,
        "since": one.since,
        "mode": one.mode,
        "delay_seconds": one.delay_seconds,
        "way_in": way_in(one.mode, one.delay_seconds),
        "unsent": one.unsent,
        "unsent_since": one.unsent_since,
        "processes": [
            {"owner": each.owner, "state": str(each.state), "why": each.why, "since": each.at}
            for each in one.processes
        ],
    }
