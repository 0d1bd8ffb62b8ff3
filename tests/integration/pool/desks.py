"""A session of a project whose repository is a directory here, and its way to a machine."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import text

from bot.store.blobs import DirectoryBlobs
from bot.work.checkpoint import Checkpoints
from bot.work.lease import Lease, OpenTurn
from bot.work.machines import MachineWorkplaces
from bot.work.queue import Event
from bot.work.repository import Repositories
from bot.work.sizes import MachineSize, Sizes
from bot.work.work_queue import WorkQueue
from tests.fakes import git_tree
from tests.integration.conftest import Town
from tests.integration.pool.conftest import SPEC, Yard, Yards

_POINT = text("UPDATE project SET repository_url = :url")
SIZES = Sizes(
    by_name={
        "small": MachineSize(vcpus=1, memory_mib=128, disk_gib=1),
        "medium": MachineSize(vcpus=2, memory_mib=256, disk_gib=1),
        "large": MachineSize(vcpus=4, memory_mib=512, disk_gib=1),
    },
    default="small",
)
LIMITS = {"bytes_max": 1 << 20, "inline_bytes_max": 1 << 16, "file_bytes_max": 1 << 18}


@dataclass(kw_only=True)
class Desk:
    """A session of a project whose repository is a directory here."""

    yard: Yard
    queue: WorkQueue
    lease: Lease
    workplaces: MachineWorkplaces
    checkpoints: Checkpoints
    directory: Path
    steps: list[str] = field(default_factory=list)
    bodies: list[Mapping[str, object]] = field(default_factory=list)
    """Of the steps."""
    told: list[str] = field(default_factory=list)
    """Notices besides those of the workplace."""

    async def tell(self, event: Event) -> None:
        if event.kind == "notice":
            self.told.append(event.body["text"])
        else:
            self.steps.append(event.body["step"])
            self.bodies.append(event.body)

    def enter(self, turn: OpenTurn | None = None):
        return self.workplaces.enter(self.lease, turn, self.tell)

    async def turn(self, machine_id) -> OpenTurn:
        turn = await self.queue.begin_turn(self.lease, machine_id)
        assert turn is not None
        return turn

    async def machine_removed(self, machine_id) -> None:
        """As a person asks for it; the work in it goes with it."""
        assert await self.yard.pool.destroy(machine_id, "a person asked for it")
        shutil.rmtree(self.directory.parent)
        self.directory.parent.mkdir()


async def open_desk(yards: Yards, town: Town, root: Path, **limits) -> Desk:
    """A session that holds its lease; what its machine has of files is below `root`."""
    yard = yards.make(**limits)
    git_tree.make(root / "origin", {b"README": b"hello\n"})
    async with town.database.begin() as tx:
        await tx.execute(_POINT, {"url": str(root / "origin")})
    await town.say("!work")
    queue = town.queue("w")
    lease = await queue.claim()
    assert lease is not None

    async def image():
        return SPEC.image

    (root / "work").mkdir()
    checkpoints = Checkpoints(town.database, DirectoryBlobs(root / "blobs"), **LIMITS)
    workplaces = MachineWorkplaces(
        town.database,
        yard.pool,
        Repositories(root / "mirrors"),
        checkpoints,
        host_id=town.host_id,
        image=image,
        sizes=SIZES,
        work=str(root / "work"),
    )
    return Desk(
        yard=yard,
        queue=queue,
        lease=lease,
        workplaces=workplaces,
        checkpoints=checkpoints,
        directory=root / "work" / "demo",
    )
