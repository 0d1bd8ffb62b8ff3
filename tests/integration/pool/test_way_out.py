"""A machine without a network device has its way out over its channel, as long as that is open."""

from uuid import UUID

from vmpool.errors import MachineLost
from vmpool.network.way_out import Listen


class Door:
    """Who is served."""

    def __init__(self, *, breaks: bool = False) -> None:
        self.breaks = breaks
        self.served: list[UUID] = []
        self.times = 0

    async def serve_over(self, machine: UUID, listen: Listen) -> None:
        self.times += 1
        if self.breaks:
            raise MachineLost("nobody may listen there")
        assert callable(listen)
        self.served.append(machine)

    async def detach(self, machine: UUID) -> None:
        if machine in self.served:
            self.served.remove(machine)


async def test_it_is_served_while_its_channel_is_open(yards):
    door = Door()
    yard = yards.make(way_out=door)
    session = await yard.session()
    machine_id = await yard.opened(session)
    assert door.served == [machine_id]
    await yard.opened(session)
    assert (door.served, door.times) == ([machine_id], 1)
    assert await yard.pool.rest(machine_id)
    assert door.served == []
    await yard.opened(session)
    assert (door.served, door.times) == ([machine_id], 2)
    await yard.pool.destroy(machine_id, "a test")
    assert door.served == []


async def test_a_way_out_that_does_not_open_keeps_nobody_from_the_machine(yards):
    door = Door(breaks=True)
    yard = yards.make(way_out=door)
    async with yard.open(await yard.session()) as opened:
        done = await opened.channel.run(["echo", "on"], timeout_seconds=10)
    assert done.stdout == b"on\n"
    assert door.times == 1
