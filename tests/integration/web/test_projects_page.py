"""What the page of the projects says of each."""

from tests.integration.web.site import Site, sign_in


async def projects_page(site: Site) -> str:
    async with site.client() as browser:
        link = {"link": await site.link()}
        await browser.post("/sign-in", data=link, headers={"Origin": site.url})
        return (await browser.get("/projects")).text


async def test_a_project_is_shown_with_its_machines_and_the_commands_that_ready_them(site):
    changes = {"size": "large", "setup": ["uv sync", "make <all>"], "start": ["./db"]}
    changes |= {"ports": [3000, 8080]}
    async with site.client() as client:
        await client.patch("/api/v1/projects/demo", json=changes)
    shown = await projects_page(site)
    large = site.services.settings.sizes["large"]
    assert f"large machines ({large.vcpus} CPUs, {large.memory_mib} MiB)" in shown
    assert '<dd class="mono">uv sync<br>make &lt;all&gt;</dd>' in shown, "each on its line"
    assert '<dd class="mono">./db</dd>' in shown
    assert '<dt>Ports</dt>\n      <dd class="mono">3000<br>8080</dd>' in shown


async def test_ports_are_typed_with_commas_or_spaces_and_what_is_none_is_kept_as_it_was_typed(site):
    form = {"name": "shop", "repository_url": "https://example.org/shop.git"}
    async with site.client() as browser:
        form["csrf"] = await sign_in(site, browser)
        answer = await browser.post("/projects", data={**form, "ports": "3000, web"})
        assert (answer.status_code, "There is no port web" in answer.text) == (422, True)
        assert 'name="ports" maxlength="200" pattern="[0-9, ]*" value="3000, web"' in answer.text
        answer = await browser.post("/projects", data={**form, "ports": "3000, 8080 9090"})
        assert answer.status_code == 303, answer.text
    named = await site.rows("SELECT ports FROM project WHERE name = 'shop'")
    assert named[0][0] == [3000, 8080, 9090]


async def test_a_project_without_a_size_has_that_of_the_installation_and_one_that_is_gone_a_name(
    site,
):
    settings = site.services.settings
    assert f"<span>{settings.machine.size} machines (" in await projects_page(site)
    await site.rows("UPDATE project SET size = 'huge'")
    assert "<span>huge machines</span>" in await projects_page(site)


async def test_a_project_leads_to_where_its_template_stands_before_there_is_one(site):
    (project_id,) = (await site.rows("SELECT id FROM project WHERE name = 'demo'"))[0]
    assert f'href="/pools#template-{project_id}"' in await projects_page(site)
    async with site.client() as browser:
        link = {"link": await site.link()}
        await browser.post("/sign-in", data=link, headers={"Origin": site.url})
        pools = (await browser.get("/pools")).text
    assert pools.count(f'id="template-{project_id}"') == 1


async def test_instructions_are_typed_shown_changed_and_bounded(site):
    form = {"name": "shop", "repository_url": "https://example.org/shop.git"}
    async with site.client() as browser:
        form["csrf"] = await sign_in(site, browser)
        much = "<x>" * 6000
        answer = await browser.post("/projects", data={**form, "instructions": much})
        assert answer.status_code == 422
        assert "Instructions have at most 16,384 bytes" in answer.text
        assert "&lt;x&gt;&lt;x&gt;" in answer.text, "what was typed is kept"
        answer = await browser.post("/projects", data={**form, "instructions": "<A>.\r\nB.\r\n"})
        assert answer.status_code == 303, answer.text
        assert "&lt;A&gt;.\nB.</dd>" in (await browser.get("/projects")).text
    async with site.client() as client:
        assert (await client.get("/api/v1/projects/shop")).json()["instructions"] == "<A>.\nB."
        changed = await client.patch("/api/v1/projects/shop", json={"instructions": ""})
        assert changed.json()["instructions"] == ""
