"""A session whose machine is booted while its template is built hears how far that is."""

import asyncio
import dataclasses
from collections.abc import Callable
from uuid import UUID

import pytest

from bot.work import making_ready
from bot.work.workplace import NoCapacity
from tests.fakes.driver_trouble import SlowDriver
from tests.integration.conftest import Town
from tests.integration.pool.conftest import Yards
from tests.integration.pool.desks import Desk, open_desk
from vmpool.machine import TemplateState

WAIT_SECONDS_MAX = 100


async def begun(desk: Desk, size: str = "small", **step: int) -> UUID:
    """A template of the desk's project whose build is at this step."""
    order = dataclasses.replace(desk.yard.order, project_id=desk.lease.project_id, size=size)
    template = await desk.yard.rows.begin_template(order, "f")
    await desk.yard.rows.note_step(template.id, "make", **step)
    return template.id


async def said(desk: Desk, is_said: Callable[[list], bool]) -> None:
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not is_said(desk.bodies):
            await asyncio.sleep(0.01)


async def test_the_step_follows_the_build_while_it_shows_and_no_longer(
    yards: Yards, town: Town, tmp_path, monkeypatch
):
    monkeypatch.setattr(making_ready, "LOOK_SECONDS", 0.01)
    driver = SlowDriver(yards.host)
    desk = await open_desk(yards, town, tmp_path, driver=driver)
    template_id = await begun(desk, number=2, count=5)

    async def entered() -> None:
        async with desk.enter():
            pass

    entering = asyncio.create_task(entered())
    await driver.waiting.wait()
    await said(desk, lambda bodies: len(bodies) == 2)
    await desk.yard.rows.note_step(template_id, "make check", number=3, count=5)
    await said(desk, lambda bodies: len(bodies) == 3)
    await desk.yard.rows.move_template(template_id, TemplateState.FAILED, note="no")
    await said(desk, lambda bodies: len(bodies) == 4)
    driver.go.set()
    await entering
    assert [(body["step"], body.get("template")) for body in desk.bodies] == [
        ("creating", {"step": 2, "of": 5}),
        ("booting", {"step": 2, "of": 5}),
        ("booting", {"step": 3, "of": 5}),
        ("booting", None),
        ("cloning", None),
        ("ready", None),
    ]


async def test_a_template_of_another_size_and_one_beside_a_ready_one_are_no_news(
    yards: Yards, town: Town, tmp_path
):
    desk = await open_desk(yards, town, tmp_path)
    await begun(desk, "medium", number=1, count=5)
    ready = await desk.yard.rows.template(await begun(desk, number=5, count=5))
    assert ready is not None
    await desk.yard.rows.finish_template(ready, commit="c1", generation=1)
    await begun(desk, number=1, count=5)
    async with desk.enter():
        pass
    assert [body for body in desk.bodies if "template" in body] == []


async def test_who_waits_for_room_hears_of_it_unless_a_machine_is_theirs(
    yards: Yards, town: Town, tmp_path
):
    desk = await open_desk(yards, town, tmp_path, running_max=1)
    other = await desk.yard.session()
    await begun(desk, number=1, count=5)
    async with desk.yard.open(other):
        with pytest.raises(NoCapacity) as short:
            async with desk.enter():
                pass
    assert short.value.template == {"step": 1, "of": 5}
    async with desk.enter() as place:
        assert place.machine_id is not None
    assert await desk.yard.pool.rest(place.machine_id)
    async with desk.yard.open(other):
        with pytest.raises(NoCapacity) as short:
            async with desk.enter():
                pass
    assert short.value.template is None
