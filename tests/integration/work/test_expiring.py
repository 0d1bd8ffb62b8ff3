"""Sessions that nobody used for as long as their project keeps them go by themselves."""

import pytest

from bot.govern.audit import HERE
from bot.govern.policy import set_policy
from bot.work import expiring
from bot.work.deleting import Deletions
from tests.fakes.guest_workplaces import GuestWorkplaces
from tests.integration.conftest import DEMO, Town
from tests.integration.work.test_deleting import a_machine, blobs  # noqa: F401 - a fixture
from tests.support.shift import Shift, until

AGO = "UPDATE session SET active_at = now() - make_interval(days => :days) WHERE short = :short"


async def keeps(town: Town, source: str) -> None:
    async with town.database.begin() as tx:
        await set_policy(tx, DEMO, source, name="policy.toml", by=HERE)


async def sessions(town: Town, places: GuestWorkplaces, *names: str, days: int) -> dict[str, str]:
    """Each with a turn that is over, and used so many days ago."""
    made = {}
    for name in names:
        made[name] = (await town.say("!true", place=name)).session or ""
    async with Shift(town, places, "w"):
        await until(
            town,
            "SELECT count(*) FROM turn WHERE state = 'succeeded'",
            lambda rows: rows == [(len(names),)],
        )
    for short in made.values():
        await town.rows(f"{AGO} RETURNING id", days=days, short=short)
    return made


async def expire(town: Town) -> int:
    async with town.database.begin() as tx:
        return await expiring.expire(tx)


async def deleting(town: Town) -> set[str]:
    return {short for (short,) in await town.rows("SELECT short FROM tombstone")}


async def test_who_is_unused_for_so_long_goes_and_all_others_stay(
    town: Town,
    places: GuestWorkplaces,
    blobs,  # noqa: F811
) -> None:
    made = await sessions(town, places, "over", "visited", "asked", "fresh", days=31)
    await a_machine(town, made["visited"], "running")
    await town.rows(f"{AGO} RETURNING id", days=29, short=made["fresh"])
    await town.say("!true", place="asked")
    await town.rows(f"{AGO} RETURNING id", days=31, short=made["asked"])
    assert await expire(town) == 0, "no policy says that any goes"
    await keeps(town, "[retention]\nsession_days = 30")
    assert await expire(town) == 1
    assert await expire(town) == 0
    assert await deleting(town) == {made["over"]}
    await Deletions(town.database, blobs).go_on()
    audited = (
        "SELECT kind, who, place, body ->> 'days' FROM audit_event WHERE kind LIKE 'session.%'"
    )
    assert await town.rows(f"{audited} ORDER BY number") == [
        ("session.expired", "ona", made["over"], "30"),
        ("session.deleted", "ona", made["over"], None),
    ]
    told = await town.say("and now?", place="over")
    assert "was deleted by ona on" in told.text


async def test_many_go_in_parts(
    town: Town, places: GuestWorkplaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiring, "SESSIONS_MAX", 2)
    made = await sessions(town, places, "a", "b", "c", days=2)
    await keeps(town, "[retention]\nsession_days = 1")
    assert [await expire(town) for _ in range(3)] == [2, 1, 0]
    assert await deleting(town) == set(made.values())


async def test_a_policy_that_says_nothing_more_lets_them_stay(
    town: Town, places: GuestWorkplaces
) -> None:
    await sessions(town, places, "a", days=400)
    await keeps(town, "[retention]\nsession_days = 90")
    await keeps(town, "# kept for ever\n")
    assert await expire(town) == 0
