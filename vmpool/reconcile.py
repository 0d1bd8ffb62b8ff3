"""Makes the rows of a host's machines and what is really there agree; at start and on a clock."""

from collections import Counter
from uuid import UUID

import structlog

from vmpool.decide import Remedy, remedy
from vmpool.driver import Driver, Found, Sight
from vmpool.errors import MachineLost
from vmpool.machine import Machine
from vmpool.pool import Pool
from vmpool.registry import Registry

log = structlog.get_logger(__name__)


async def reconcile(pool: Pool, registry: Registry, driver: Driver) -> Counter[Remedy]:
    """Repair every machine that no turn holds; returns how often each remedy was needed.

    What somebody is at, or was at since its row was read, is left for the next time, and so is
    what can't be repaired now. What no row owns is removed; a row without its machine is told to
    its session.
    """
    counts: Counter[Remedy] = Counter()
    rows = {str(machine.id): machine for machine in await registry.mine()}
    seen = {sight.machine_id: sight for sight in await driver.find()}
    for machine_id in rows.keys() | seen.keys():
        sight = seen.get(machine_id, Sight(machine_id=machine_id, found=Found.ABSENT))
        machine = rows.get(machine_id)
        try:
            if machine is None:
                await _repair_unowned(sight, registry, driver, counts)
            else:
                await _repair_owned(machine, sight, pool, counts)
        except Exception:
            # One machine keeps no other from being repaired, and no process from its start.
            log.exception("machine_not_repaired", machine=machine_id)
    return counts


async def _repair_unowned(
    sight: Sight, registry: Registry, driver: Driver, counts: Counter[Remedy]
) -> None:
    known = await registry.get(UUID(sight.machine_id)) if _is_id(sight.machine_id) else None
    needed = remedy(known.state if known else None, sight.found, sight.broken)
    counts[needed] += 1
    if needed is Remedy.REMOVE:
        log.warning("unowned_machine_removed", machine=sight.machine_id)
        await driver.destroy(sight.machine_id)


async def _repair_owned(
    machine: Machine, sight: Sight, pool: Pool, counts: Counter[Remedy]
) -> None:
    async with pool.alone(machine) as as_read:
        if as_read:
            needed = remedy(machine.state, sight.found, sight.broken)
            counts[needed] += 1
            await _repair(needed, machine, sight, pool)


async def _repair(needed: Remedy, machine: Machine, sight: Sight, pool: Pool) -> None:
    match needed:
        case Remedy.NONE:
            return
        case Remedy.ADOPT:
            await pool.adopt(machine)
        case Remedy.RESTED:
            try:
                await pool.care.settle_rest(machine.id)
            except MachineLost as error:
                await pool.care.lose_what_was(machine, str(error))
        case Remedy.LOSE:
            why = sight.broken or "its process ended while nobody watched"
            await pool.care.lose_what_was(machine, why)
        case Remedy.REMOVE | Remedy.GONE:
            await pool.care.remove(machine.id, machine.note or "its removal was interrupted")


def _is_id(name: str) -> bool:
    try:
        UUID(name)
    except ValueError:
        return False
    return True
