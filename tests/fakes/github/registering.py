"""How an app is registered: as it stands at GitHub, and the pages that make one of a manifest.

The emulator knows neither events, nor what an account has agreed to, nor manifests. What it calls
a registered app keeps its id, slug and key; the rest of it is here.
"""

from __future__ import annotations

import html
import json
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.fakes.github.hooks import ALL
from tests.fakes.github.program import OWNER, PERMISSIONS
from tests.fakes.github.requests import NOT_FOUND, Refused, Reply, Request
from tests.fakes.github.routes import REPO, route

if TYPE_CHECKING:
    from tests.fakes.github.server import FakeGitHub

NAME_LENGTH_MAX = 34


@dataclass(kw_only=True)
class Registration:
    """An app, as its page in the settings shows it."""

    permissions: dict[str, str] = field(default_factory=lambda: dict(PERMISSIONS))
    events: list[str] = field(default_factory=lambda: sorted(ALL))
    accepted: dict[str, str] | None = None
    """What the account agreed to; None: to all that is asked for."""
    suspended: bool = False
    hidden: set[str] = field(default_factory=set)
    """Repositories of the account in which it was not installed."""
    hook_url: str | None = None
    """Where webhooks go; None: there is none."""
    answered: list[int] = field(default_factory=list)
    """The status that each delivery of a webhook was answered with; 0: it was not."""
    manifests: list[dict[str, Any]] = field(default_factory=list)
    """Those that apps were made of."""
    owners: list[str] = field(default_factory=list)
    """For whom: an organisation, or "" for the person themselves."""
    codes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Manifests by the code that they can be had with, once."""

    def pages(self, application: web.Application) -> None:
        for path in ("/settings/apps/new", "/organizations/{owner}/settings/apps/new"):
            application.router.add_post(path, self._asked)
        application.router.add_post("/settings/apps/manifest", self._created)

    async def _asked(self, request: web.Request) -> web.Response:
        """The page that shows what is to be made, with its button."""
        form = await request.post()
        wrong = _wrong(json.loads(str(form["manifest"])))
        if wrong:
            return web.Response(status=422, text=f"Invalid GitHub App configuration: {wrong}")
        kept = {
            "manifest": str(form["manifest"]),
            "state": request.query.get("state", ""),
            "owner": request.match_info.get("owner", ""),
        }
        fields = "".join(
            f'<input type="hidden" name="{name}" value="{html.escape(value)}">'
            for name, value in kept.items()
        )
        page = f"""<title>Create GitHub App</title><form method="post"
            action="/settings/apps/manifest">{fields}<button>Create GitHub App</button></form>"""
        return web.Response(text=page, content_type="text/html")

    async def _created(self, request: web.Request) -> web.Response:
        form = await request.post()
        manifest, code = json.loads(str(form["manifest"])), secrets.token_hex(20)
        self.manifests.append(manifest)
        self.owners.append(str(form["owner"]))
        self.codes[code] = manifest
        back = f"{manifest['redirect_url']}?code={code}&state={form['state']}"
        raise web.HTTPFound(back)


def _wrong(manifest: dict[str, Any]) -> str:
    hook = manifest.get("hook_attributes")
    if not manifest.get("url") or (hook is not None and not hook.get("url")):
        return '"url" wasn\'t supplied.'
    if hook is None and manifest.get("default_events"):
        return "Hook url cannot be blank"
    if hook is not None and "127.0.0.1" in hook["url"]:
        return "Hook url is not supported because it isn't reachable over the public Internet"
    if len(manifest.get("name", "")) > NAME_LENGTH_MAX:
        return "Name is too long"
    return ""


@route("GET", "/app")
async def app(github: FakeGitHub, request: Request) -> Reply:
    reply = await github.upstream.send(request)
    if reply.status == 200:
        reply.data |= {
            "permissions": github.registered.permissions,
            "events": github.registered.events,
        }
    return reply


@route("GET", "/app/hook/config")
async def hook_config(github: FakeGitHub, request: Request) -> Reply:
    if not request.actor.is_app:
        raise Refused(401, "A JSON web token could not be decoded")
    if github.registered.hook_url is None:
        raise Refused(404, NOT_FOUND)
    said = {"url": github.registered.hook_url, "content_type": "json", "secret": "********"}
    return Reply(data=said)


@route("GET", "/app/hook/deliveries")
async def hook_deliveries(github: FakeGitHub, request: Request) -> Reply:
    """The newest first."""
    if not request.actor.is_app:
        raise Refused(401, "A JSON web token could not be decoded")
    made = [
        {
            "id": 1,
            "event": "issue_comment",
            "delivered_at": "2026-11-28T09:00:00Z",
            "status_code": status,
        }
        for status in reversed(github.registered.answered)
    ]
    return Reply(data=made[: request.number("per_page", 30)])


@route("GET", REPO + "/installation")
async def installation(github: FakeGitHub, request: Request, repository: str) -> Reply:
    """The emulator asks for no key here, and knows one app."""
    app, registered = request.actor.app, github.registered
    if not request.actor.is_app or app is None:
        raise Refused(401, "A JSON web token could not be decoded")
    if repository in registered.hidden:
        raise Refused(404, NOT_FOUND)
    reply = await github.upstream.send(request)
    if reply.status == 200:
        accepted = registered.permissions if registered.accepted is None else registered.accepted
        reply.data |= {
            "id": app.installation,
            "account": {"login": OWNER},
            "permissions": accepted,
            "suspended_at": "2026-01-01T00:00:00Z" if registered.suspended else None,
        }
    return reply


@route("POST", r"/app-manifests/([^/]+)/conversions")
async def conversions(github: FakeGitHub, request: Request, code: str) -> Reply:
    """Anybody who has the code gets the app's secrets, once."""
    manifest = github.registered.codes.pop(code, None)
    if manifest is None:
        raise Refused(404, NOT_FOUND)
    made = {
        "id": github.app.id,
        "slug": github.app.slug,
        "name": manifest.get("name") or github.app.slug,
        "html_url": f"{github.url}/apps/{github.app.slug}",
        "pem": github.private_key,
        "webhook_secret": github.hooks.secret if "hook_attributes" in manifest else None,
        "client_id": "Iv1.0123456789abcdef",
        "client_secret": "the-client-secret",
    }
    return Reply(status=201, data=made)
