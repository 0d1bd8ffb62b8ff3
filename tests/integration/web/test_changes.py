"""What a session changed, on a page of its own."""

from bot.web.pages import changes
from tests.integration.web.site import sign_in


def tool(key, diff, **more):
    return {"id": key, "title": f"Edit {key}", "status": "completed", "diff": diff, **more}


async def test_the_newest_change_of_each_tool_is_shown_by_turn_and_harms_nobody(site):
    short = (await site.ask("mend <b>it</b>"))["session"]
    work = await site.begin()
    await work.emit("tool", **tool("a", "-old\n+half"))
    await work.emit("tool", **tool("a", "-old\n+<script>new"))
    await work.emit("tool", **tool("b", ""))
    await work.end()
    await site.ask("!true", session=short)
    await (await site.begin()).end()
    async with site.client() as browser:
        await sign_in(site, browser)
        shown = (await browser.get(f"/sessions/{short}/changes")).text
        session = (await browser.get(f"/sessions/{short}")).text
        missing = await browser.get("/sessions/s-none/changes")
    assert f'href="/sessions/{short}/changes"' in session
    assert missing.status_code == 404
    assert shown.count("<section") == 1
    assert "mend &lt;b&gt;it" in shown
    assert "+&lt;script&gt;new" in shown
    assert "+half" not in shown
    assert "Edit b" not in shown


async def test_no_more_than_so_many_changes_are_shown_and_that_is_said(site, monkeypatch):
    short = (await site.ask("mend it"))["session"]
    work = await site.begin()
    async with site.client() as browser:
        await sign_in(site, browser)
        assert "No agent" in (await browser.get(f"/sessions/{short}/changes")).text
        for number in range(3):
            await work.emit("tool", **tool(f"t{number}", f"+{number}"))
        assert "newest" not in (await browser.get(f"/sessions/{short}/changes")).text
        monkeypatch.setattr(changes, "CHANGES_MAX", 2)
        shown = (await browser.get(f"/sessions/{short}/changes")).text
    assert "These are the newest 2" in shown
    assert ["Edit t0" in shown, "Edit t1" in shown, "Edit t2" in shown] == [False, True, True]
