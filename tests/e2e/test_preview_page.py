"""A preview in a real Chromium: signed in on our origin, its page and WebSocket on its own."""

import pytest
from playwright.async_api import expect

from tests.e2e.test_web_pages import chromium, signed_in
from tests.integration.visits.conftest import Street, street
from tests.integration.visits.test_previews import made
from tests.support.previewed_app import previewed_app

pytestmark = pytest.mark.browser

__all__ = ["chromium", "street"]


async def test_a_preview_opens_wakes_the_machine_and_has_its_websocket(
    chromium, street: Street
) -> None:
    await street.relay()
    _, short = await street.session(resting=True)
    async with previewed_app() as app, signed_in(chromium, street.site) as page:
        host = await made(street, short, app.port)
        # The page that says that the machine wakes is an error for whoever does not read it.
        await page.goto(f"http://{host}/?from=thread")
        await expect(page.get_by_role("heading", name="Hello from the machine")).to_be_visible()
        await expect(page.locator("#said")).to_have_text("heard ping")
        await expect(page.locator("#cookie")).to_have_text("theirs=1")
        assert page.url == f"http://{host}/?from=thread"
        page.wrong[:] = [one for one in page.wrong if "503" not in one]
        answer = await page.evaluate(
            "url => fetch(url, {credentials: 'include'}).then(() => 'read', () => 'refused')",
            f"{street.site.url}/api/v1/sessions",
        )
        assert answer == "refused", "a previewed page reads nothing of ours"
        page.wrong.clear()
    assert all("ona_" not in head.get("cookie", "") for head in app.heads)
