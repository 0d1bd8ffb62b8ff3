"""Channels and people that a reminder is for which is set elsewhere: on the web, in a terminal.

slack:#team ─▶ the channel of that name that its creator is in, by their account there
slack:@ben, slack:me ─▶ our conversation with them alone
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from adapters.chat.port import ChatError, ChatPort, Confides, FindsChannels
from bot.conversation.addressees import named
from bot.conversation.membership import Membership
from bot.conversation.reminding import Here, aimed_alone, aimed_at_channel, check_count
from bot.conversation.run_places import AWAY, RunPlaces
from bot.errors import Refused
from bot.store.database import Database
from bot.store.transaction import Transaction
from bot.words.catalogue import N_
from bot.words.catalogue import gettext as _

_OWN = text(
    """
    SELECT split_part(surface, ':', 2) AS workspace, external_id FROM identity
     WHERE person_id = :person AND split_part(surface, ':', 1) = :surface
     ORDER BY id LIMIT 1
    """
)
_NOT_SAVED = N_("nothing was saved")


@dataclass(frozen=True, kw_only=True)
class Aim:
    """One of them, found."""

    surface: str
    channel: str = ""
    """Address of the channel."""
    place: str = ""
    """Of our conversation with a person."""
    account: str = ""
    """The person, as the surface calls them."""


class ReminderAims:
    """Finds them, outside of any transaction."""

    def __init__(self, database: Database, ports: Mapping[str, ChatPort]) -> None:
        """`ports` by surface."""
        self._database = database
        self._ports = ports
        self._places = RunPlaces(database, ports)
        self._members = Membership(database, ports)

    async def find(self, person_id: UUID, said: Sequence[str]) -> Sequence[Aim]:
        """Those that somebody names, each once.

        :param said: such as `slack:#team`, `slack:@ben` and `slack:me`, also several with commas
        :raises Refused: one of them is not there for them, or they are too many
        """
        each = dict.fromkeys(part.strip() for one in said for part in one.split(","))
        wanted = [one for one in each if one]
        check_count(wanted)
        return [await self._one(person_id, one) for one in wanted]

    async def _one(self, person_id: UUID, said: str) -> Aim:
        surface, _colon, whom = (part.strip() for part in said.partition(":"))
        surface = surface.casefold()
        port: object = self._ports.get(surface)
        if not (whom == "me" or (whom[:1] in {"#", "@"} and whom[1:])):
            raise _refused(
                _("“{place}” is no channel or person", place=said),
                _("say it like `slack:#payments`, `slack:@ben` or `slack:me`"),
            )
        if not (isinstance(port, FindsChannels) and isinstance(port, Confides)):
            raise _refused(_("nobody is reminded on “{surface}” from here", surface=surface))
        mine = {"person": person_id, "surface": surface}
        own = (await self._database.run(_OWN, mine)).one_or_none()
        if own is None:
            raise _refused(
                _("I don't know which account on {forge} is yours", forge=surface),
                _("say `connect` to me in a direct message there, then ask again"),
            )
        if whom.startswith("#"):
            return await self._channel(surface, whom, person_id)
        return await self._person(surface, whom, own)

    async def _channel(self, surface: str, whom: str, person_id: UUID) -> Aim:
        found = await self._places.resolve([f"{surface}:{whom}"], [person_id])
        for channel in found.channels:
            return Aim(surface=surface, channel=channel.address)
        if AWAY in found.lost.values():
            raise _away(surface)
        raise _refused(_("I find no channel {name} that you are in", name=whom))

    async def _person(self, surface: str, whom: str, own: Any) -> Aim:
        account = own.external_id
        if whom != "me":
            async with self._database.begin() as tx:
                known = await named(tx, surface, whom[1:])
            if known is None:
                raise _refused(_("I know nobody there who is called {name}", name=whom[1:]))
            account = known.external_id
        near = f"{own.workspace}/{own.external_id}/"
        try:
            place = await self._members.alone_with(surface, near, account)
        except ChatError as error:
            raise _away(surface) from error
        if not place:
            raise _refused(_("I can't write to {name} alone", name=whom))
        return Aim(surface=surface, place=place, account=account.rpartition("/")[2])


def _away(surface: str) -> Refused:
    return _refused(_("{surface} did not answer", surface=surface), _("try again in a minute"))


def _refused(happened: str, do: str = "") -> Refused:
    return Refused(happened, kept=_(_NOT_SAVED), do=do)


async def targets(
    tx: Transaction, aims: Sequence[Aim], here: Here, language: str
) -> Sequence[dict[str, str]]:
    """What the row of a reminder keeps of them."""
    found: list[dict[str, str]] = []
    for aim in aims:
        if aim.channel:
            one = await aimed_at_channel(tx, aim.surface, aim.channel, here, language)
        else:
            one = await aimed_alone(tx, aim.surface, aim.place, here, language, account=aim.account)
        found.append(one)
    return list({one["thread"]: one for one in found}.values())
