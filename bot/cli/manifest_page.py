"""A page on this machine that leads a browser to GitHub and takes what comes back, once.

Its address has a secret in it, and what comes back has to bring another one: nobody else on this
machine, and no page elsewhere, can have us take an App that is not ours.
"""

import asyncio
import hmac
import json
import os
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import escape

import aiohttp
from aiohttp import web

from adapters.chat.port import ChatError, Deadline
from adapters.forge.github import manifest
from adapters.forge.github.examining import PERMISSIONS
from adapters.forge.github.manifest import Made
from bot.config import Settings
from bot.errors import Refused
from bot.switched import hook_url

EXCHANGE_SECONDS = 30.0
WAIT_SECONDS = 3600.0
"""GitHub's code is good for so long."""
_CODE = re.compile(r"[0-9A-Za-z_-]{1,200}")
_STYLE = (
    ":root{color-scheme:light dark}body{font:1rem/1.55 system-ui,sans-serif;max-width:36rem;"
    "margin:2rem auto;padding:0 1rem;overflow-wrap:anywhere}button{font:inherit;font-weight:600;"
    "padding:.5rem 1rem;cursor:pointer}dt{font-family:monospace}dd{margin:0 0 .4rem 1rem}"
)
_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


def _future() -> asyncio.Future[Made]:
    return asyncio.get_running_loop().create_future()


@dataclass(kw_only=True)
class ManifestPage:
    """The page while it is there."""

    settings: Settings
    pages_url: str
    """Where GitHub's pages are."""
    api_url: str
    name: str
    organization: str = ""
    port: int = 0
    """Of the page, once it is there."""
    key: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    state: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    made: asyncio.Future[Made] = field(default_factory=_future)

    @property
    def url(self) -> str:
        """What to open in a browser."""
        return f"http://127.0.0.1:{self.port}/{self.key}"

    @property
    def manifest(self) -> dict[str, object]:
        """What is posted to GitHub."""
        ours, public = self.settings, self.settings.public_url or ""
        own = [f"http://{host}:{ours.port}" for host in ("127.0.0.1", "localhost")]
        places = [public, *own] if public else own
        return manifest.manifest(
            name=self.name,
            public_url=public,
            redirect_url=f"http://127.0.0.1:{self.port}/back",
            callback_urls=[f"{place}/back/github" for place in places],
            hook_url=hook_url(ours, "github"),
        )

    async def ask(self, _: web.Request) -> web.Response:
        """What will be asked for, and the button that leads to GitHub."""
        to = manifest.new_app_url(self.pages_url, self.organization, self.state)
        wants = "".join(
            f"<dt>{name}: {level}</dt><dd>{escape(why)}</dd>"
            for name, (level, why) in PERMISSIONS.items()
        )
        whose = escape(self.organization) if self.organization else "your own account"
        body = f"""<h1>An App for ona</h1><p>It will belong to {whose}. GitHub shows you once
            more what it may do before it is made.</p><dl>{wants}</dl>
            <form method="post" action="{escape(to)}">
            <input type="hidden" name="manifest" value="{escape(json.dumps(self.manifest))}">
            <button>Go on to GitHub</button></form>"""
        return _page("An App for ona", body)

    async def back(self, request: web.Request) -> web.Response:
        """The browser comes back from GitHub."""
        code, state = request.query.get("code", ""), request.query.get("state", "")
        if not hmac.compare_digest(state.encode("utf-8", "replace"), self.state.encode()):
            return _page("Not this way", "<p>It did not begin here; open the page again.</p>", 403)
        if self.made.done() or not _CODE.fullmatch(code):
            return _page("Not this way", "<p>There is nothing to take; begin again.</p>", 400)
        deadline = Deadline.after(EXCHANGE_SECONDS)
        try:
            async with aiohttp.ClientSession() as session:
                made = await manifest.exchange(session, self.api_url, code, deadline)
        except ChatError as error:
            if not self.made.done():
                self.made.set_exception(_refused(error))
            return _page("It did not work", f"<p>{escape(str(error))}</p>", 502)
        if not self.made.done():
            self.made.set_result(made)
        link = escape(made.install_url)
        body = f"""<h1>{escape(made.slug)} is made</h1><p>Your terminal goes on. Now
            <a href="{link}">install it where your repositories are</a>.</p>"""
        return _page("The App is made", body)


@asynccontextmanager
async def serving(page: ManifestPage) -> AsyncIterator[ManifestPage]:
    """Have the page on a loopback port as long as the context lasts."""
    application = web.Application()
    application.router.add_get(f"/{page.key}", page.ask)
    application.router.add_get("/back", page.back)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, "127.0.0.1", page.port).start()
        except OSError as error:
            raise Refused(
                f"port {page.port} can't be used: {os.strerror(error.errno or 0)}",
                do="choose another --port",
            ) from error
        page.port = runner.addresses[0][1]
        yield page
    finally:
        await runner.cleanup()


async def taken(page: ManifestPage) -> Made:
    """The App, once somebody has made it. :raises Refused: GitHub refused, or nobody did."""
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            return await page.made
    except TimeoutError:
        raise Refused("nobody came back from GitHub", do="begin again") from None


def _refused(error: ChatError) -> Refused:
    return Refused(
        f"the App could not be taken over: {error}",
        kept="nothing was written",
        do="delete it at GitHub, if it is there, and begin again",
    )


def _page(title: str, body: str, status: int = 200) -> web.Response:
    text = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f"<main>{body}</main></html>"
    )
    return web.Response(text=text, content_type="text/html", status=status, headers=_HEADERS)
