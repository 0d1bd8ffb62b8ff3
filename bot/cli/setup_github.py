"""`ona setup github`: makes a GitHub App by a manifest and writes it into the settings."""

import asyncio
import os
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.setup_writing import keep

if TYPE_CHECKING:
    from adapters.forge.examining import Examined
    from adapters.forge.github.manifest import Made
    from bot.config import Settings

CLOUD, CLOUD_API = "https://github.com", "https://api.github.com"


def github(
    organization: Annotated[
        str, typer.Option(help="The organization that the App shall be of; none: your account.")
    ] = "",
    url: Annotated[str, typer.Option(help="Of a server of your own, such as https://HOST.")] = "",
    name: Annotated[str, typer.Option(help="Of the App; GitHub wants it to be unique.")] = "",
    port: Annotated[
        int, typer.Option(help="Of the page on this machine; none: any that is free.")
    ] = 0,
) -> None:
    """Make a GitHub App in the browser and write it into ona.toml; can be repeated."""
    from bot.config import load

    settings = load()
    ours = settings.github
    pages = url.rstrip("/") or ours.url
    api_url = ours.api_url
    if pages != ours.url:
        api_url = CLOUD_API if pages == CLOUD else f"{pages}/api/v3"
    if not organization and sys.stdin.isatty():
        organization = typer.prompt(
            "Organization (Enter: your own account)", default="", show_default=False
        )
    whose = organization.strip()
    title = name or (f"ona for {whose}" if whose else f"ona on {os.uname().nodename}")
    wanted = _Wanted(pages_url=pages, api_url=api_url, organization=whose, name=title, port=port)
    asyncio.run(_github(settings, wanted))


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """The App that shall be made, and where."""

    pages_url: str
    api_url: str
    organization: str
    name: str
    port: int


async def _github(settings: "Settings", wanted: _Wanted) -> None:
    from bot.cli.manifest_page import ManifestPage, serving, taken

    async with serving(ManifestPage(settings=settings, **asdict(wanted))) as page:
        typer.echo(f"1. Open this in a browser, and press the buttons:\n\n   {page.url}\n")
        typer.echo(
            "   Is your browser on another machine? There, first:\n"
            f"   ssh -L {page.port}:127.0.0.1:{page.port} THIS-HOST"
        )
        made = await taken(page)
    typer.echo(f"\n2. {made.slug} is made.")
    _write(settings, made, wanted)
    found = await _examined(made, wanted.api_url)
    if found.wrong or found.missing:
        typer.echo(f"   {found.wrong or 'It lacks ' + ', '.join(found.missing)}.")
    typer.echo(f"\n3. Install it where your repositories are:\n   {made.install_url}")
    _last_steps(settings, made, wanted)


def _write(settings: "Settings", made: "Made", wanted: _Wanted) -> None:
    from bot.config import file_path

    ours, path = settings.github, file_path()
    key_file = path.resolve().parent / f"github-{made.app_id}.pem"
    # Without a public address no webhook arrives, and its secret would end the quick polls.
    values: dict[str, str | int | None] = {
        "app_id": made.app_id,
        "private_key": None,
        "private_key_file": str(key_file),
        "webhook_secret": made.webhook_secret or None,
        "client_id": made.client_id,
        "client_secret": made.client_secret,
    }
    if (wanted.pages_url, wanted.api_url) != (ours.url, ours.api_url):
        values |= {"url": wanted.pages_url, "api_url": wanted.api_url}
    keep(path, "github", values, files={key_file: made.private_key})


async def _examined(made: "Made", api_url: str) -> "Examined":
    from adapters.forge.github.app import App
    from adapters.forge.github.examining import examine

    app = App(app_id=str(made.app_id), private_key=made.private_key, api_url=api_url)
    try:
        return await examine(app)
    finally:
        app.close()


def _last_steps(settings: "Settings", made: "Made", wanted: _Wanted) -> None:
    from adapters.forge.github.manifest import settings_url
    from bot.switched import hook_url

    page = settings_url(wanted.pages_url, wanted.organization, made.slug)
    typer.echo(
        "\n4. On its page, tick Enable Device Flow and save: people can then connect their"
        f"\n   accounts by typing a code.\n   {page}"
    )
    hook = hook_url(settings, "github")
    heard = f"hears by webhooks at {hook}" if hook else "asks every 30 s (no public_url is set)"
    typer.echo(f"\n5. Start ona again; it {heard}. `ona doctor` looks at all of it.")
