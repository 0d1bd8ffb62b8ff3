"""What a machine is, judged from what was seen of it. Pure."""

from vmpool.driver import Found, Sight
from vmpool.rest import RestState


def judged(
    machine_id: str, *, rest: RestState, refusal: str | None, pid: int | None, durable: bool
) -> Sight:
    """Judge one machine whose directory exists.

    A complete rest outweighs a live process: no guest code has run since it was written, so the
    process is one that should have ended, or that was just loading it.
    """
    if rest is RestState.COMPLETE and refusal is None:
        return Sight(machine_id=machine_id, found=Found.RESTING, pid=pid, durable=durable)
    if rest is RestState.COMPLETE or pid is None:
        return Sight(machine_id=machine_id, found=Found.STOPPED, pid=pid, broken=refusal)
    # A partial or used rest beside a live process is mended when it is next spoken to.
    broken = refusal if rest is RestState.NONE else None
    return Sight(machine_id=machine_id, found=Found.RUNNING, pid=pid, broken=broken)
