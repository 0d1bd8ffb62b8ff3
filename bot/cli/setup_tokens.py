"""`ona setup gitlab`, `ona setup slack`: what to click, and tokens, tried before they stay."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlencode

import typer

from bot.cli.client import Unreachable
from bot.cli.setup_writing import TRIES_MAX, keep, refused, secret
from bot.errors import Refused

if TYPE_CHECKING:
    from adapters.chat.slack.examining import Examined as OfSlack
    from adapters.forge.examining import Examined

SLACK_APPS = "https://api.slack.com/apps"
NOTHING = "Nothing was given; nothing is changed."
_GITLAB = """\
1. The user that ona is there. Either
   a group access token: {url}/groups/YOUR-GROUP/-/settings/access_tokens
     role Developer, scope `api`, the latest end that is allowed; or
   a service account, or a user of its own, in the groups with the role Developer,
     with an access token of the scope `api`.
"""
_GITLAB_HOOK = """\
3. A webhook, so that ona hears at once: in the group's or project's Settings, Webhooks
     URL      {hook}
     secret   a signing token (it begins with whsec_), or a secret token that you make up
     trigger  Comments, Confidential comments, Emoji events; nothing else
   Without one ona asks every 30 s.
"""
_SLACK = """\
1. The app. Open this; it has the manifest filled in ({manifest}):
   {url}
   Choose the workspace, then Create, then Install App, Install to Workspace.
"""


def gitlab(
    url: Annotated[str, typer.Option(help="Of a server of your own, such as https://HOST.")] = "",
) -> None:
    """Say what to click in GitLab, try the token and write it into ona.toml."""
    from bot.config import file_path, load
    from bot.switched import hook_url

    settings = load()
    pages, hook = url.rstrip("/") or settings.gitlab.url, hook_url(settings, "gitlab")
    typer.echo(_GITLAB.format(url=pages))
    for _ in range(TRIES_MAX):
        token = secret("2. Its token (not shown; Enter alone: leave it)")
        if not token:
            typer.echo(NOTHING)
            return
        found = asyncio.run(_examined_gitlab(pages, token))
        if not found.wrong:
            break
        if found.unreached:
            raise Unreachable(
                f"{found.wrong}; the token was not tried, and nothing was written",
                do="look at the address (--url gives another) and begin again",
            )
        refused(found.wrong)
    else:
        raise Refused(f"{TRIES_MAX} tokens did not work", kept="nothing was written")
    _told(found.name, found.missing, found.remarks)
    values: dict[str, str | int | None] = {"token": token}
    if pages != settings.gitlab.url:
        values["url"] = pages
    if hook:
        typer.echo(_GITLAB_HOOK.format(hook=hook))
        if hook_secret := secret("   Its signing or secret token (not shown; Enter alone: none)"):
            values["webhook_secret"] = hook_secret
    keep(file_path(), "gitlab", values)
    typer.echo("Start ona again; `ona doctor` looks at all of it, docs/gitlab.md says more.")


def slack(
    http: Annotated[
        bool, typer.Option("--http", help="Slack delivers to public_url; no connection is held.")
    ] = False,
) -> None:
    """Say what to click in Slack, try the tokens and write them into ona.toml."""
    from bot.config import file_path, load

    settings = load()
    if http and not settings.public_url:
        raise Refused("--http needs a public address", do="set public_url, or leave --http out")
    path = _manifest()
    address = f"{SLACK_APPS}?{urlencode({'new_app': 1, 'manifest_yaml': path.read_text()})}"
    typer.echo(_SLACK.format(manifest=path, url=address))
    where = "OAuth & Permissions, Bot User OAuth Token, xoxb-…"
    bot_token = secret(f"2. The bot token ({where}; not shown; Enter alone: leave it)")
    if not bot_token:
        typer.echo(NOTHING)
        return
    other = _other_secret(f"{settings.public_url}/hooks/slack" if http else "")
    key = "signing_secret" if http else "app_token"
    tokens = {"bot_token": bot_token, key: other}
    _check_places(tokens)
    found = asyncio.run(_examined_slack(tokens, settings.slack.api_url))
    if found.wrong:
        raise Refused(found.wrong, kept="nothing was written", do="look at it and begin again")
    _told(f"{found.user} in {found.team}", found.missing, ())
    keep(file_path(), "slack", {**tokens, "app_token" if http else "signing_secret": None})
    typer.echo(f"Start ona again, invite it to a channel (/invite @{found.user}), and ask.")


def _check_places(tokens: Mapping[str, str]) -> None:
    """:raises Refused: one token was given for the other, which Slack would not say"""
    from adapters.chat.slack.examining import misplaced

    if wrong := misplaced(tokens):
        raise Refused(
            wrong,
            kept="nothing was written",
            do="begin again: the bot token begins with xoxb-, the app's own with xapp-",
        )


def _other_secret(hook: str) -> str:
    """The app's own token, or with `hook` its signing secret. :raises Refused: none is given"""
    if hook:
        typer.echo(
            f"\n   Under Event Subscriptions, Interactivity and Slash Commands give {hook}"
            "\n   as the Request URL, and switch Socket Mode off."
        )
        words = "3. The signing secret (Basic Information, App Credentials; not shown)"
    else:
        words = (
            "3. The app's own token (Basic Information, App-Level Tokens, Generate, scope"
            " connections:write; xapp-…; not shown)"
        )
    given = secret(words)
    if not given:
        raise Refused("one of two is missing", kept="nothing was written", do="begin again")
    return given


def _manifest() -> Path:
    """Where the manifest of the Slack app is. :raises Refused: it was not installed with ona"""
    import bot

    path = Path(bot.__file__).parents[1] / "deploy" / "slack" / "manifest.yaml"
    if not path.exists():
        raise Refused(f"there is no {path}", do="run this from a checkout; docs/slack.md says more")
    return path


def _told(who: str, missing: tuple[str, ...], remarks: tuple[str, ...]) -> None:
    typer.echo(f"   It works: {who}.")
    if missing:
        typer.echo(f"   It lacks {', '.join(missing)}; what that is for won't work.")
    for remark in remarks:
        typer.echo(f"   Note: {remark}.")


async def _examined_gitlab(url: str, token: str) -> "Examined":
    from adapters.forge.gitlab.client import Client
    from adapters.forge.gitlab.examining import examine

    client = Client(url, token)
    try:
        return await examine(client)
    finally:
        client.close()


async def _examined_slack(tokens: Mapping[str, str], api: str) -> "OfSlack":
    from adapters.chat.slack import calls
    from adapters.chat.slack.examining import examine

    async with calls.open_session() as session:
        return await examine(**tokens, session=session, api=api)
