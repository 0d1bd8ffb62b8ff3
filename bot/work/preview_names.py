"""What previews are called: a host name each, so that browsers keep them apart; pure.

<token>.<preview host>      the program in the machine, and nothing of ours but /.ona/
"""

import ipaddress
import re
from urllib.parse import urlsplit

from bot.config import Settings
from bot.errors import Refused
from bot.words.catalogue import gettext as _

ON_THIS_MACHINE = "preview.localhost"
"""Browsers know that names below `localhost` are loopback, so no name server is needed."""
_TOKEN = re.compile(r"[0-9a-f]{32}")


def preview_host(settings: Settings) -> str | None:
    """Below which name previews are; None: none was set, and there is no other one to be had."""
    if settings.web.preview_host:
        return settings.web.preview_host
    public = urlsplit(settings.public_url or "").hostname
    return ON_THIS_MACHINE if public is None or _is_loopback(public) else None


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def token_of(host: str, below: str | None) -> str | None:
    """The token in a Host header's name; None: this is no preview's name."""
    label, _, rest = host.casefold().partition(".")
    return label if below is not None and rest == below and _TOKEN.fullmatch(label) else None


def preview_address(settings: Settings, token: str, here: str) -> str:
    """Where people see a preview.

    :param here: an address of ours, for its scheme and port, where no public one is set
    :raises Refused: previews have no host name here
    """
    below = preview_host(settings)
    if below is None:
        raise Refused(
            _("previews have no host name here"),
            do=_("set web.preview_host (docs/previews.md), or use `ona sessions ssh --forward`"),
        )
    base = urlsplit(settings.public_url or here)
    port = f":{base.port}" if base.port else ""
    return f"{base.scheme}://{token}.{below}{port}/"


def main_address(settings: Settings, scheme: str, host: str) -> str:
    """Our own origin, as seen from a preview that was asked for as `host`, its port included."""
    if settings.public_url:
        return settings.public_url.rstrip("/")
    port = urlsplit(f"//{host}").port
    return f"{scheme}://127.0.0.1{f':{port}' if port else ''}"


def safe_path(said: str) -> str:
    """A path to go to on the same origin; the root for anything else."""
    plain = said.isascii() and said.isprintable() and "\\" not in said
    return said if plain and said.startswith("/") and not said.startswith("//") else "/"
