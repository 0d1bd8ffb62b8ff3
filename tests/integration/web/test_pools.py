"""Templates, pools and the settings of projects, over the API and on the page."""

import pytest

from bot.store.ids import new_id
from tests.integration.web.site import STEPS, pool_of


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
