"""Takes the pictures of the README from a running installation.

python tests/e2e/web_pictures.py SIGN_IN_LINK SESSION DIRECTORY
"""

import asyncio
import sys
from pathlib import Path
from urllib.parse import urlsplit

from playwright.async_api import async_playwright

CHROMIUM = "/usr/bin/chromium"
PICTURES = (
    ("session-light.png", "light", 1100, 880),
    ("session-dark.png", "dark", 1100, 880),
    ("session-phone.png", "light", 390, 800),
)


async def main(link: str, session: str, directory: Path) -> None:
    parts = urlsplit(link)
    origin = f"{parts.scheme}://{parts.netloc}"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(link)
        await page.get_by_role("button", name="Sign in").click()
        for name, scheme, width, height in PICTURES:
            await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            await page.set_viewport_size({"width": width, "height": height})
            await page.goto(f"{origin}/sessions/{session}")
            await page.get_by_text("Live", exact=True).wait_for()
            await page.screenshot(path=directory / name)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
