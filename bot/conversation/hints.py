"""What a person is told beside the thread, or where nobody else reads it: hints and refusals."""

from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID, uuid5

import structlog

from adapters.chat.incoming import Reworded, Said, Withdrawn
from adapters.chat.port import (
    AfterUncertain,
    Button,
    ChatError,
    ChatPort,
    Confides,
    Content,
    Deadline,
    FindsChannels,
    Reacts,
    Sign,
    Whispers,
    WhispersElsewhere,
)
from bot.conversation.message import Accepted, IncomingMessage
from bot.errors import NotPermitted
from bot.words.catalogue import N_
from bot.words.catalogue import gettext as _
from bot.words.plain import settled

log = structlog.get_logger(__name__)

HINT_SECONDS_MAX = 5.0
REFUSED_MAX = 1_000
"""Messages of which a process remembers that their authors were refused."""
HINT = UUID("7b1f6a52-0c0e-4d43-9f6e-0c5a3a1d7e90")
"""Space of the marks of hints that stand in a thread."""
PRIVATE = N_("I answer here what you asked with `private:`; nobody else sees it.")
NOT_PRIVATE = N_(
    "I can't write to you directly, so nothing was run: let people of this server write to you,"
    " then ask again."
)


class Hints:
    """Tells people things that are not worth being kept; what goes wrong is logged."""

    def __init__(self, ports: Mapping[str, ChatPort]) -> None:
        """`ports` by surface."""
        self._ports = ports
        self._refused: dict[tuple[str, str], None] = {}

    async def hint(self, said: Said, accepted: Accepted, *buttons: Button) -> None:
        """Tell the author what the thread does not show; where that can't be alone, in it.

        Who may not ask gets a sign there at most: nobody can make us talk in a repository.
        """
        port = self._ports.get(said.spot.surface)
        if port is None or isinstance(port, Whispers):
            await self.whisper(said, accepted.hint, *buttons)
        elif accepted.refusal is not None and accepted.refusal.code == NotPermitted.code:
            await self.refuse(said, accepted.hint)
        else:
            content = Content(
                text=port.escape(settled(accepted.hint), code=False),
                notify=said.author.handle or said.author.id,
            )
            mark = str(uuid5(HINT, f"{said.spot.surface} {said.delivery}"))
            try:
                await port.post(said.spot.place, content, mark, Deadline.after(HINT_SECONDS_MAX))
            except ChatError as error:
                log.info("hint_not_shown", place=said.spot.place, why=str(error))

    def elsewhere(self, surface: str) -> bool:
        """Whether what one person is told alone stands in another place there."""
        return isinstance(self._ports.get(surface), WhispersElsewhere)

    async def refuse(self, said: Said, words: str) -> None:
        """Tell the author alone that they may not; where no words reach them alone, a sign.

        Once for a message, though Slack tells of a mention twice and again of what is slow to be
        acknowledged. It is remembered here and not in a row: strangers fill no table.
        """
        if (about := (said.spot.surface, said.key)) in self._refused:
            return
        self._refused[about] = None
        if len(self._refused) > REFUSED_MAX:
            del self._refused[next(iter(self._refused))]
        port: object = self._ports.get(said.spot.surface)
        if isinstance(port, Whispers) or not (isinstance(port, Reacts) and said.ref):
            await self.whisper(said, words)
            return
        try:
            deadline = Deadline.after(HINT_SECONDS_MAX)
            await port.react(said.spot.place, said.ref, Sign.REFUSED, deadline)
        except ChatError as error:
            log.info("refusal_not_shown", place=said.spot.place, why=str(error))

    async def whisper(
        self, heard: Said | Reworded | Withdrawn, words: str, *buttons: Button
    ) -> None:
        """Show words to the author alone, where that can be; they may vanish."""
        port: object = self._ports.get(heard.spot.surface)
        if heard.author is None or not isinstance(port, Whispers):
            return
        await port.whisper(heard.spot.place, heard.author.id, settled(words), buttons)

    async def channel_of(self, said: Said, name: str) -> str:
        """Address of the channel of that name that the author is in; empty: it is not known."""
        port: object = self._ports.get(said.spot.surface)
        if not isinstance(port, FindsChannels):
            return ""
        try:
            deadline = Deadline.after(HINT_SECONDS_MAX)
            near = said.spot.channel
            return await port.channel_of(near, said.author.id, name, deadline) or ""
        except ChatError as error:
            log.info("channel_not_found", channel=name, why=str(error))
            return ""

    async def alone(self, said: Said, message: IncomingMessage) -> IncomingMessage | None:
        """The message with a thread of its own that only its author reads.

        None: there is none, which the author was told; where it is up to them, a post shows it.
        """
        port = self._ports.get(said.spot.surface)
        if port is None or not isinstance(port, Confides):
            return message
        try:
            deadline = Deadline.after(HINT_SECONDS_MAX)
            place = await port.confide(said.spot.place, said.author.id, deadline)
            if not said.spot.direct:
                await _announce(port, place, str(uuid5(HINT, said.key)), deadline)
        except ChatError as error:
            log.info("not_private", place=said.spot.place, why=str(error))
            await self.whisper(said, _(NOT_PRIVATE))
            return None
        own = f"{place}~{uuid5(HINT, said.key).hex[:12]}"
        return replace(message, place=own, beside=said.spot.place, within="", ref="", alone=True)


async def _announce(port: ChatPort, place: str, mark: str, deadline: Deadline) -> None:
    """Say in a direct message what is about to come; a delivery that comes again says it once."""
    looks_up = port.limits.after_uncertain is AfterUncertain.LOOK_UP
    if looks_up and await port.find(place, mark, deadline) is not None:
        return
    await port.post(place, Content(text=port.escape(_(PRIVATE), code=False)), mark, deadline)
