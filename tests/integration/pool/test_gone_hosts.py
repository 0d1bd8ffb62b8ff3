"""Workers of several hosts, one of them gone: what becomes of turns, and who is told."""

from dataclasses import replace

import pytest
from sqlalchemy import text

from tests.integration.pool.test_silent_hosts import (  # noqa: F401
    LARGE_BYTES,
    TOLD,
    Desk,
    Hosts,
    hosts,
)
from tests.support.shift import Shift, until
from vmpool.machine import MachineState
from vmpool.reconcile import reconcile

_OVER = text("UPDATE session SET lease_until = now() - interval '1 s'")
TURNS = "SELECT state, outcome ->> 'summary' FROM turn ORDER BY started_at, id"
OUTPUT = "SELECT 1 FROM turn_event WHERE kind = 'output' AND body ->> 'text' LIKE 'begun%'"


def states(*wanted: str):
    return lambda rows: [row[0] for row in rows] == list(wanted)


def at(desk: Desk, name: str) -> Shift:
    """A worker process of that host."""
    town = replace(desk.yard.town, host_id=desk.yard.registry.host_id)
    return Shift(town, desk.workplaces, name)


async def over(hosts: Hosts) -> None:  # noqa: F811
    """Nobody holds the session any more."""
    async with hosts.here.yard.town.database.begin() as tx:
        await tx.execute(_OVER)


async def begun(hosts: Hosts, tmp_path) -> None:  # noqa: F811
    """A turn has ended on the first host, which is killed in the middle of the next one."""
    town = hosts.here.yard.town
    await over(hosts)
    async with at(hosts.here, "first") as shift:
        await until(town, TURNS, states("failed"))
        await town.say(f"!echo once >> {tmp_path}/runs; echo begun; sleep 600")
        await until(town, OUTPUT, bool)
        await shift.die()


@pytest.fixture
async def killed(hosts, tmp_path) -> Hosts:  # noqa: F811
    await begun(hosts, tmp_path)
    return hosts


async def test_a_turn_that_a_killed_host_had_begun_is_interrupted_and_its_prompt_is_not_run_again(
    killed, tmp_path
):
    town = killed.there.yard.town
    (machine,) = killed.here.yard.host.machines
    await killed.gone()
    async with at(killed.there, "second"):
        rows = await until(town, TURNS, states("failed", "interrupted"))
        assert "the machine is gone: its host here has been silent since 20" in rows[1][1]
        assert "nothing was run again" in rows[1][1]
        assert await town.rows(TOLD) == []
        await town.say("!echo on")
        await until(town, TURNS, states("failed", "interrupted", "succeeded"))
    ((told,),) = await town.rows(TOLD)
    assert told.startswith("This session got a new machine, because the old one is gone: its host ")
    assert "It is what the turn for “!work” left. 1 later turn is not in it." in told
    assert (tmp_path / "runs").read_text() == "once\n"
    assert await town.value("SELECT state FROM session") == "idle"
    # Too late: it removes what is left, and has nothing to do.
    yard = killed.here.yard
    await yard.report()
    await reconcile(yard.pool, yard.registry, yard.driver)
    assert yard.host.machines == {}
    await town.say("!echo more")
    async with at(killed.here, "first again"), at(killed.there, "second again"):
        await until(town, TURNS, lambda rows: len(rows) == 4 and rows[3][0] == "succeeded")
    assert await town.value("SELECT state FROM machine WHERE id = :id", id=machine) == "gone"
    assert len(await town.rows(TOLD)) == 1


async def test_a_host_that_is_back_in_time_goes_on_with_its_turn_where_it_was(killed, tmp_path):
    town = killed.here.yard.town
    await killed.gone(300)
    async with at(killed.there, "second"):
        assert await killed.there.queue.claim() is None
    await killed.here.yard.report()
    async with at(killed.here, "first again"):
        await until(town, "SELECT 1 FROM session WHERE lease_owner = 'first again'", bool)
        await town.say("stop")
        await until(town, TURNS, states("failed", "stopped"))
    assert (tmp_path / "runs").read_text() == "once\n"
    assert await town.rows(TOLD) == []


async def test_two_other_hosts_race_for_a_session_and_one_has_it_whole(killed, tmp_path):
    town = killed.there.yard.town
    await town.say("!echo on")
    await killed.gone()
    async with at(killed.there, "second"), at(killed.third, "third"):
        await until(town, TURNS, states("failed", "interrupted", "succeeded"))
    alive = "SELECT count(*) FROM machine WHERE state NOT IN ('lost', 'removing', 'gone')"
    assert await town.value(alive) == 1
    assert len(await town.rows(TOLD)) == 1
    assert (tmp_path / "runs").read_text() == "once\n"


async def test_a_prompt_whose_checkpoint_only_the_gone_host_has_waits_and_runs_there_in_the_end(
    hosts,  # noqa: F811
):
    town = hosts.third.yard.town
    await over(hosts)
    async with at(hosts.here, "first"):
        await until(town, TURNS, states("failed"))
        await town.say(f"!head -c {LARGE_BYTES} /dev/urandom > new")
        await until(town, TURNS, states("failed", "succeeded"))
    await hosts.gone()
    await town.say("!test -s new")
    async with at(hosts.third, "third"):
        await until(town, TOLD, bool)
        waits = "SELECT 1 FROM session WHERE state = 'queued' AND lease_until > clock_timestamp()"
        await until(town, waits, bool)
        await over(hosts)
        await until(town, waits, bool)
    assert len(await town.rows(TOLD)) == 1
    assert len(await town.rows(TURNS)) == 2
    (machine,) = await town.rows("SELECT state FROM machine")
    assert machine == (MachineState.RUNNING,)
    await hosts.here.yard.report()
    await over(hosts)
    async with at(hosts.here, "first again"):
        await until(town, TURNS, states("failed", "succeeded", "succeeded"))
    assert len(await town.rows(TOLD)) == 1


async def test_a_session_that_its_host_had_not_pinned_yet_is_handed_back_to_it(
    hosts,  # noqa: F811
):
    town = hosts.here.yard.town
    await over(hosts)
    async with at(hosts.here, "first"):
        await until(town, TURNS, states("failed"))
    async with town.database.begin() as tx:
        await tx.execute(text("UPDATE session SET host_id = NULL"))
    await town.say("!echo on")
    async with at(hosts.there, "second"):
        await until(town, "SELECT 1 FROM session WHERE host_id IS NOT NULL", bool)
        await until(town, "SELECT 1 FROM session WHERE state = 'queued'", bool)
    pinned = "SELECT host_id FROM session"
    assert await town.value(pinned) == hosts.here.yard.registry.host_id
    async with at(hosts.here, "first again"):
        await until(town, TURNS, states("failed", "succeeded"))
    assert await town.rows(TOLD) == []
