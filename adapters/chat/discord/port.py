"""How a reply gets to a thread of Discord.

Our mark is the nonce of a post, which Discord enforces for a few minutes: posting it again gives
the post that stands. Places are `GUILD/CHANNEL/MESSAGE`: the thread under that message, which has
the message's id and is begun with the first post; or `GUILD/THREAD/`, and `@me/CHANNEL/` for
direct messages.
"""

import asyncio
import hashlib
import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import discord
import structlog
from discord.http import Route, handle_message_parameters
from discord.utils import MISSING

from adapters.chat.calling import trace
from adapters.chat.dialect import Markdown
from adapters.chat.discord import answering
from adapters.chat.discord.calls import call
from adapters.chat.discord.markup import escape
from adapters.chat.discord.members import servers, visible
from adapters.chat.moments import ESCAPED, with_tokens
from adapters.chat.port import (
    LABEL_LENGTH_MAX,
    AfterUncertain,
    Button,
    ChatError,
    Content,
    Deadline,
    Gone,
    Limits,
    Rate,
    Rejected,
    Sign,
    Unavailable,
    notified,
)

log = structlog.get_logger(__name__)

SURFACE = "discord"
DIRECT = "@me"
TEXT_LENGTH_MAX = 1_900
"""Discord takes 2,000 characters; a mention goes in front."""
AGAIN_SECONDS = 120.0
"""Discord knows a nonce for "a few minutes"."""
OLD_SECONDS = 3600.0
EDIT_SECONDS = 2.0
"""A channel takes five edits in five seconds, of all our posts in it together."""
OLD_EDIT_SECONDS = 30.0
"""Discord limits edits of messages older than an hour, without saying to how many."""
WAIT_SECONDS_MAX = 30.0
"""discord.py waits out shorter limits itself; it takes no smaller number."""
THREAD_NAME_LENGTH_MAX = 100
THREAD_NAME = "ona"
UNKNOWN_CHANNEL = 10003
ARCHIVED = 50083
THREAD_EXISTS = 160004
WHISPER_SECONDS = 10.0
SIGNS = {Sign.SEEN: "👀", Sign.WAITING: "✋", Sign.FAILED: "❌", Sign.REFUSED: "🚫"}
ACTION = "ona.say:"
"""What the custom ids of our buttons begin with."""
PICK = "ona.pick:"
"""The same of those that want a moment."""
CUSTOM_ID_LENGTH_MAX = 100
ROW_BUTTONS_MAX = 5
RATES = {
    "post": Rate(burst=5, per_second=1),
    "edit": Rate(burst=5, per_second=0.5),
    "react": Rate(burst=5, per_second=1),
    # A channel's name can be changed twice in ten minutes.
    "title": Rate(burst=2, per_second=1 / 610),
}


@dataclass(frozen=True)
class Place:
    """Address of a thread."""

    guild: str
    channel: int
    message: int | None
    """The message under which the thread stands; None: `channel` is the thread."""

    @classmethod
    def read(cls, place: str) -> "Place":
        """:raises Rejected: it is no place of Discord"""
        try:
            guild, channel, message = place.partition("~")[0].split("/")
            return cls(guild, int(channel), int(message) if message else None)
        except ValueError:
            raise Rejected(f"{place!r} is no thread of Discord") from None

    @property
    def thread(self) -> int:
        """The channel that posts go to: a thread has the id of its message."""
        return self.message or self.channel

    def __str__(self) -> str:
        return f"{self.guild}/{self.channel}/{self.message or ''}"


class DiscordChat:
    """The chat of one bot in all its guilds."""

    dialect = Markdown(heading_level_max=3)
    shows_pictures: Literal[True] = True
    shows_documents: Literal[True] = True
    shows_moments: Literal[True] = True
    whispers_elsewhere: Literal[True] = True
    limits = Limits(
        text_length_max=TEXT_LENGTH_MAX,
        after_uncertain=AfterUncertain.POST_AGAIN,
        again_seconds=AGAIN_SECONDS,
        rates=RATES,  # type: ignore[arg-type]
        edit_seconds=EDIT_SECONDS,
        old_seconds=OLD_SECONDS,
        old_edit_seconds=OLD_EDIT_SECONDS,
        knows_zones=False,
    )

    def __init__(self, token: str) -> None:
        """Logs in with the first call; opens no gateway."""
        self._token = token
        self._client = discord.Client(
            intents=discord.Intents(guilds=True),
            http_trace=trace(),
            max_ratelimit_timeout=WAIT_SECONDS_MAX,
        )
        self._entering = asyncio.Lock()
        self._entered = False

    async def close(self) -> None:
        """Close its connections."""
        await self._client.close()

    async def _http(self, deadline: Deadline) -> discord.http.HTTPClient:
        async with self._entering:
            if not self._entered:
                try:
                    await call(deadline, lambda: self._client.login(self._token))
                except discord.LoginFailure as error:
                    raise Unavailable(f"Discord does not take the token: {error}") from error
                self._entered = True
        return self._client.http

    def installation(self, place: str) -> str:
        """The channel: Discord's limits of posts and edits are per channel."""
        return str(Place.read(place).thread)

    def escape(self, text: str, *, code: bool) -> str:
        """See `markup.escape`."""
        return escape(text, code=code)

    async def post(self, place: str, content: Content, mark: str, deadline: Deadline) -> str:
        """Post in the thread, which is begun if it is not there; the ref is the message's id."""
        to = Place.read(place)
        try:
            return await self._post(to.thread, content, mark, deadline)
        except Gone as error:
            unknown = getattr(error.__cause__, "code", None) == UNKNOWN_CHANNEL
            if to.message is None or not unknown:
                raise
        await self._begin(to, content.title, deadline)
        return await self._post(to.thread, content, mark, deadline)

    async def _post(self, channel: int, content: Content, mark: str, deadline: Deadline) -> str:
        http = await self._http(deadline)
        with _parameters(content, nonce=nonce(mark)) as parameters:
            posted = await call(deadline, lambda: http.send_message(channel, params=parameters))
        return str(posted["id"])

    async def _begin(self, to: Place, title: str, deadline: Deadline) -> None:
        route = Route(
            "POST",
            "/channels/{channel_id}/messages/{message_id}/threads",
            channel_id=to.channel,
            message_id=to.message,
        )
        http = await self._http(deadline)
        name = _shown(title) or await self._name(http, to, deadline)
        try:
            await call(deadline, lambda: http.request(route, json={"name": name}))
        except Rejected as error:
            if getattr(error.__cause__, "code", None) != THREAD_EXISTS:
                raise

    async def _name(self, http: discord.http.HTTPClient, to: Place, deadline: Deadline) -> str:
        """A thread's name: what was said, without whom it was said to."""
        message = await call(deadline, lambda: http.get_message(to.channel, to.message or 0))
        words = " ".join(str(message.get("content") or "").split(" ")[1:]).split("\n")[0]
        return _shown(words) or THREAD_NAME

    async def retitle(self, place: str, title: str, deadline: Deadline) -> None:
        """Name the thread, if we have begun it; one that is archived stays as it is."""
        to, name = Place.read(place), _shown(title)
        if to.guild == DIRECT or not name:
            return
        http = await self._http(deadline)
        thread: Mapping[str, Any] = await call(deadline, lambda: http.get_channel(to.thread))
        ours = self._client.user and thread.get("owner_id") == str(self._client.user.id)
        archived = (thread.get("thread_metadata") or {}).get("archived")
        if not ours or archived or thread.get("name") == name:
            return
        await call(deadline, lambda: http.edit_channel(to.thread, name=name))

    async def edit(self, place: str, ref: str, content: Content, deadline: Deadline) -> None:
        """Edit the message; a thread that is archived is opened again for that."""
        thread, message = Place.read(place).thread, _id(ref)
        try:
            await self._edit(thread, message, content, deadline)
        except Rejected as error:
            if getattr(error.__cause__, "code", None) != ARCHIVED:
                raise
            http = await self._http(deadline)
            await call(deadline, lambda: http.edit_channel(thread, archived=False))
            await self._edit(thread, message, content, deadline)

    async def _edit(self, thread: int, message: int, content: Content, deadline: Deadline) -> None:
        http = await self._http(deadline)
        with _parameters(content) as parameters:
            await call(deadline, lambda: http.edit_message(thread, message, params=parameters))

    async def find(self, place: str, mark: str, deadline: Deadline) -> str | None:
        """Discord shows no nonce of an older message: never called."""
        raise Rejected("Discord can't be asked for a post by its mark")

    async def react(self, place: str, ref: str, sign: Sign | None, deadline: Deadline) -> None:
        """Set our reaction and take the others away."""
        to, message = Place.read(place), _id(ref)
        channel = to.channel if message == to.message else to.thread
        http = await self._http(deadline)
        if sign is not None:
            await call(deadline, lambda: http.add_reaction(channel, message, SIGNS[sign]))
        for other in Sign:
            if other not in {sign, Sign.FAILED, Sign.REFUSED}:
                emoji = SIGNS[other]
                remove = partial(http.remove_own_reaction, channel, message, emoji)
                # One that is not there is no error.
                with suppress(Gone, Rejected):
                    await call(deadline, remove)

    async def confide(self, place: str, person: str, deadline: Deadline) -> str:
        """The direct messages with a person; whether they take any shows when one is sent."""
        http = await self._http(deadline)
        direct = await call(deadline, lambda: http.start_private_message(int(person)))
        return str(Place(DIRECT, int(direct["id"]), None))

    async def channel_of(self, near: str, person: str, name: str, deadline: Deadline) -> str | None:
        """Look through the server's channels that the person may see."""
        await self._http(deadline)
        given = near.partition("/")[0]
        for server in [given] if given else await servers(self._client, deadline):
            for one in await self._visible(server, person, deadline):
                if name.casefold() in {one.name.casefold(), str(one.id)}:
                    return f"{server}/{one.id}"
        return None

    async def is_member(self, channel: str, person: str, deadline: Deadline) -> bool:
        """Look through the same; a direct message is its people's own."""
        server, _slash, known = channel.partition("/")
        if server == DIRECT:
            return True
        return any(str(one.id) == known for one in await self._visible(server, person, deadline))

    async def _visible(
        self, server: str, person: str, deadline: Deadline
    ) -> Sequence[discord.abc.GuildChannel]:
        if not (server.isdecimal() and person.isdecimal()):
            return ()
        await self._http(deadline)
        return await visible(self._client, int(server), int(person), deadline)

    async def whisper(
        self, place: str, person: str, text: str, buttons: Sequence[Button] = ()
    ) -> None:
        """A direct message, unless it answers what they are just sending by a menu."""
        # What asks something back has to stay: an answer like that vanishes.
        if not buttons and answering.take(person, text):
            return
        deadline = Deadline.after(WHISPER_SECONDS)
        try:
            words = f"{_about(place)}{escape(text, code=False)}"[:TEXT_LENGTH_MAX]
            content = Content(text=words, buttons=tuple(buttons))
            channel = Place.read(await self.confide(place, person, deadline)).channel
            http = await self._http(deadline)
            with _parameters(content) as parameters:
                await call(deadline, lambda: http.send_message(channel, params=parameters))
        except ChatError as error:
            log.info("hint_not_shown", place=place, why=str(error))


def _about(place: str) -> str:
    """What a direct message begins with: the channel it is about; "" if it is about itself."""
    to = Place.read(place)
    return "" if to.guild == DIRECT else f"<#{to.channel}> "


def _shown(title: str) -> str:
    """A title as the name of a thread: Discord takes none in which nothing can be seen."""
    seen = "".join(character for character in title if character.isprintable())
    return seen.strip()[:THREAD_NAME_LENGTH_MAX]


def nonce(mark: str) -> str:
    """At most 25 characters that stand for the mark."""
    return hashlib.sha256(mark.encode()).hexdigest()[:25]


def _id(ref: str) -> int:
    try:
        return int(ref)
    except ValueError:
        raise Gone(f"{ref!r} is no message of Discord") from None


def _parameters(content: Content, *, nonce: str | None = None) -> discord.http.MultipartParameters:
    if len(content.text) > TEXT_LENGTH_MAX:
        raise Rejected(f"the text has {len(content.text)} characters, {TEXT_LENGTH_MAX} fit")
    people = notified(content)
    said = with_tokens(content.text, lambda at, _: f"<t:{at}:f>", ESCAPED)
    text = "".join(f"<@{one}> " for one in people) + said
    told = [discord.Object(int(one)) for one in people if one.isdecimal()]
    allowed = discord.AllowedMentions(everyone=False, roles=False, users=told, replied_user=False)
    picture = content.picture
    shown = None
    if picture is not None:
        file = io.BytesIO(picture.data)
        shown = discord.File(file, filename=picture.name, description=picture.about)
    elif content.document is not None:
        shown = discord.File(io.BytesIO(content.document.data), filename=content.document.name)
    return handle_message_parameters(
        content=text,
        file=MISSING if shown is None else shown,
        nonce=nonce,
        view=_view(content.buttons) or None,
        allowed_mentions=allowed,
        flags=discord.MessageFlags(suppress_embeds=True),
    )


def _view(buttons: Sequence[Button]) -> discord.ui.View | None:
    """The buttons in rows; what they say is in their ids, which Discord gives back."""
    fitting = [one for one in buttons if one.url or len(_custom_id(one)) <= CUSTOM_ID_LENGTH_MAX]
    if not fitting:
        return None
    view = discord.ui.View(timeout=None)
    for button in fitting[:ROW_BUTTONS_MAX]:
        made: discord.ui.Button[discord.ui.View] = discord.ui.Button(
            label=button.label[:LABEL_LENGTH_MAX],
            url=button.url or None,
            custom_id=None if button.url else _custom_id(button),
        )
        view.add_item(made)
    return view


def _custom_id(button: Button) -> str:
    return f"{PICK if button.picks else ACTION}{button.says}"
