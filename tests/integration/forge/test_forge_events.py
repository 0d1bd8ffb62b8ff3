"""What happens in repositories becomes events of triggers, once, however we hear of it."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from adapters.chat.port import ChatError
from bot.store.ids import new_id
from bot.work import pulls
from tests.fakes.github.program import Emulator
from tests.integration.conftest import DEMO, Town
from tests.integration.forge.event_rig import TRIGGERS, Place, Watch, on_github, on_gitlab


@pytest.fixture(params=["github", "gitlab"])
async def place(
    request: pytest.FixtureRequest, town: Town, github_emulator: Emulator
) -> AsyncIterator[Place]:
    opened = on_gitlab(town) if request.param == "gitlab" else on_github(town, github_emulator)
    async with opened as place:
        await town.rows("UPDATE project SET repository_url = :url RETURNING id", url=place.url)
        yield place


@pytest.fixture
def watch(town: Town, place: Place) -> Watch:
    return Watch(town=town, place=place)


async def test_all_that_happens_is_heard_by_signed_webhooks(watch: Watch, place: Place) -> None:
    await watch.triggers()
    done = await place.everything()
    await place.hear(done, watch.missing)
    assert set(await watch.keys()) == done


async def test_all_that_happens_is_found_by_asking(watch: Watch, place: Place) -> None:
    await watch.triggers()
    await place.poll()
    done = await place.everything()
    await place.poll()
    assert set(await watch.keys()) == done
    await place.poll()
    assert set(await watch.keys()) == done


@pytest.mark.parametrize("asks_first", [False, True])
async def test_what_is_heard_both_ways_is_one_row(
    watch: Watch, place: Place, *, asks_first: bool
) -> None:
    await watch.triggers()
    await place.poll()
    done = await place.everything()
    if asks_first:
        await place.poll()
    await place.hear(done, watch.missing)
    await place.poll()
    assert await watch.keys() == sorted(done)


async def test_a_webhook_that_comes_twice_is_one_row(watch: Watch, place: Place) -> None:
    await watch.triggers()
    done = await place.everything()
    await place.hear(done, watch.missing)
    place.taken = 0
    await place.hear(done, watch.missing)
    assert await watch.keys() == sorted(done)


async def test_what_nobody_waits_for_is_not_asked_for(watch: Watch, place: Place) -> None:
    await place.poll()
    done = await place.everything()
    await place.poll()
    await place.hear(set(), watch.missing)
    # Forges tell whole seconds: the next one has to begin.
    await asyncio.sleep(1.1)
    await watch.triggers()
    await place.poll()
    assert await watch.keys() == [], "what happened before somebody waited for it is over"
    key = await place.opens("later")
    await place.poll()
    assert await watch.keys() == [key]
    assert key not in done


async def test_an_event_says_what_it_is_about(watch: Watch, place: Place) -> None:
    await watch.triggers()
    key = await place.opens("work-2")
    await place.hear({key}, watch.missing)
    facts = await watch.facts(key)
    assert facts["repository"] == place.name
    assert (facts["action"], facts["branch"], facts["base"]) == ("opened", "work-2", "main")
    assert (facts["author"], facts["opened_by"]) == ("ann", "ann")
    assert "title" in facts["untrusted"]
    row = await watch.town.rows(
        "SELECT about, repository, extract(epoch FROM act_at - created_at) FROM trigger_event"
    )
    ((about, repository, seconds),) = row
    assert about == f"{place.surface}:{place.name}#{facts['number']}"
    assert repository == place.url
    assert 6.9 < seconds < 7.1


async def test_who_may_not_write_starts_nothing(watch: Watch, place: Place) -> None:
    await watch.triggers()
    await place.poll()
    await place.stranger_labels()
    await place.from_fork()
    await place.poll()
    await place.hear(set(), watch.missing)
    assert await watch.keys() == []


async def test_a_paused_automation_misses_what_happens_and_goes_on_after(
    watch: Watch, place: Place
) -> None:
    await watch.triggers()
    await place.poll()
    await watch.town.rows("UPDATE automation SET state = 'paused' RETURNING id")
    await place.opens("while-paused")
    await place.poll()
    await watch.town.rows("UPDATE automation SET state = 'active' RETURNING id")
    key = await place.opens("afterwards")
    await place.poll()
    assert await watch.keys() == [key]


async def test_a_forge_that_does_not_say_who_may_what_is_asked_again(
    watch: Watch, place: Place
) -> None:
    await watch.triggers()
    await place.poll()
    key = await place.opens("work-3")
    place.silence()
    with pytest.raises(ChatError):
        await place.hear({key}, watch.missing)
    place.silence()
    await place.poll()
    assert await watch.keys() == []
    await place.poll()
    assert await watch.keys() == [key]


async def test_what_a_run_did_itself_says_so(watch: Watch, place: Place) -> None:
    await watch.triggers()
    await place.poll()
    run, branch = new_id(), "ona/s-77"
    await watch.town.say("begin")
    await watch.town.rows("UPDATE session SET branch = :branch RETURNING id", branch=branch)
    await watch.town.rows(
        "INSERT INTO run (id, short, automation_id, project_id, name, key, runs_as_id, trigger)"
        " SELECT :id, 'run-1', automation.id, :project, 'watch', 'k', :ann,"
        " CAST('{\"depth\": 1}' AS jsonb) FROM automation RETURNING id",
        id=run,
        project=DEMO,
        ann=watch.town.people["Ann"],
    )
    await watch.town.rows(
        "INSERT INTO run_target (id, run_id, place, repository, session_id, state)"
        " SELECT :id, :run, 1, 'x', id, 'running' FROM session RETURNING id",
        id=new_id(),
        run=run,
    )
    key = await place.opens(branch)
    await place.poll()
    facts = await watch.facts(key)
    assert (facts["caused_by_run"], facts["depth"]) == (str(run), 2)
    other = await place.opens("by-hand")
    await place.poll()
    assert "caused_by_run" not in await watch.facts(other)


async def test_branches_and_labels_are_what_the_trigger_says(watch: Watch, place: Place) -> None:
    narrow = {**TRIGGERS["pull_request"], "branches": ["release/*"]}
    await watch.triggers(pull_request=narrow, push={"push": {}}, ci_failed={"ci_failed": {}})
    await place.poll()
    done = await place.everything()
    await place.poll()
    beside = ("pull_request/", "push/work/", "push/branch")
    assert set(await watch.keys()) == {key for key in done if not key.startswith(beside)}


async def test_other_projects_of_the_context_are_heard_in_by_who_may_read_them(
    watch: Watch, place: Place
) -> None:
    town, ann = watch.town, watch.town.people["Ann"]
    await watch.triggers()
    await town.rows("UPDATE project SET repository_url = '/srv/demo' RETURNING id")
    await town.rows(
        "INSERT INTO project (id, name, repository_url) VALUES (:id, 'shop', :url) RETURNING id",
        id=new_id(),
        url=place.url,
    )
    await town.rows(
        "UPDATE automation SET approved_by = :ann, definition = definition || CAST(:more AS jsonb)"
        " RETURNING id",
        ann=ann,
        more=json.dumps({"context": {"projects": ["shop"]}}),
    )
    await place.poll()
    await place.opens("unknown")
    await place.poll()
    assert await watch.keys() == [], "nobody knows what Ann may read there"
    await town.rows("DELETE FROM permission RETURNING level")
    await town.rows(
        "INSERT INTO identity (id, person_id, surface, external_id, name)"
        " VALUES (:id, :ann, :surface, :account, 'ann') RETURNING id",
        id=new_id(),
        ann=ann,
        surface=f"{place.surface}:{place.port.host}",
        account=await place.anns_account(),
    )
    key = await place.opens("known")
    await place.poll()
    assert await watch.keys() == [f"{place.name}/{key}"]


async def has_file(town: Town, *, commit: str) -> None:
    """An automation of the project lies in a file, which was read at a commit and is left alone."""
    await town.rows(
        "INSERT INTO automation (id, short, project_id, name, path, definition, state)"
        " VALUES (:id, 'a-9', :project, 'filed', '.ona/automations/a.yaml', '{}', 'active')"
        " RETURNING id",
        id=new_id(),
        project=DEMO,
    )
    await town.rows(
        "INSERT INTO automation_folder (id, project_id, commit, look_at)"
        " VALUES (:id, :project, :commit, now() + interval '1 hour') RETURNING id",
        id=new_id(),
        project=DEMO,
        commit=commit,
    )


DUE = "SELECT look_at <= now() FROM automation_folder"


async def test_what_is_pushed_to_the_default_branch_has_its_automations_read_soon(
    watch: Watch, place: Place
) -> None:
    await has_file(watch.town, commit="0" * 40)
    done = await place.everything()
    pushed = next(key for key in done if key.startswith("push/main/")).rpartition("..")[2]
    await watch.town.rows("UPDATE automation_folder SET commit = :at RETURNING id", at=pushed)
    await place.hear(set(), watch.missing)
    assert not await watch.town.value(DUE), "it was read, and other branches don't matter"
    await watch.town.rows("UPDATE automation_folder SET commit = 'older' RETURNING id")
    async with asyncio.timeout(100):
        # Its webhooks may still be on their way.
        while not await watch.town.value(DUE):
            place.taken = 0
            await place.hear(set(), watch.missing)


async def test_without_an_automation_in_a_file_pushes_are_nobody_s_news(
    watch: Watch, place: Place
) -> None:
    await has_file(watch.town, commit="0" * 40)
    await watch.town.rows("UPDATE automation SET path = '' RETURNING id")
    await place.everything()
    await place.hear(set(), watch.missing)
    assert not await watch.town.value(DUE)


@pytest.mark.parametrize("asks", [False, True])
async def test_what_becomes_of_a_sessions_pull_request_is_known(
    watch: Watch, place: Place, *, asks: bool
) -> None:
    town = watch.town
    await town.say("!true")
    key = await place.opens("ona/s-1")
    number = int(key.split("/")[1])
    await town.rows(
        "INSERT INTO pull_request (id, session_id, surface, repository, number, url, state, draft,"
        " head, base, opened_by, asker_id)"
        " SELECT :id, id, :surface, :repository, :number, 'x', 'open', true, 'ona/s-1', 'main',"
        " 'ona', creator_id FROM session RETURNING id",
        id=new_id(),
        surface=place.surface,
        repository=place.name,
        number=number,
    )
    await place.poll()
    await place.merges(number)

    async def missing(_: set[str]) -> set[str]:
        return set() if await town.value("SELECT state FROM pull_request") == "merged" else {"it"}

    if asks:
        await place.poll()
        assert not await missing(set())
    else:
        await place.hear(set(), missing)
    # What is heard late does not open it again.
    async with town.database.begin() as tx:
        await pulls.happened(tx, place.surface, place.name.upper(), number, "closed")
        await pulls.happened(tx, place.surface, place.name, number, "ready")
    assert await town.rows("SELECT state, draft FROM pull_request") == [("merged", False)]
