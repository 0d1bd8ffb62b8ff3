"""Automations as rows: proposed by files, approved by who may, paused, made and removed here."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from adapters.forge.port import Permission
from bot.automate import automation_rows, automations, leaving, trigger_rows
from bot.automate.automations import By, Where
from bot.automate.files import folders
from bot.automate.files.folders import Taken
from bot.automate.files.parsing import read
from bot.automate.files.sources import definition_of
from bot.automate.runs.beginning import Beginning
from bot.automate.runs.repositories import KnownRepositories
from bot.conversation.due import Due
from bot.conversation.inbox import Inbox
from bot.errors import NotAllowed, NotFound, NothingToDo, NotPermitted, Refused
from bot.govern import people
from bot.govern.audit import Source
from bot.govern.people import standing_of
from bot.govern.rights import Rights
from bot.store.ids import new_id
from scheduler import due_rows
from tests.fakes.forge import KnowingForge
from tests.integration.conftest import DEMO

URL = "https://forge.test/acme/shop.git"
HEAD = "schema: ona/automation/v1\nname: nightly\nsteps: [{prompt: look}]\n"
DAILY = HEAD + "triggers:\n  - cron: 0 9 * * *\n    zone: Europe/Berlin\n"


@pytest.fixture
async def forge():
    forge = KnowingForge()
    forge.levels = {
        ("acme/shop", "1"): Permission.ADMIN,
        ("acme/shop", "2"): Permission.WRITE,
        ("acme/shop", "3"): Permission.READ,
    }
    yield forge
    await forge.close()


@pytest.fixture
async def town(town, forge):
    """Ann administers the repository of the demo project, Bo may write to it, Cy read it."""
    town.rights = Rights(town.database, {"forge": forge})
    town.inbox = Inbox(
        town.database,
        prompt_bytes_max=100_000,
        rights=town.rights,
        beginning=Beginning(town.database, KnownRepositories({"forge": forge})),
    )
    town.people["Cy"] = new_id()
    await town.database.run(
        text("INSERT INTO person (id, name) VALUES (:id, 'Cy')"), {"id": town.people["Cy"]}
    )
    await town.rows("UPDATE project SET repository_url = :url RETURNING id", url=URL)
    for name, number in (("Ann", "1"), ("Bo", "2"), ("Cy", "3")):
        await town.rows(
            "INSERT INTO identity (id, person_id, surface, external_id, name)"
            " VALUES (:id, :person, 'forge:forge.test', :number, :name) RETURNING id",
            id=new_id(),
            person=town.people[name],
            number=number,
            name=name,
        )
    return town


async def synced(town, *files: tuple[str, str], commit: str = "c1", earlier: int = 0):
    """Write what a folder with these files says, as read at a commit."""
    found = [read(f".ona/automations/{name}", data.encode()) for name, data in files]
    async with town.database.begin() as tx:
        await folders.take(tx)
        now = await due_rows.now(tx)
        taken = Taken(
            project_id=DEMO,
            project="demo",
            url=URL,
            commit="",
            as_of=now - timedelta(seconds=earlier),
        )
        return await folders.sync(tx, taken, commit, found)


async def acting(town, act, *, by: str = "Ann", operator: bool = False):
    """What `act` does as somebody."""

    async def once():
        async with town.database.begin() as tx:
            who = await standing_of(tx, town.people[by])
            if operator:
                who = type(who)(**{**vars(who), "operator": True})
            return await act(tx, By(who=who, source=Source.of(who, "web"), rights=town.rights))

    return await town.rights.settled(once)


async def one(town, name: str = "nightly"):
    async with town.database.begin() as tx:
        return await automation_rows.find(tx, name)


async def approved(town, name: str = "nightly", *, seen: str = "", by: str = "Ann", **more):
    async def act(tx, who):
        row = await automation_rows.find(tx, name)
        digest = seen or row.proposed_digest
        return await automations.approve(tx, who, row, digest, **more)

    return await acting(town, act, by=by)


async def does(town, what, *, by: str = "Ann", name: str = "nightly", **more):
    async def act(tx, who):
        return await what(tx, who, await automation_rows.find(tx, name))

    return await acting(town, act, by=by, **more)


async def schedules(town):
    return await town.rows(
        "SELECT schedule.state, schedule.why, schedule.due_at IS NOT NULL, trigger.place"
        "  FROM schedule JOIN automation_trigger AS trigger ON trigger.schedule_id = schedule.id"
        " ORDER BY trigger.place"
    )


async def test_a_file_is_proposed_and_nothing_of_it_counts(town):
    await synced(town, ("a.yaml", DAILY), ("x.yaml", "on: push\n"), ("b.yaml", HEAD + "no: 1\n"))
    row = await one(town)
    assert (row.state, row.definition, row.digest, row.commit) == ("proposed", {}, "", "c1")
    assert await schedules(town) == []
    async with town.database.begin() as tx:
        (folder,) = await folders.listed(tx)
    assert [(file["path"][-6:], file["kind"]) for file in folder["files"]] == [
        ("a.yaml", "automation"),
        ("b.yaml", "wrong"),
        ("x.yaml", "other"),
    ]
    assert await town.rows("SELECT kind, place FROM audit_event") == [
        ("automation.proposed", "demo/nightly")
    ]


async def test_who_administers_the_repository_approves_what_they_saw(town):
    await synced(town, ("a.yaml", DAILY))
    counts = await approved(town)
    row = await one(town)
    assert (row.state, row.approved_by, row.runs_as) == ("active", "Ann", "Ann")
    assert (row.proposed, row.proposed_digest) == ({}, "")
    assert counts.told == "nightly counts from now on, in the name of Ann."
    assert await schedules(town) == [("active", "", True, 0)]
    assert row.next_at is not None
    assert "automation.approved" in [
        kind for (kind,) in await town.rows("SELECT kind FROM audit_event")
    ]


@pytest.mark.parametrize("by", ["Bo", "Cy"])
async def test_nobody_else_approves(town, by):
    await synced(town, ("a.yaml", DAILY))
    with pytest.raises(NotAllowed, match="administers"):
        await approved(town, by=by)
    assert (await one(town)).state == "proposed"


async def test_what_changed_since_it_was_seen_is_not_approved(town):
    await synced(town, ("a.yaml", DAILY))
    seen = (await one(town)).proposed_digest
    await synced(town, ("a.yaml", DAILY.replace("look", "other")), commit="c2")
    with pytest.raises(Refused, match="something else by now"):
        await approved(town, seen=seen)
    assert (await one(town)).state == "proposed"
    await approved(town)
    assert (await one(town)).definition["steps"] == [{"prompt": "other"}]


async def test_a_few_characters_of_a_digest_are_not_enough(town):
    await synced(town, ("a.yaml", DAILY))
    digest = (await one(town)).proposed_digest
    with pytest.raises(Refused):
        await approved(town, seen=digest[:11])
    await approved(town, seen=digest[:12])


async def test_a_changed_file_counts_as_approved_until_the_change_is(town):
    await synced(town, ("a.yaml", DAILY))
    await approved(town)
    first = (await one(town)).digest
    changed = DAILY.replace("0 9", "0 10") + "  - push:\n"
    await synced(town, ("a.yaml", changed), commit="c2")
    row = await one(town)
    assert (row.state, row.digest, row.definition["triggers"][0]["cron"]) == (
        "active",
        first,
        "0 9 * * *",
    )
    assert row.proposed_digest
    assert len(await schedules(town)) == 1
    await approved(town)
    row = await one(town)
    assert row.definition["triggers"][0]["cron"] == "0 10 * * *"
    assert await schedules(town) == [("active", "", True, 0)]
    assert await town.rows("SELECT kind, place FROM automation_trigger ORDER BY place") == [
        ("cron", 0),
        ("push", 1),
    ]
    with pytest.raises(NothingToDo):
        await approved(town)


async def test_a_trigger_that_says_the_same_keeps_its_row(town):
    await synced(town, ("a.yaml", DAILY + "  - webhook:\n"))
    assert (await approved(town, sealed=["s1"])).webhooks
    before = await town.rows("SELECT kind, short, schedule_id, sealed FROM automation_trigger")
    changed = HEAD + "triggers:\n  - webhook:\n  - push:\n" + DAILY.partition("triggers:\n")[2]
    await synced(town, ("a.yaml", changed), commit="c2")
    assert not (await approved(town)).webhooks
    after = await town.rows("SELECT kind, short, schedule_id, sealed FROM automation_trigger")
    assert set(before) < set(after)
    places = await town.rows("SELECT kind FROM automation_trigger ORDER BY place")
    assert places == [("webhook",), ("push",), ("cron",)]


async def test_a_webhook_without_a_secret_is_not_approved(town):
    await synced(town, ("a.yaml", HEAD + "triggers:\n  - webhook:\n"))
    async with town.database.begin() as tx:
        row = await automation_rows.find(tx, "nightly")
        definition = definition_of(HEAD + "triggers:\n  - webhook:\n")
        assert await trigger_rows.lacking(tx, row.id, definition) == 1
    with pytest.raises(Refused, match="another webhook"):
        await approved(town)
    assert (await one(town)).state == "proposed"


async def test_a_description_counts_at_once(town):
    await synced(town, ("a.yaml", DAILY))
    await approved(town)
    await synced(town, ("a.yaml", DAILY + "description: why\n"), commit="c2")
    row = await one(town)
    assert (row.definition["description"], row.proposed_digest) == ("why", "")


async def test_a_file_that_is_gone_takes_its_schedules_along(town):
    await synced(town, ("a.yaml", DAILY))
    await approved(town)
    await synced(town, commit="c2")
    with pytest.raises(NotFound):
        await one(town)
    assert await town.rows("SELECT state, name FROM automation") == [("removed", "nightly")]
    assert await town.rows("SELECT count(*) FROM schedule") == [(0,)]
    assert await town.rows("SELECT count(*) FROM automation_trigger") == [(0,)]
    await synced(town, ("a.yaml", DAILY), commit="c3")
    assert (await one(town)).state == "proposed"


async def test_who_fetched_earlier_writes_nothing_over_what_is_newer(town):
    assert await synced(town, ("a.yaml", DAILY), commit="new") is not None
    assert await synced(town, commit="old", earlier=60) is None
    assert (await one(town)).commit == "new"


async def test_who_may_write_pauses_and_resumes(town):
    await synced(town, ("a.yaml", DAILY))
    await approved(town)
    with pytest.raises(NotPermitted):
        await does(town, automations.pause, by="Cy")
    await does(town, automations.pause, by="Bo")
    row = await one(town)
    assert (row.state, row.why, row.next_at) == ("paused", "person", None)
    assert await schedules(town) == [("paused", "automation", False, 0)]
    with pytest.raises(NothingToDo):
        await does(town, automations.pause, by="Bo")
    with pytest.raises(NotPermitted):
        await does(town, automations.resume, by="Cy")
    await does(town, automations.resume, by="Bo")
    row = await one(town)
    assert (row.state, row.why) == ("active", "")
    assert await schedules(town) == [("active", "", True, 0)]
    with pytest.raises(NothingToDo):
        await does(town, automations.resume)


async def test_one_of_somebody_who_was_deactivated_pauses_and_goes_on_as_who_takes_it_over(town):
    await synced(town, ("a.yaml", DAILY))
    await approved(town)
    async with town.database.begin() as tx:
        await people.deactivate(tx, town.people["Ann"])
    for _ in range(2):
        await leaving.pause(town.database, Due(town.database, town.inbox))
    row = await one(town)
    assert (row.state, row.why, row.next_at) == ("paused", "runs_as", None)
    ((said,),) = await town.rows("SELECT said FROM automation_notice WHERE key LIKE 'paused/%'")
    assert "`automations resume {automation}`" in str(said)
    with pytest.raises(NotAllowed):
        await does(town, automations.resume, by="Bo")
    await does(town, automations.resume, by="Bo", operator=True)
    await leaving.pause(town.database, Due(town.database, town.inbox))
    row = await one(town)
    assert (row.state, row.runs_as, row.approved_by) == ("active", "Bo", "Bo")


async def test_what_is_approved_while_it_is_paused_stays_paused(town):
    await synced(town, ("a.yaml", DAILY))
    await approved(town)
    await does(town, automations.pause)
    await synced(town, ("a.yaml", DAILY.replace("0 9", "0 10")), commit="c2")
    await approved(town)
    assert (await one(town)).state == "paused"
    assert await schedules(town) == [("paused", "automation", False, 0)]


async def test_a_moment_that_has_passed_is_over(town):
    await synced(town, ("a.yaml", HEAD + "triggers:\n  - at: 2020-01-01T09:00\n"))
    await approved(town)
    assert await schedules(town) == [("ended", "", False, 0)]


async def test_what_a_file_says_of_its_times_is_what_its_schedule_does(town):
    times = """triggers:
  - cron: 0 9 * * *
    zone: Europe/Berlin
    jitter_minutes: 5
    misfire: skip
    starts: 2099-01-10T09:00
    ends: 2099-02-10T09:00+00:00
"""
    await synced(town, ("a.yaml", HEAD + times))
    await approved(town)
    (kept,) = await town.rows(
        "SELECT zone, jitter_seconds, misfire, starts_at, ends_at, due_at, fire_at FROM schedule"
    )
    first = datetime(2099, 1, 10, 8, tzinfo=UTC)
    last = datetime(2099, 2, 10, 9, tzinfo=UTC)
    assert kept[:6] == ("Europe/Berlin", 300, "skip", first, last, first)
    assert timedelta() < kept[6] - first < timedelta(minutes=5)


async def made(town, source: str, *, by: str = "Ann"):
    async def act(tx, who):
        return await automations.make(tx, who, Where(id=DEMO, name="demo"), definition_of(source))

    return await acting(town, act, by=by)


async def test_one_that_is_made_here_counts_at_once(town):
    counts = await made(town, DAILY)
    row = await one(town, counts.short)
    assert (row.state, row.path, row.approved_by) == ("active", "", "Ann")
    assert await schedules(town) == [("active", "", True, 0)]
    with pytest.raises(Refused, match="already"):
        await made(town, DAILY)
    with pytest.raises(NotAllowed):
        await made(town, DAILY.replace("nightly", "other"), by="Bo")


async def test_one_that_is_made_here_is_changed_and_removed_here(town):
    await made(town, DAILY)

    async def change(tx, who):
        row = await automation_rows.find(tx, "nightly")
        return await automations.change(tx, who, row, definition_of(HEAD.replace("ly", "er")))

    with pytest.raises(NotAllowed):
        await acting(town, change, by="Bo")
    await acting(town, change)
    row = await one(town, "nighter")
    assert row.definition["name"] == "nighter"
    assert await schedules(town) == []
    with pytest.raises(NotAllowed):
        await does(town, automations.remove, name="nighter", by="Bo")
    await does(town, automations.remove, name="nighter")
    with pytest.raises(NotFound):
        await one(town, "nighter")


async def test_what_a_file_says_is_not_changed_or_removed_here(town):
    await synced(town, ("a.yaml", DAILY))
    with pytest.raises(Refused, match="what the file"):
        await does(town, automations.remove)


async def test_a_name_of_somebody_else_takes_an_operator(town):
    await synced(town, ("a.yaml", DAILY + "runs_as: Bo\n"))
    with pytest.raises(NotAllowed, match="in the name of Bo"):
        await approved(town)

    async def act(tx, who):
        row = await automation_rows.find(tx, "nightly")
        return await automations.approve(tx, who, row, row.proposed_digest)

    await acting(town, act, operator=True)
    row = await one(town)
    assert (row.runs_as, row.approved_by) == ("Bo", "Ann")


async def test_a_service_account_is_named_by_who_approves(town):
    await town.rows("UPDATE person SET is_service = true WHERE name = 'Cy' RETURNING id")
    await synced(town, ("a.yaml", DAILY + "runs_as: Cy\n"))
    await approved(town)
    assert (await one(town)).runs_as == "Cy"


async def test_several_of_a_name_are_told_apart_by_their_project(town):
    other = new_id()
    await town.rows(
        "INSERT INTO project (id, name, repository_url) VALUES (:id, 'other', '/srv/x')"
        " RETURNING id",
        id=other,
    )
    await made(town, HEAD)

    async def act(tx, who):
        return await automations.make(tx, who, Where(id=other, name="other"), definition_of(HEAD))

    await acting(town, act, operator=True)
    with pytest.raises(Refused, match="demo/nightly, other/nightly") as refused:
        await one(town)
    assert refused.value.do
    assert (await one(town, "other/nightly")).project == "other"


async def test_the_limit_of_a_project_holds(town, monkeypatch):
    monkeypatch.setattr(automation_rows, "PER_PROJECT_MAX", 1)
    await made(town, HEAD)
    with pytest.raises(Refused, match="no more fit"):
        await made(town, HEAD.replace("nightly", "other"))


async def test_in_a_conversation_they_are_listed_run_paused_and_resumed(town):
    await made(town, DAILY)
    assert "demo/nightly, active, next at" in (await town.say("automations")).text
    begun = await town.say("automations run nightly", by="Bo", key="m")
    assert "has begun" in begun.text
    assert (await town.say("automations run nightly", by="Bo", key="m")).text == begun.text
    assert await town.rows("SELECT trigger ->> 'kind', started_by FROM run") == [
        ("person", town.people["Bo"])
    ]
    assert (await town.say("automations run nightly", by="Cy")).verdict == "refused"
    assert "is paused" in (await town.say("automations pause nightly", by="Bo")).text
    assert "goes on" in (await town.say("automations resume demo/nightly", by="Bo")).text
    assert "no automation other" in (await town.say("automations run other")).text
    assert await town.value("SELECT count(*) FROM run") == 1


async def test_who_may_not_read_the_repository_sees_none(town, forge):
    await made(town, DAILY)
    del forge.levels["acme/shop", "3"]
    assert "nightly" not in (await town.say("automations", by="Cy")).text
