"""What a browser, another site and a stranger are kept from."""

import pytest

from bot.govern import credentials
from bot.web.headers import BODY_BYTES_MAX


@pytest.fixture
async def browser(site):
    """A signed-in browser without a script; `.csrf` is its forms' token."""
    async with site.client("none") as client:
        del client.headers["authorization"]
        signed = await client.post(
            "/sign-in", data={"link": await site.link()}, headers={"Origin": site.url}
        )
        assert signed.status_code == 303
        (secret,) = client.cookies.values()
        client.csrf = credentials.csrf_token(secret)
        yield client


async def test_a_link_signs_in_once_and_its_cookie_is_kept_from_scripts(site):
    link = await site.link()
    async with site.client("none") as client:
        del client.headers["authorization"]
        for _ in range(2):
            looked = await client.get("/sign-in", params={"link": link})
            assert "Sign in as Ann" in looked.text
        ours = {"Origin": site.url}
        first = await client.post("/sign-in", data={"link": link}, headers=ours)
        cookie = first.headers["set-cookie"].lower()
        again = await client.post("/sign-in", data={"link": link}, headers=ours)
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "max-age=2592000" in cookie
    assert again.status_code == 422
    assert "used already" in again.text


async def test_a_link_that_is_too_old_or_used_at_another_site_does_not_hold(site):
    old = await site.link(seconds=-1)
    fresh = await site.link()
    async with site.client("none") as client:
        del client.headers["authorization"]
        late = await client.post("/sign-in", data={"link": old}, headers={"Origin": site.url})
        assert late.status_code == 422
        for headers in ({}, {"Origin": "null"}, {"Origin": "https://evil.example"}):
            other = await client.post("/sign-in", data={"link": fresh}, headers=headers)
            assert other.status_code == 403
        good = await client.post("/sign-in", data={"link": fresh}, headers={"Origin": site.url})
        assert good.status_code == 303


async def test_every_change_needs_our_origin_and_the_forms_token(site, browser):
    short = (await site.ask("!x"))["session"]
    path = f"/sessions/{short}/stop"
    ours, csrf = {"Origin": site.url}, {"csrf": browser.csrf}
    for headers, data in (
        ({}, csrf),
        ({"Origin": "https://evil.example"}, csrf),
        ({"Origin": "null"}, csrf),
        (ours, {}),
        (ours, {"csrf": "0" * 64}),
    ):
        answer = await browser.post(path, data=data, headers=headers)
        assert answer.status_code == 403, (headers, data)
        by_api = await browser.post(f"/api/v1{path}", json={}, headers=headers)
        assert by_api.status_code == 403
    good = await browser.post(path, data=csrf, headers=ours)
    assert good.status_code == 303
    by_api = await browser.post(
        f"/api/v1/sessions/{short}/resume",
        headers={**ours, "X-CSRF-Token": browser.csrf},
    )
    assert by_api.status_code == 200


async def test_signing_out_ends_the_browser_session_for_good(site, browser):
    kept = dict(browser.cookies)
    done = await browser.post(
        "/sign-out", data={"csrf": browser.csrf}, headers={"Origin": site.url}
    )
    assert done.status_code == 303
    async with site.client("none") as thief:
        del thief.headers["authorization"]
        thief.cookies.update(kept)
        assert (await thief.get("/")).headers["location"] == "/sign-in"


async def test_who_is_not_signed_in_sees_no_page(site):
    short = (await site.ask("!x"))["session"]
    async with site.client("none") as client:
        del client.headers["authorization"]
        for path in ("/", f"/sessions/{short}", f"/sessions/{short}/live", "/machines", "/people"):
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")


async def test_strange_hosts_are_not_answered(site):
    async with site.client() as client:
        for host in ("evil.example", "localhost.evil.example", "[broken", "127.0.0.1.nip.io"):
            answer = await client.get("/api/v1/sessions", headers={"Host": host})
            assert answer.status_code == 421
        assert (await client.get("/live", headers={"Host": "10.0.0.7"})).status_code == 200


async def test_every_answer_carries_the_security_headers(site, browser):
    for path in ("/", "/static/ona.js", "/nothing", "/api/v1/nothing"):
        headers = (await browser.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


async def test_large_bodies_are_refused_whether_announced_or_not(site):
    async def drip():
        for _ in range(BODY_BYTES_MAX // 65536 + 2):
            yield b"x" * 65536

    async with site.client() as client:
        announced = await client.post("/api/v1/prompts", content=b"x" * (BODY_BYTES_MAX + 1))
        assert announced.status_code == 413
        dripped = await client.post("/api/v1/prompts", content=drip())
        assert dripped.status_code == 413
        assert dripped.json()["kept"] == "nothing was accepted"


async def test_no_output_becomes_markup(site, browser):
    evil = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    short = (await site.ask(f"!echo {evil}"))["session"]
    work = await site.begin()
    await work.output(f"\x1b]0;{evil}\x07{evil}\x1b[2J\n")
    for kind in ("text", "notice", "error", "weather"):
        await work.emit(kind, text=evil)
    await work.emit("tool", id="1", title=evil, status=evil, diff=evil)
    await work.ask(evil, evil)
    page = (await browser.get(f"/sessions/{short}")).text
    listed = (await browser.get("/")).text
    assert "<img" not in page + listed
    assert "<script>alert" not in page + listed
    assert "&lt;img src=x" in page
    assert "\x1b" not in page


async def test_a_database_that_is_away_is_said_with_when_to_try_again(site, browser, postgres):
    async with site.client() as client:
        with site.cut_off(postgres):
            for method, path in (("GET", "/api/v1/sessions"), ("POST", "/api/v1/prompts")):
                answer = await client.request(method, path, json={"text": "x"})
                assert answer.status_code == 503, path
                assert answer.headers["retry-after"] == "5"
                assert "try again" in answer.json()["do"]
            page = await browser.get("/")
            assert page.status_code == 503
            assert "The database does not answer." in page.text
            assert (await client.get("/ready")).status_code == 503
            assert (await client.get("/live")).status_code == 200
        assert (await client.get("/api/v1/sessions")).status_code == 200
        assert await site.rows("SELECT count(*) FROM prompt") == [(0,)]


async def test_a_title_is_changed_by_api_and_page_and_the_change_is_kept(site, browser):
    session = (await site.ask("fix *this* test"))["session"]
    path = f"/api/v1/sessions/{session}"
    async with site.client() as client:
        assert (await client.get(path)).json()["title"] == "fix this test"
        told = await client.patch(path, json={"title": "The payment test"})
        refused = [
            (await client.patch(path, json={"title": title})).status_code
            for title in (" ", "x" * 101)
        ]
    assert told.json()["text"] == "The session is called “The payment test” now."
    assert refused == [422, 413]
    page = await browser.get(f"/sessions/{session}")
    assert 'value="The payment test"' in page.text
    changed = await browser.post(
        f"/sessions/{session}/title",
        data={"title": "<b>It</b>", "csrf": browser.csrf},
        headers={"Origin": site.url},
    )
    assert changed.status_code == 303
    assert "<h1>&lt;b&gt;It&lt;/b&gt;</h1>" in (await browser.get(f"/sessions/{session}")).text
    kept = "SELECT body ->> 'title' FROM turn_event WHERE kind = 'session.titled' ORDER BY number"
    assert await site.rows(kept) == [("The payment test",), ("<b>It</b>",)]
