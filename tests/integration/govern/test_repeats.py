"""What happens again and again is audited once, and by its number."""

import asyncio
from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import text

from bot.govern.audit import Audited, Source
from bot.govern.egress import DENIED_MAX, EgressAudit
from bot.govern.repeats import KINDS_MAX, WRITE_SECONDS, Repeats
from bot.govern.turn_grants import Behind

ANN = Source(who="Ann", surface="api")


@dataclass(frozen=True, kw_only=True)
class Who:
    machine: UUID
    session: UUID | None = None
    project: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class Passed:
    who: Who
    way: str = "connect"
    host: str = "pypi.org"
    port: int = 443
    allowed: bool = True
    reason: str = "pypi.org:443 is allowed"
    rule: str | None = "allow pypi.org (project demo, line 3)"
    address: str | None = "192.0.2.1"


def happened(place):
    return Audited(kind="access.refused", by=ANN, place=place, outcome="refused")


async def written(database):
    async with database.begin() as tx:
        rows = await tx.execute(
            text("SELECT kind, who, place, outcome, body FROM audit_event ORDER BY number")
        )
        return [tuple(row) for row in rows]


async def test_the_first_is_written_at_once_and_equal_ones_are_counted(database):
    repeats = Repeats(database)
    for place in ("/a", "/a", "/a", "/b", "/a"):
        repeats.note(happened(place))
    for _ in range(2):
        await repeats.write()
        assert [(place, body) for _, _, place, _, body in await written(database)] == [
            ("/a", {}),
            ("/b", {}),
        ]
    await repeats.write(last=True)
    _, _, place, _, body = (await written(database))[2]
    assert (place, body["repeats"]) == ("/a", 3)
    assert body["first"] <= body["last"]


async def test_the_first_is_written_within_a_second_though_nothing_stops(database):
    assert WRITE_SECONDS <= 1
    repeats, stop = Repeats(database), asyncio.Event()
    running = asyncio.create_task(repeats.run(stop))
    repeats.note(happened("/a"))
    async with asyncio.timeout(40):
        while not await written(database):
            await asyncio.sleep(0.05)
    stop.set()
    await running


async def test_after_the_window_the_next_one_is_the_first_again(database):
    repeats = Repeats(database, window_seconds=0)
    for round_ in (1, 2):
        for _ in range(3):
            repeats.note(happened("/a"))
        await repeats.write()
        found = [body.get("repeats") for *_, body in await written(database)]
        assert found == [None, 2] * round_


async def test_all_that_is_left_is_written_at_the_end(database):
    repeats, stop = Repeats(database), asyncio.Event()
    running = asyncio.create_task(repeats.run(stop))
    for _ in range(3):
        repeats.note(happened("/a"))
    stop.set()
    await running
    assert [body.get("repeats") for *_, body in await written(database)] == [None, 2]


async def test_what_is_noted_while_the_database_is_away_is_written_later(
    database, database_url, postgres
):
    name = database_url.partition("@/")[2].partition("?")[0]
    repeats, stop = Repeats(database, window_seconds=0.5), asyncio.Event()
    running = asyncio.create_task(repeats.run(stop))
    postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    try:
        repeats.note(happened("/a"))
        repeats.note(happened("/a"))
        await asyncio.sleep(1.2)
    finally:
        postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    async with asyncio.timeout(20):
        while len(await written(database)) < 2:
            await asyncio.sleep(0.05)
    stop.set()
    await running
    assert [body.get("repeats") for *_, body in await written(database)] == [None, 1]


async def test_more_than_can_be_kept_is_told(database):
    repeats = Repeats(database, kinds_max=2)
    for place in ("/a", "/b", "/c", "/d", "/a"):
        repeats.note(happened(place))
    await repeats.write()
    found = await written(database)
    assert [(kind, place) for kind, _, place, *_ in found[:2]] == [
        ("access.refused", "/a"),
        ("access.refused", "/b"),
    ]
    kind, _, _, outcome, body = found[2]
    assert (kind, outcome, body) == ("audit.lost", "failed", {"events": 2})


async def test_egress_is_told_by_machine_destination_and_whose_turn_it_was(town):
    said = await town.say("!make", by="Bo")
    queue = town.queue("w")
    lease = await queue.claim()
    turn = await queue.begin_turn(lease, None)
    audit = EgressAudit(town.database)
    mine = Who(machine=uuid4(), session=said.session_id, project=uuid4())
    other = Who(machine=uuid4())
    for _ in range(3):
        audit.take(Passed(who=mine))
    audit.take(Passed(who=mine, address="192.0.2.9"))
    audit.take(Passed(who=other))
    audit.take(Passed(who=mine, host="::1", allowed=False, reason="no", rule=None, address=None))
    await audit.write(last=True)
    found = await written(town.database)
    assert [(who, place, outcome) for _, who, place, outcome, _ in found] == [
        ("Bo", "pypi.org:443", "allowed"),
        ("Bo", "pypi.org:443", "allowed"),
        ("gateway", "pypi.org:443", "allowed"),
        ("Bo", "[::1]:443", "denied"),
    ]
    assert found[1][4]["repeats"] == 3
    assert found[0][4]["turn"] == str(turn.id)
    assert found[0][4]["machine"] == str(mine.machine)
    assert "line 3" in found[0][4]["rule"]


async def test_a_machine_that_is_refused_everywhere_leaves_room_for_what_is_reached(database):
    audit = EgressAudit(database)
    loud, quiet = Who(machine=uuid4()), Who(machine=uuid4())
    for number in range(KINDS_MAX + 1):
        audit.take(Passed(who=loud, host=f"n{number}.test", allowed=False, reason="no", rule=None))
    for who in (loud, quiet):
        audit.take(Passed(who=who))
    await audit.write(last=True)
    found = await written(database)
    denied = [row for row in found if row[3] == "denied"]
    assert len(denied) == DENIED_MAX + 2
    assert [(row[2], row[4].get("repeats")) for row in denied[-2:]] == [
        ("others", None),
        ("others", KINDS_MAX - DENIED_MAX),
    ]
    told = [body["machine"] for _, _, _, outcome, body in found if outcome == "allowed"]
    assert sorted(told) == sorted([str(loud.machine), str(quiet.machine)])


async def test_a_grant_that_is_used_is_told_by_its_name_and_whose_turn_it_was(town):
    said = await town.say("!make", by="Bo")
    lease = await town.queue("w").claim()
    turn = await town.queue("w").begin_turn(lease, None)
    audit = EgressAudit(town.database)
    mine = Who(machine=uuid4(), session=said.session_id, project=uuid4())
    npm, push = (Behind(id=uuid4(), kind="kv", name=name) for name in ("npm", "push"))
    for _ in range(4):
        audit.used(mine, "npm", npm)
    audit.used(mine, "/forge/gitlab/push", push)
    await audit.write(last=True)
    found = await written(town.database)
    assert [(kind, who, place) for kind, who, place, *_ in found] == [
        ("grant.used", "Bo", "npm"),
        ("grant.used", "Bo", "npm"),
        ("grant.used", "Bo", "push"),
    ]
    body = found[0][4]
    assert (body["grant"], body["kind"], body["turn"]) == (str(npm.id), "kv", str(turn.id))
    assert (body["route"], found[1][4]["repeats"]) == ("npm", 3)
