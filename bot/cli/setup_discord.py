"""`ona setup discord`: what to click, the token, tried before it stays, and the way in."""

import asyncio
from typing import TYPE_CHECKING

import typer

from bot.cli.setup_writing import TRIES_MAX, keep, refused, secret
from bot.errors import Refused

if TYPE_CHECKING:
    from adapters.chat.discord.examining import Examined

NOTHING = "Nothing was given; nothing is changed."
_APP = """\
1. The app. On https://discord.com/developers/applications choose New Application; on its page Bot
     switch on Message Content Intent, under Privileged Gateway Intents,
     switch off Public Bot, unless others are to let it into their servers,
     and choose Reset Token.
"""
_SERVER = """\
3. Your server. Open this and choose the server; who may manage it can do that:
   {invitation}
   It asks for the permissions {number}: {names}.
"""
_NO_CONTENT = (
    "Message Content Intent is off: ona can't connect with what it asks for. Switch it on, on the"
    " page Bot"
)
_PUBLIC = "Public Bot is on: anybody can let it into a server of theirs"


def discord() -> None:
    """Say what to click in Discord, try the token and write it into ona.toml."""
    from bot.config import file_path

    typer.echo(_APP)
    found, token = _asked()
    if found is None:
        typer.echo(NOTHING)
        return
    typer.echo(f"   It works: {found.name}.")
    for remark in _remarks(found):
        typer.echo(f"   Note: {remark}.")
    keep(file_path(), "discord", {"token": token})
    typer.echo(
        _SERVER.format(
            invitation=found.invitation,
            number=found.permissions,
            names=", ".join(found.permission_names),
        )
    )
    typer.echo("Start ona again, and write @ona in a channel; `ona doctor` looks at all of it.")


def _asked() -> tuple["Examined | None", str]:
    """What a token is good for, and the token. :raises Refused: none that was given works"""
    for _ in range(TRIES_MAX):
        token = secret("2. The bot's token (not shown; Enter alone: leave it)")
        if not token:
            return None, ""
        found = asyncio.run(_examined(token))
        if not found.wrong:
            return found, token
        refused(found.wrong)
    raise Refused(f"{TRIES_MAX} tokens did not work", kept="nothing was written")


def _remarks(found: "Examined") -> tuple[str, ...]:
    remarks = () if found.reads_content else (_NO_CONTENT,)
    return (*remarks, _PUBLIC) if found.public else remarks


async def _examined(token: str) -> "Examined":
    from adapters.chat.discord.examining import examine

    return await examine(token)
