"""Making a GitHub App of a manifest: what it asks for, where to send the browser, what comes back.

our page ──form──▶ GitHub, where somebody presses the button ──code──▶ back to us ──▶ exchange
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp

from adapters.chat.calling import under
from adapters.chat.port import Deadline, Rejected, Unavailable
from adapters.forge.github.examining import PERMISSIONS
from adapters.forge.github.hooks import EVENTS

NAME_LENGTH_MAX = 34
HOMEPAGE = "https://github.com/apps"
"""Every App has to name one; this where there is no public address of ours."""
DESCRIPTION = "Background coding agents in machines of your own"


@dataclass(frozen=True, kw_only=True)
class Made:
    """An App, with all that it is known by."""

    app_id: int
    slug: str
    url: str
    """Of its page."""
    private_key: str = field(repr=False)
    client_id: str
    client_secret: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    """ "" when it has no webhook."""

    @property
    def install_url(self) -> str:
        """Where to choose its repositories."""
        return f"{self.url}/installations/new"


def manifest(
    *, name: str, public_url: str, redirect_url: str, callback_urls: Sequence[str], hook_url: str
) -> dict[str, Any]:
    """What is posted to GitHub; pure.

    :param redirect_url: where the browser brings the code to
    :param callback_urls: where it brings people who connect their accounts
    :param hook_url: where webhooks arrive; "": nowhere. GitHub then takes neither an address nor
        events, and refuses a manifest that has half of that
    """
    asked: dict[str, Any] = {
        "name": name[:NAME_LENGTH_MAX],
        "description": DESCRIPTION,
        "url": public_url or HOMEPAGE,
        "redirect_url": redirect_url,
        "callback_urls": list(callback_urls),
        "public": False,
        "request_oauth_on_install": False,
        "default_permissions": {name: level for name, (level, _) in PERMISSIONS.items()},
    }
    if hook_url:
        asked["hook_attributes"] = {"url": hook_url, "active": True}
        asked["default_events"] = list(EVENTS)
    return asked


def new_app_url(web: str, organization: str, state: str) -> str:
    """Where the manifest is posted to; the App is the organisation's, or of whoever does it."""
    return f"{settings_url(web, organization, 'new')}?{urlencode({'state': state})}"


def settings_url(web: str, organization: str, slug: str) -> str:
    """Where the owner of an App changes it; pure."""
    whose = f"/organizations/{quote(organization, safe='')}" if organization else ""
    return f"{web}{whose}/settings/apps/{quote(slug, safe='')}"


async def exchange(
    session: aiohttp.ClientSession, api_url: str, code: str, deadline: Deadline
) -> Made:
    """What GitHub made; a code is good once, for an hour. :raises ChatError:"""
    url = f"{api_url}/app-manifests/{quote(code, safe='')}/conversions"
    headers = {"Accept": "application/vnd.github+json"}
    async with under(deadline, "GitHub"), session.post(url, headers=headers) as answer:
        if answer.status >= 500:
            raise Unavailable(f"GitHub answered {answer.status}")
        if answer.status >= 400:
            raise Rejected(f"GitHub answered {answer.status}: the code is wrong, used or too old")
        try:
            said = await answer.json(content_type=None)
            return _made(said)
        except (KeyError, TypeError, ValueError) as error:
            raise Rejected(f"what answers is no GitHub: {type(error).__name__}") from None


def _made(said: dict[str, Any]) -> Made:
    return Made(
        app_id=int(said["id"]),
        slug=str(said["slug"]),
        url=str(said["html_url"]),
        private_key=str(said["pem"]),
        client_id=str(said["client_id"]),
        client_secret=str(said["client_secret"]),
        webhook_secret=str(said.get("webhook_secret") or ""),
    )
