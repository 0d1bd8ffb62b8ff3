"""In which time zone somebody is: asked once, where the surface does not know.

their first prompt ─▶ is it known, or were they asked? ─▶ buttons that only they see ─▶ kept
"""

from collections.abc import Mapping, Sequence

from babel.core import Locale, UnknownLocaleError, get_global

from adapters.chat.incoming import Said
from adapters.chat.port import Button, ChatPort
from bot.conversation.hints import Hints
from bot.errors import Refused
from bot.govern import languages
from bot.store.database import Database
from bot.words.catalogue import SOURCE, UTC_ZONE, spoken, together, zones
from bot.words.catalogue import gettext as _
from bot.work.control import Actor

CHOICES_MAX = 5
"""A surface shows so many buttons in a row."""
ZONE = "zone"
"""What the buttons say, before the zone."""
SAYS = "timezone"
"""What people say before it."""
_MAIN: Mapping[str, Sequence[str]] = {
    "AU": ("Australia/Sydney", "Australia/Brisbane", "Australia/Adelaide", "Australia/Perth"),
    "BR": ("America/Sao_Paulo", "America/Recife", "America/Manaus", "America/Rio_Branco"),
    "CA": ("America/Toronto", "America/Vancouver", "America/Edmonton", "America/Halifax"),
    "MX": ("America/Mexico_City", "America/Tijuana", "America/Cancun", "America/Hermosillo"),
    "RU": ("Europe/Moscow", "Europe/Samara", "Asia/Yekaterinburg", "Asia/Novosibirsk"),
    "US": ("America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles"),
}
"""Of countries with many zones those in which most people live; CLDR's order is the alphabet's."""
_WORLD = ("America/New_York", "Europe/Berlin", "Asia/Kolkata", "Asia/Shanghai")
"""Of whom no country is known: far apart, each among the offsets in which most people live."""


class Zones:
    """Asks people for their zone, and keeps what they choose."""

    def __init__(
        self, database: Database, ports: Mapping[str, ChatPort], hints: Hints, *, pages: str = ""
    ) -> None:
        """`ports` by surface; `pages` is where people reach us."""
        self._database = database
        self._ports = ports
        self._hints = hints
        self._pages = pages

    async def ask(self, said: Said, actor: Actor) -> None:
        """Ask an author whose surface does not know their zone, if nobody has yet."""
        port = self._ports.get(said.spot.surface)
        if port is None or port.limits.knows_zones or said.author.zone:
            return
        async with self._database.begin() as tx:
            if not await languages.ask_zone(tx, actor.id):
                return
        buttons = [
            Button(label=zone.replace("_", " "), says=f"{ZONE} {zone}")
            for zone in likely(said.author.locale or spoken().locale)
        ]
        words = together(
            _("What you asked does not wait for this."),
            _(
                "In which time zone are you? Reminders and the times that I show you go by it, "
                "and everybody here can see it on the people page."
            ),
            _("Another one you can say: `timezone Europe/Berlin`."),
        )
        if self._pages:
            page = f"{self._pages}/connect"
            words = together(words, _("All of them are at {url}", url=page))
        await self._hints.whisper(said, words, *buttons)

    async def chosen(self, said: Said, actor: Actor, zone: str) -> None:
        """Keep the zone that somebody pressed."""
        try:
            async with self._database.begin() as tx:
                await languages.choose_zone(tx, actor.id, zone)
        except Refused as refusal:
            await self._hints.whisper(said, str(refusal))
            return
        await self._hints.whisper(said, _("Times are shown in {zone}.", zone=zone))


def wish(says: str) -> str | None:
    """The zone that a button wants; None: it says something else. Pure."""
    command, _space, zone = says.partition(" ")
    return zone if command == ZONE and zone else None


def said_zone(words: str) -> str | None:
    """The zone that is said in words, `timezone Europe/Berlin`; None: it is something else. Pure.

    Only one that there is, as anything else is a prompt.
    """
    command, _space, zone = words.strip().partition(" ")
    if command.casefold() != SAYS:
        return None
    wanted = zone.strip().casefold()
    return next((one for one in zones() if one.casefold() == wanted), None)


def likely(locale: str) -> Sequence[str]:
    """Zones of the country that a locale most likely means, its main ones first; pure."""
    territory = "" if locale == SOURCE else _territory(locale)
    listed = _MAIN.get(territory) or get_global("territory_zones").get(territory, _WORLD)
    found = [zone for zone in listed if zone in zones()]
    return [*found[: CHOICES_MAX - 1], UTC_ZONE]


def _territory(locale: str) -> str:
    try:
        parsed = Locale.parse(locale.replace("-", "_"))
    except (ValueError, UnknownLocaleError):
        return ""
    if parsed.territory:
        return str(parsed.territory)
    full: str = get_global("likely_subtags").get(parsed.language, "")
    return full.rpartition("_")[2]
