"""The pages in a real Chromium: watch, ask, stop, answer, reload; WCAG 2.2 AA by axe."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright, expect

from bot.govern import people
from bot.store.states import TurnState
from bot.work.queue import Event
from tests.integration.web.site import Site, pool_of, running_site
from tests.integration.web.test_automations import DAILY, synced
from tests.support.runs import pull_of, run_of, set_target

pytestmark = pytest.mark.browser

CHROMIUM = "/usr/bin/chromium"
SECONDS_MAX = 20_000
WCAG = {
    "resultTypes": ["violations"],
    "runOnly": {
        "type": "tag",
        "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    },
}
expect.set_options(timeout=SECONDS_MAX)


@pytest.fixture
async def site(database_url, tmp_path) -> AsyncIterator[Site]:
    async with running_site(database_url, tmp_path) as running:
        yield running


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        await browser.close()


@asynccontextmanager
async def signed_in(chromium: Browser, site: Site, person=None, **options) -> AsyncIterator[Page]:
    """A page of a signed-in person; any error in its console fails the test."""
    context = await chromium.new_context(**options)
    context.set_default_timeout(SECONDS_MAX)
    page = await context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type in {"error"} else None)
    await page.goto(f"{site.url}/sign-in?link={await site.link(person)}")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="Sessions", exact=True)).to_be_visible()
    page.wrong = wrong
    yield page
    await context.close()
    assert wrong == []


async def numbers_shown(page: Page) -> list[int]:
    return await page.eval_on_selector_all(
        "#log [data-n]", "lines => lines.map(line => Number(line.dataset.n))"
    )


async def output_shown(page: Page) -> str:
    return await page.eval_on_selector_all(
        "#log pre.output", "blocks => blocks.map(block => block.textContent).join('')"
    )


async def test_ask_watch_reload_in_the_middle_and_stop(chromium, site):
    async with signed_in(chromium, site) as page:
        await page.get_by_label("What should be done?").fill("!seq 400")
        await page.get_by_role("button", name="Open a session").click()
        await page.wait_for_url(re.compile(r"/sessions/s-\w+$"))
        await expect(page.locator("#live-state")).to_have_text("Live")
        work = await site.begin()

        async def write(begin, end):
            for number in range(begin, end, 4):
                # Lines are cut in the middle, as pipes do.
                texts = [f"line {number}\nli", f"ne {number + 1}\n", "", f"line {number + 2}\n"]
                texts.append(f"line {number + 3}\n")
                await work.emit_all(
                    [
                        Event(kind="output", body={"stream": "stdout", "text": text})
                        for text in texts
                    ]
                )

        await write(0, 200)
        writing = asyncio.create_task(write(200, 320))
        await page.reload()
        await writing
        await page.reload()
        await write(320, 400)
        await expect(page.locator("#log")).to_contain_text("line 399\n", use_inner_text=False)
        shown = await numbers_shown(page)
        first = shown[0]
        assert shown == list(range(first, first + len(shown)))
        wanted = "".join(f"line {number}\n" for number in range(400))
        assert wanted.endswith(await output_shown(page))
        await page.get_by_role("button", name="Show earlier lines").click()
        await expect(page.get_by_role("button", name="Show earlier lines")).to_have_count(0)
        assert await numbers_shown(page) == list(range(1, shown[-1] + 1))
        assert await output_shown(page) == wanted
        await expect(page.locator("#log pre.output")).to_have_count(1)

        await page.get_by_role("button", name="Stop").click()
        await expect(page.locator("#told")).to_contain_text("Stopping your turn.")
        await work.end(TurnState.STOPPED, summary="stopped on request by Ann")
        await expect(page.locator("#log .look-end")).to_contain_text("Stopped")
        await expect(page.locator("#side .state")).to_have_text("Idle")


async def test_queue_hold_resume_cancel_and_answer(chromium, site):
    short = (await site.ask("!first"))["session"]
    work = await site.begin()
    async with signed_in(chromium, site, site.bo) as page:
        await page.goto(f"{site.url}/sessions/{short}")
        box = page.get_by_label("Ask in this session")
        await box.fill("!second")
        await box.press("Control+Enter")
        await expect(page.locator("#ask .told")).to_contain_text("Queued as number 1.")
        await expect(box).to_have_value("")
        await expect(box).to_be_focused()
        await expect(page.locator(".queue li")).to_have_count(1)
        await box.fill("x" * 150_000)
        await page.get_by_role("button", name="Send").click()
        await expect(page.locator("#ask .told")).to_contain_text("at most 100,000 fit")
        assert len(await box.input_value()) == 150_000
        await box.fill("!third")
        await page.get_by_role("button", name="Send").click()
        await expect(page.locator(".queue li")).to_have_count(2)
        await page.get_by_role("button", name="Cancel prompt 2 of Bo").click()
        await expect(page.locator(".queue li")).to_have_count(1)

        await page.get_by_role("button", name="Stop").click()
        await expect(page.locator("#told")).to_contain_text("Stopping the turn of Ann.")
        await work.end(TurnState.STOPPED)
        await expect(page.locator("#side .state")).to_have_text("Held")
        await page.get_by_role("button", name="Resume").click()
        await expect(page.locator("#side .state")).to_have_text("Queued")

        work = await site.begin()
        await work.ask("Which <b>port</b>?", "80", "8080")
        await page.get_by_role("button", name="8080").click()
        await expect(page.locator("#log")).to_contain_text("Answer")
        await expect(page.locator(".panel-question")).to_have_count(0)
    assert await site.rows("SELECT state, answer FROM question") == [("answered", "8080")]


async def test_the_log_can_be_paused_and_goes_on_without_a_gap(chromium, site):
    short = (await site.ask("!x"))["session"]
    work = await site.begin()
    async with signed_in(chromium, site) as page:
        await page.goto(f"{site.url}/sessions/{short}")
        await expect(page.locator("#live-state")).to_have_text("Live")
        await page.get_by_role("button", name="Pause").click()
        await work.output("while paused\n")
        await expect(page.locator("#live-state")).to_have_text("Paused, 1 new")
        await expect(page.locator("#log")).not_to_contain_text("while paused")
        await page.get_by_role("button", name="Go on").click()
        await expect(page.locator("#log")).to_contain_text("while paused")
        shown = await numbers_shown(page)
        assert shown == list(range(1, len(shown) + 1))


async def test_no_output_becomes_markup_or_breaks_the_page(chromium, site):
    evil = "<img src=x onerror=alert(1)><script>document.title='pwned'</script></pre></div>"
    short = (await site.ask(f"!echo {evil}"))["session"]
    work = await site.begin()
    async with signed_in(chromium, site) as page:
        await page.goto(f"{site.url}/sessions/{short}")
        await expect(page.locator("#live-state")).to_have_text("Live")
        await work.output(evil)
        await work.emit("tool", id="1", title=evil, status="x", diff=evil)
        await work.emit("weather", wind=evil)
        await expect(page.locator("#log [data-kind=weather]")).to_contain_text("<img")
        assert await page.locator("#log img, #log script").count() == 0
        assert "pwned" not in await page.title()


async def fill(site: Site) -> list[str]:
    """Sessions in every state that looks different; the addresses of all pages."""
    idle = (await site.ask("Fix the flaky payment test"))["session"]
    work = await site.begin()
    await work.emit("step", step="booting")
    await work.emit("thought", text="The order of a set.")
    await work.emit("tool", id="1", title="pytest -x", status="completed", diff="-a\n+b")
    await work.output("70 passed\n")
    await work.emit("text", text="It passes now.")
    await work.end()
    await site.machine(idle, "resting")
    busy = (await site.ask("Upgrade the framework", new=True))["session"]
    await site.begin()
    await site.machine(busy)
    await site.ask("!then this", session=busy)
    asking = (await site.ask("Delete the deployment", new=True))["session"]
    work = await site.begin()
    await work.emit("error", text="refused")
    await work.ask("The volume as well?", "Yes", "No")
    await pool_of(site)
    paths = [
        "/",
        "/machines",
        "/pools",
        "/pools/templates/demo",
        "/projects",
        "/reminders",
        "/automations",
        "/runs",
        "/people",
    ]
    await automations_of(site)
    run = await run_of(
        site, site.ann, ("done", "failed", "running", "waiting", "skipped", "stopped")
    )
    await pull_of(site, run, 1, site.ann)
    async with site.database.begin() as tx:
        await people.add_person(tx, "robot", is_service=True)
    paths += [f"/runs/{run.short}", f"/runs/{run.short}?state=failed"]
    paths.append(await reminder_of(site))
    paths += ["/tokens", "/setup", "/status", "/nothing"]
    paths += await policies_of(site)
    paths.append(f"/sessions/{busy}/changes")
    return [*paths, *(f"/sessions/{short}" for short in (idle, busy, asking))]


async def policies_of(site: Site) -> list[str]:
    """Two versions of a policy; the pages that show both, and what is allowed, denied and wrong."""
    own = "/projects/demo/policy"
    async with site.client() as ann:
        for lines in ('["a.test"]', '["a.test", "*.cdn.test:8443"]'):
            put = await ann.put(f"/api/v1{own}", json={"source": f"[egress]\nallow = {lines}"})
            assert put.status_code == 200, put.text
    asked = (f"{own}?url={said}" for said in ("a.test", "b.test", "tcp://x"))
    return [own, f"{own}?version=1", *asked]


async def automations_of(site: Site) -> None:
    """One that counts, with a change that waits; one made here; files with mistakes and others'."""
    await synced(site, DAILY)
    async with site.client() as ann:
        (one,) = (await ann.get("/api/v1/automations")).json()["automations"]
        where = f"/api/v1/automations/{one['automation']}"
        await ann.post(f"{where}/approve", json={"digest": one["proposed_digest"]})
        source = "name: release-notes\nsteps: [{prompt: x}]\ntriggers: [{webhook: }, {push: }]\n"
        made = await ann.post("/api/v1/automations", json={"project": "demo", "source": source})
        assert made.status_code == 201, made.text
    changed = DAILY.replace("0 9", "0 10") + "description: Looks at it every day.\n"
    await synced(site, changed, "on: push\n", "schema: ona/automation/v1\nnam: x\n")


STRAY_LABELS = """[...document.querySelectorAll('label[for]')]
    .filter(one => one.control)
    .map(one => [one, one.getBoundingClientRect(), one.control.getBoundingClientRect()])
    .filter(([, words, field]) => words.width && field.width)
    .filter(([, words, field]) => field.top < words.bottom - 1
        || Math.abs(field.left - words.left) > 8)
    .filter(([, words, field]) => field.left < words.right - 1 || field.top >= words.bottom)
    .map(([one]) => one.textContent)"""
"""Of labels that stand neither above their field nor before it in its line."""
TORN_LABELS = """[...document.querySelectorAll('label > input[type=checkbox]')]
    .filter(one => one.offsetParent !== null)
    .map(one => [one.parentElement, one.getBoundingClientRect(), document.createRange()])
    .filter(([label, box, words]) => {
        words.selectNodeContents(label);
        words.setStart(label.lastChild, 1);
        return words.getClientRects()[0].top > box.bottom;
    })
    .map(([label]) => label.textContent)"""
"""Of boxes to tick whose words stand below them."""
BROKEN_WORDS = """[...document.querySelectorAll('button, label, [role=status]')]
    .filter(one => one.offsetParent !== null && one.textContent.trim())
    .filter(one => {
        const words = document.createRange();
        return [...one.childNodes]
            .filter(node => node.nodeType === 3)
            .some(node => [...node.data.matchAll(/\\S+/g)].some(word => {
                words.setStart(node, word.index);
                words.setEnd(node, word.index + word[0].length);
                return words.getClientRects().length > 1;
            }));
    })
    .map(one => one.outerHTML.slice(0, 100))"""
"""Of what has a word that goes on in the next line."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 1200), ("light", 360)])
async def test_every_page_meets_wcag_and_fits(chromium, site, scheme, width):
    paths = await fill(site)
    found = []
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}}
    async with signed_in(chromium, site, reduced_motion="reduce", **options) as page:
        for path in paths:
            await page.goto(site.url + path)
            if path.startswith("/sessions/") and not path.endswith("/changes"):
                await expect(page.locator("#live-state")).to_have_text("Live")
            results = (await Axe().run(page, options=WCAG)).response["violations"]
            found += [
                (path, one["id"], [node["html"][:150] for node in one["nodes"]]) for one in results
            ]
            wide = await page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{path} is {wide} px wide"
            small = await page.evaluate(
                """[...document.querySelectorAll('button, input, select, textarea, nav a')]
                .filter(one => one.type !== 'hidden' && one.offsetParent !== null)
                .filter(one => one.offsetHeight < 24 || one.offsetWidth < 24)
                .map(one => one.outerHTML.slice(0, 100))"""
            )
            assert small == [], path
            assert await page.evaluate(STRAY_LABELS) == [], path
            assert await page.evaluate(TORN_LABELS) == [], path
            assert await page.evaluate(BROKEN_WORDS) == [], path
        page.wrong[:] = [said for said in page.wrong if not re.search("404|422", said)]
    assert found == []


async def test_a_run_s_page_moves_by_itself_and_its_buttons_act(chromium, site):
    run = await run_of(site, site.ann)
    async with signed_in(chromium, site) as page:
        await page.goto(f"{site.url}/runs/{run.short}")
        await expect(page.get_by_role("img")).to_have_accessible_name("2 of 4 targets are over")
        await set_target(site, run, 3, state="failed", why="the machine is gone")
        await expect(page.locator("#target-3")).to_contain_text("The machine is gone")
        await expect(page.get_by_role("img")).to_have_accessible_name("3 of 4 targets are over")
        await page.get_by_role("button", name="Stop all").click()
        await expect(page.locator("#told")).to_contain_text("1 target that waited is not begun")
        await expect(page.locator("#target-4")).to_contain_text("Ann stopped the run")
        await page.get_by_role("button", name="Re-run target 3").click()
        await expect(page.locator("#target-3 .state")).to_have_text("Waiting")
        await page.get_by_role("button", name="Re-run failed").click()
        await expect(page.locator("#target-2")).to_contain_text("attempt 2")
        async with page.expect_download() as download:
            await page.get_by_role("link", name="CSV").click()
        assert (await download.value).suggested_filename == f"{run.short}.csv"


async def test_on_a_phone_all_of_a_run_s_targets_is_seen_without_moving_sideways(chromium, site):
    states = ("done", "failed", "running", "waiting", "skipped", "stopped")
    run = await run_of(site, site.ann, states)
    await set_target(site, run, 2, why="no module named " + "payments_service_" * 9)
    await set_target(site, run, 5, repository="https://git.example.org/" + "infrastructure-" * 9)
    async with signed_in(chromium, site, viewport={"width": 390, "height": 844}) as page:
        await page.goto(f"{site.url}/runs/{run.short}")
        table = page.get_by_role("region", name="Table of targets")
        await expect(table.get_by_role("row")).to_have_count(7)
        assert await table.evaluate("one => one.scrollWidth <= one.clientWidth")
        button = await page.get_by_role("button", name="Re-run target 5").bounding_box()
        assert button["x"] + button["width"] <= 390


async def reminder_of(site: Site) -> str:
    """The page of a reminder."""
    async with site.client() as ann:
        wanted = {"when": "every day at 9", "what": "Look at the build"}
        made = await ann.post("/api/v1/reminders", json=wanted)
        assert made.status_code == 201, made.text
        return f"/reminders/{made.json()['reminder']}"


@pytest.mark.parametrize("width", [1280, 390])
async def test_a_reminder_is_edited_by_keyboard_once_it_was_said_back(chromium, site, width):
    where = await reminder_of(site)
    size = {"width": width, "height": 800}
    async with signed_in(chromium, site, viewport=size) as page:
        await page.goto(f"{site.url}{where}")
        await page.get_by_label("When", exact=True).fill("every friday 16:00")
        await page.get_by_label("Quiet hours").fill("22-7")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("I understood: every friday 16:00")).to_be_visible()
        await expect(page.get_by_role("button", name="Yes, save it")).to_be_focused()
        results = await Axe().run(page, options=WCAG)
        assert results.violations_count == 0, results.generate_report()
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        await page.keyboard.press("Enter")
        await page.wait_for_url(re.compile("/reminders$"))
        await expect(page.get_by_text("quiet 22:00-07:00")).to_be_visible()


async def test_the_sign_in_and_the_secrets_pages_meet_wcag(chromium, site):
    async with signed_in(chromium, site) as page:
        await page.goto(f"{site.url}/people")
        await page.get_by_role("button", name="Make a sign-in link for Bo").click()
        await expect(page.locator(".copyable")).to_contain_text("/sign-in?link=")
        results = [(await Axe().run(page, options=WCAG)).response["violations"]]
        await page.goto(f"{site.url}/tokens")
        await page.get_by_label("Name").fill("ci")
        await page.get_by_role("button", name="Make token").click()
        await expect(page.locator(".copyable")).to_contain_text("ona_")
        results.append((await Axe().run(page, options=WCAG)).response["violations"])
        await page.goto(f"{site.url}/projects")
        await page.get_by_label("Name").fill("web")
        await page.get_by_label("Repository").fill("/srv/empty")
        await page.get_by_role("button", name="Add project").click()
        await expect(page.get_by_role("alert")).to_contain_text("is no repository")
        results.append((await Axe().run(page, options=WCAG)).response["violations"])
        await page.get_by_text("Ann", exact=True).click()
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        results.append((await Axe().run(page, options=WCAG)).response["violations"])
        page.wrong[:] = [said for said in page.wrong if "422" not in said]
    assert [one["id"] for found in results for one in found] == []


async def test_everything_is_reached_by_keyboard_beginning_with_the_skip_link(chromium, site):
    short = (await site.ask("!x"))["session"]
    async with signed_in(chromium, site) as page:
        await page.goto(f"{site.url}/sessions/{short}")
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.className") == "skip"
        await page.keyboard.press("Enter")
        assert await page.evaluate("document.activeElement.id") == "main"
        reached = set()
        for _ in range(20):
            await page.keyboard.press("Tab")
            reached.add(await page.evaluate("document.activeElement.id"))
        assert {"do-stop", "pause", "ask-text"} <= reached


async def test_pages_work_without_a_script(chromium, site):
    context = await chromium.new_context(java_script_enabled=False)
    context.set_default_timeout(SECONDS_MAX)
    page = await context.new_page()
    await page.goto(f"{site.url}/sign-in?link={await site.link()}")
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_label("What should be done?").fill("!echo hi")
    await page.get_by_role("button", name="Open a session").click()
    await page.get_by_label("Ask in this session").fill("!echo again")
    await page.get_by_role("button", name="Send").click()
    await expect(page.locator("#log")).to_contain_text("!echo again")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.locator("#side .state")).to_have_text("Held")
    await context.close()


async def test_a_page_whose_server_went_away_says_so_and_goes_on_by_itself(chromium, site):
    short = (await site.ask("!x"))["session"]
    work = await site.begin()
    async with signed_in(chromium, site) as page:
        await page.goto(f"{site.url}/sessions/{short}")
        await expect(page.locator("#live-state")).to_have_text("Live")
        await page.context.set_offline(True)
        site.services.stopping.set()
        await expect(page.locator("#live-state")).to_contain_text("Connection lost")
        await work.output("meanwhile\n")
        site.services.stopping.clear()
        await page.context.set_offline(False)
        await expect(page.locator("#log")).to_contain_text("meanwhile")
        await expect(page.locator("#live-state")).to_have_text("Live")
        shown = await numbers_shown(page)
        assert shown == list(range(1, len(shown) + 1))
        page.wrong.clear()
