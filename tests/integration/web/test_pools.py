"""Templates, pools and the settings of projects, over the API and on the page."""

from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from bot.config import DatabaseSettings, Settings
from bot.doctor.finding import Verdict
from bot.doctor.pools import check_pools, check_templates
from bot.store.ids import new_id
from tests.integration.web.site import STEPS, pool_of


def from_page(site) -> dict[str, str]:
    return {"Origin": site.url}


async def test_pools_say_what_waits_what_should_and_how_machines_were_handed_out(site):
    await pool_of(site)
    async with site.client() as client:
        (pool,) = (await client.get("/api/v1/pools")).json()["pools"]
    assert (pool["project"], pool["size"]) == ("demo", "small")
    assert (pool["hot"], pool["hot_target"], pool["cold"], pool["cold_target"]) == (1, 2, 0, 1)
    assert (pool["handouts"], pool["hits"], pool["hit_ratio"]) == (4, 1, 0.25), "only hot is a hit"
    assert (pool["cold_handouts"], pool["boots"]) == (1, 2)
    assert (pool["seconds_hot"], pool["seconds_cold"], pool["seconds_boot"]) == (0.2, 0.9, 7.5)
    assert pool["why"] == "1 hot and 1 cold too few, made next; about 3.0 an hour expected"


@pytest.mark.parametrize(("newest", "told"), [("failed", True), ("building", False)])
async def test_a_pool_of_an_older_template_says_that_the_newest_one_failed(site, newest, told):
    await pool_of(site)
    await site.rows(
        "INSERT INTO template (id, host_id, project_id, size, vcpus, memory_mib, disk_gib,"
        " image_digest, fingerprint, commit, generation, steps, state, created_at, changed_at)"
        " SELECT :id, host_id, project_id, size, vcpus, memory_mib, disk_gib, image_digest, 'g',"
        " 'c0ffee', generation, steps, :state,"
        " created_at + interval '1 second', now() FROM template",
        id=new_id(),
        state=newest,
    )
    async with site.client() as client:
        (pool,) = (await client.get("/api/v1/pools")).json()["pools"]
    assert ("its newest template failed: machines are made of the one" in pool["why"]) is told


async def test_each_machine_that_waits_is_listed_with_its_tier_and_why(site):
    await pool_of(site)
    async with site.client() as client:
        (machine,) = (await client.get("/api/v1/pools/machines")).json()["machines"]
    assert machine["short"].startswith("m-")
    assert (machine["project"], machine["size"], machine["host"]) == ("demo", "small", "atlas")
    assert (machine["tier"], machine["why"]) == ("hot", "2 should be hot")
    assert machine["since"]


async def test_a_machine_under_way_is_being_made_wherever_it_is_listed(site):
    await pool_of(site)
    await site.rows(
        "INSERT INTO machine (id, host_id, template_id, size, vcpus, memory_mib, disk_gib,"
        " image_digest, state, generation, created_at, used_at, changed_at) SELECT :id, host_id,"
        " template_id, size, vcpus, memory_mib, disk_gib, image_digest, 'creating', 1, now(),"
        " now(), now() FROM machine",
        id=new_id(),
    )
    async with site.client() as client:
        listed = (await client.get("/api/v1/pools/machines")).json()["machines"]
        await client.post(
            "/sign-in", data={"link": await site.link()}, headers={"Origin": site.url}
        )
        page = (await client.get("/pools")).text
    assert [machine["tier"] for machine in listed] == ["hot", "being made"]
    assert "1 being made" in page
    assert "</span>Being made</span>" in page


async def test_a_template_is_shown_with_its_log_by_any_of_its_names(site):
    template_id = await pool_of(site, state="failed", note="`uv sync` ended with status 2")
    async with site.client() as client:
        (listed,) = (await client.get("/api/v1/templates")).json()["templates"]
        assert listed["build_seconds"] == 6.75
        for name in (template_id, listed["short"], "demo"):
            shown = (await client.get(f"/api/v1/templates/{name}")).json()
            assert shown["steps"] == [{"guessed_from": None, **step} for step in STEPS]
        guess = {"command": "npm ci", "file": "package-lock.json", "exit_status": 1}
        assert listed["guessed"] == shown["guessed"] == [guess]
        assert (await client.get("/api/v1/projects/demo")).json()["guessed"] == [guess]
        await client.patch("/api/v1/projects/demo", json={"setup": ["npm ci"]})
        assert (await client.get("/api/v1/projects/demo")).json()["guessed"] == []
        assert (await client.get("/api/v1/templates/t-nothing")).status_code == 404


async def test_a_project_is_changed_only_in_what_is_named(site):
    async with site.client() as client:
        changed = await client.patch(
            "/api/v1/projects/demo", json={"size": "large", "setup": ["make deps"]}
        )
        assert changed.status_code == 200
        again = (await client.patch("/api/v1/projects/demo", json={"start": ["db"]})).json()
        assert again["ports"] == []
        again = (await client.patch("/api/v1/projects/demo", json={"ports": [3000]})).json()
        assert again["ports"] == [3000]
        assert (again["size"], again["setup"], again["start"]) == ("large", ["make deps"], ["db"])
        refused = await client.patch("/api/v1/projects/demo", json={"size": "vast"})
        assert refused.status_code == 422
        assert "known are: small, medium, large" in refused.text
        assert (await client.patch("/api/v1/projects/none", json={})).status_code == 404


async def test_a_rebuild_is_asked_for_and_written_down(site):
    async with site.client() as client:
        answer = await client.post("/api/v1/projects/demo/rebuild")
        assert answer.status_code == 202
        assert "are built again" in answer.json()["text"]
    (asked,) = await site.rows("SELECT rebuild_at IS NOT NULL FROM project WHERE name = 'demo'")
    assert asked[0]


@pytest.mark.parametrize("path", ["/pools", "/pools/list"])
async def test_the_page_shows_pools_waiting_machines_and_templates(site, path):
    template_id = await pool_of(site)
    async with site.client() as browser:
        link = {"link": await site.link()}
        await browser.post("/sign-in", data=link, headers={"Origin": site.url})
        shown = await browser.get(path, headers={"HX-Request": "true"})
        assert shown.status_code == 200
        for words in (
            "1 of 2 hot",
            "0 of 1 cold",
            "1 of 4 handed out hot (25 % hits)",
            "1 cold, 2 booted",
            "</span>Hot</span>",
            "2 should be hot",
            "Ready",
        ):
            assert words in shown.text, words
        log = await browser.get(f"/pools/templates/{template_id}")
        assert "no &lt;network&gt;" in log.text
        assert "status 2" in log.text


async def failed_again(site, *, note="`make` ended with status 2", failures=1, seconds=1):
    """One more template like the one that is there, which failed."""
    template_id = new_id()
    await site.rows(
        "INSERT INTO template (id, host_id, project_id, size, vcpus, memory_mib, disk_gib,"
        " image_digest, fingerprint, commit, generation, steps, state, note, failures, created_at,"
        " changed_at) SELECT :id, host_id, project_id, size, vcpus, memory_mib, disk_gib,"
        " image_digest, 'g', '', 0, '[]', 'failed', :note, :failures,"
        " created_at + make_interval(secs => :seconds), now() FROM template"
        " ORDER BY created_at LIMIT 1",
        id=template_id,
        note=note,
        failures=failures,
        seconds=seconds,
    )
    return template_id


async def waits(site, *, project="demo", why="there is none yet", failures=0, ahead=0, at=None):
    """A template of the project that its host says is to be built."""
    await site.rows(
        "INSERT INTO template_wait (host_id, project_id, size, why, failures, not_before, ahead,"
        " changed_at) SELECT :host, id, 'small', :why, :failures,"
        " CAST(:at AS timestamptz), :ahead, now() FROM project WHERE name = :project",
        host=site.host_id,
        why=why,
        failures=failures,
        at=at,
        ahead=ahead,
        project=project,
    )


async def another_project(site, name="other"):
    await site.rows(
        "INSERT INTO project (id, name, repository_url) VALUES (:id, :name, '/srv/other')",
        id=new_id(),
        name=name,
    )


async def test_failures_that_say_the_same_are_one_below_what_is_ready_and_say_when_it_is_next(site):
    ready = await pool_of(site)
    await failed_again(site, note="another reason", seconds=1)
    for nth in (2, 3):
        newest = await failed_again(site, failures=nth - 1, seconds=nth)
    await waits(site, failures=3, at=datetime(2030, 1, 2, 3, 4, tzinfo=UTC))
    async with site.client() as client:
        listed = (await client.get("/api/v1/templates")).json()
        each = (await client.get("/api/v1/templates?all=true")).json()["templates"]
        shown = (await client.get(f"/api/v1/templates/{newest}")).json()
        await client.post("/sign-in", data={"link": await site.link()}, headers=from_page(site))
        pages = [(await client.get(path)).text for path in ("/pools", f"/pools/templates/{newest}")]
    first, second, third = listed["templates"]
    assert (first["id"], first["again"]) == (str(ready), None)
    assert (second["id"], second["note"]) == (str(newest), "`make` ended with status 2")
    assert (third["note"], third["again"]) == ("another reason", None)
    assert second["again"] == shown["again"]
    assert (second["again"]["failures"], second["again"]["not_before"][:16]) == (
        3,
        "2030-01-02T03:04",
    )
    assert listed["waiting"] == [], "it stands beside the one that failed"
    assert len(each) == 4
    for page in pages:
        assert "failed 3 times in a row" in page
        assert "2030-01-02 03:04 UTC" in page


async def test_what_is_to_be_built_and_is_not_begun_says_why_and_when(site):
    await pool_of(site)
    await waits(site, why="the base branch moved on", at=datetime(2030, 1, 2, tzinfo=UTC))
    await another_project(site)
    await another_project(site, "third")
    await waits(site, project="other", ahead=2)
    async with site.client() as client:
        waiting = (await client.get("/api/v1/templates")).json()["waiting"]
        await client.post("/sign-in", data={"link": await site.link()}, headers=from_page(site))
        page = (await client.get("/pools")).text
    assert [(one["project"], one["size"], one["host"], one["why"]) for one in waiting] == [
        ("other", "small", "atlas", "there is none yet"),
        ("demo", "small", "atlas", "the base branch moved on"),
        ("third", "medium", None, "no host has looked at its project yet"),
    ]
    assert [one["ahead"] for one in waiting] == [2, 0, None]
    assert "built after 2 others" in page
    assert "2030-01-02 00:00 UTC" in page
    assert page.count("</span>Waiting</span>") == 3


async def test_what_is_being_built_says_at_which_step_of_how_many_it_is(site):
    template_id = await pool_of(site, state="building", built=False, note="npm ci")
    await site.rows("UPDATE template SET step_number = 4, step_count = 7")
    async with site.client() as client:
        (listed,) = (await client.get("/api/v1/templates")).json()["templates"]
        await client.post("/sign-in", data={"link": await site.link()}, headers=from_page(site))
        pages = [
            (await client.get(path)).text for path in ("/pools", f"/pools/templates/{template_id}")
        ]
    assert (listed["step_number"], listed["step_count"]) == (4, 7)
    assert listed["note"] == "step 4 of 7: npm ci"
    for page in pages:
        assert "Step 4 of 7: npm ci" in page


async def test_what_is_being_built_waits_for_nothing(site):
    await pool_of(site, state="building")
    await waits(site)
    async with site.client() as client:
        assert (await client.get("/api/v1/templates")).json()["waiting"] == []


@pytest.mark.parametrize("state", ["ready", "failed"])
async def test_a_pool_leads_to_its_template_and_back_and_each_builds_it_again(site, state):
    template_id = await pool_of(site, state=state)
    async with site.client() as browser:
        await browser.post("/sign-in", data={"link": await site.link()}, headers=from_page(site))
        pools = (await browser.get("/pools")).text
        template = (await browser.get(f"/pools/templates/{template_id}")).text
    (project_id,) = (await site.rows("SELECT id FROM project WHERE name = 'demo'"))[0]
    pool = f"pool-{project_id}-small"
    assert f'id="{pool}"' in pools
    assert f'<a href="/pools/templates/{template_id}">Its newest template</a>' in pools
    assert f'<a href="#{pool}">' in pools
    assert f'<a href="/pools#{pool}">' in template
    assert pools.count('action="/pools/demo/rebuild"') == 2, "of the pool, and of the template"
    assert template.count('action="/pools/demo/rebuild"') == 1


async def test_the_doctor_names_what_failed_last_and_what_is_held_back(site):
    there = Settings(database=DatabaseSettings(url=SecretStr(site.database.url)))
    await pool_of(site)
    for check in (check_templates, check_pools):
        assert (await check(there)).verdict is Verdict.FINE
    await site.rows("UPDATE pool SET held = 'no memory is left for it'")
    held = await check_pools(there)
    assert held.found == "demo (small) on atlas: no memory is left for it"
    await failed_again(site)
    await waits(site, failures=2, at=datetime(2030, 1, 2, tzinfo=UTC))
    failed = await check_templates(there)
    assert failed.found == (
        "demo (small) on atlas: `make` ended with status 2; failed 2 times in a row,"
        " tried again 2030-01-02 00:00 UTC"
    )
    assert failed.follows == "Machines of its sessions are made of the template before."
    await site.rows("UPDATE pool SET hot_target = 1, cold_target = 0")
    assert (await check_pools(there)).verdict is Verdict.FINE, "it lacks none"
    await site.rows("UPDATE host SET given_up_at = now()")
    assert (await check_templates(there)).verdict is Verdict.FINE
