"""`connect` said in a chat: answered where nobody else reads it, its words kept nowhere."""

from collections.abc import Awaitable, Callable
from functools import partial

from adapters.chat.incoming import Said
from adapters.forge.accounts import Account
from bot.conversation import words
from bot.conversation.commands import Connect
from bot.errors import OnaError
from bot.govern.connecting import CODE_SECONDS, Connecting
from bot.words.catalogue import gettext as _
from bot.words.catalogue import together
from bot.words.sentences import sentence
from bot.work.control import Actor

Tell = Callable[[str], Awaitable[None]]
"""Shows words to one person alone."""
TellAuthor = Callable[[Said, str], Awaitable[None]]


class ConnectingInChat:
    """Answers `connect` to its author alone."""

    def __init__(self, connecting: Connecting, tell: TellAuthor, *, pages: str = "") -> None:
        """`tell` shows words to the author of a message alone; `pages` is where people reach us."""
        self._connecting = connecting
        self._tell = tell
        self._pages = pages

    async def answer(self, said: Said, actor: Actor, asked: Connect) -> None:
        """Do what they asked for, and tell them."""
        if not said.spot.direct:
            if asked.code:
                await self._connecting.void_code(asked.code)
            await self._tell(said, _(words.CONNECT_WHERE))
            return
        await self.connect(actor, asked, partial(self._tell, said))

    async def connect(self, actor: Actor, asked: Connect, tell: Tell) -> None:
        """Do what somebody asked for where nobody else reads it; `tell` may be called again."""
        try:
            told = await self._connect(actor, asked, tell)
        except OnaError as refusal:
            told = sentence(str(refusal))
        await tell(told)

    async def missing(self, actor: Actor) -> list[str] | None:
        """See `Connecting.missing`."""
        return await self._connecting.missing(actor.id)

    async def _connect(self, actor: Actor, asked: Connect, tell: Tell) -> str:
        if asked.code:
            name = await self._connecting.use_code(actor.id, asked.code)
            return _("Done: here you are {name} now, with the accounts of both.", name=name)
        if asked.forge:
            return await self._by_forge(actor, asked.forge, tell)
        code = await self._connecting.code_for(actor.id)
        forges = sorted(self._connecting.accounts)
        told = words.connect_code(code, forges, minutes=CODE_SECONDS / 60)
        if self._pages:
            secret = await self._connecting.link_for(actor.id)
            url = f"{self._pages}/sign-in?link={secret}"
            told = together(told, _("To sign in to the pages, once: {url}", url=url))
        return told

    async def _by_forge(self, actor: Actor, forge: str, tell: Tell) -> str:
        async def done(account: Account) -> None:
            await self._connecting.attach(actor.id, forge, account)
            words = _(
                "Done: {account} on {forge} is your account here.",
                account=account.name,
                forge=forge,
            )
            await tell(words)

        async def ended(why: OnaError) -> None:
            await tell(sentence(str(why)))

        device = await self._connecting.begin(forge, done, ended)
        minutes = device.expires_seconds / 60
        return words.connect_device(device.code, device.url, minutes=minutes)
