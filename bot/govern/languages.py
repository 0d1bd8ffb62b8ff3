"""In which language and zone people read us: what surfaces know of them, and what they chose.

What a person chose holds; else what the surface says on which they were heard last.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bot.errors import Refused
from bot.store.transaction import Transaction
from bot.words.catalogue import UTC_ZONE, nearest, shipped, zones
from bot.words.catalogue import gettext as _

LOCALE_LENGTH_MAX = 35
"""Longer than any tag that means something."""

_LEARN = text(
    """
    WITH known AS (
        SELECT id, CASE WHEN locale_chosen THEN locale
                        ELSE coalesce(CAST(:locale AS text), locale) END AS locale,
               CASE WHEN zone_chosen THEN zone
                    ELSE coalesce(CAST(:zone AS text), zone) END AS zone
          FROM person WHERE id = :person
    ), learned AS (
        UPDATE person SET locale = known.locale, zone = known.zone FROM known
         WHERE person.id = known.id
           AND (person.locale, person.zone) IS DISTINCT FROM (known.locale, known.zone)
    )
    SELECT locale, zone FROM known
    """
)
_OF = text(
    """
    SELECT person.locale, person.locale_chosen, person.zone, person.zone_chosen
      FROM person JOIN identity ON identity.person_id = person.id
     WHERE identity.surface = :surface AND identity.external_id = :external
    """
)
_BY_ID = text("SELECT locale, locale_chosen, zone, zone_chosen FROM person WHERE id = :person")
_UNKNOWN = {"locale": None, "locale_chosen": False, "zone": None, "zone_chosen": False}
"""Of whom there is not, any more."""
_CHOOSE_LOCALE = text(
    """
    UPDATE person SET locale_chosen = CAST(:locale AS text) IS NOT NULL,
           locale = coalesce(CAST(:locale AS text), locale)
     WHERE id = :person
    """
)
_CHOOSE_ZONE = text(
    """
    UPDATE person SET zone_chosen = CAST(:zone AS text) IS NOT NULL,
           zone = coalesce(CAST(:zone AS text), zone)
     WHERE id = :person
    """
)
_OFFER_ZONE = text("UPDATE person SET zone = :zone WHERE id = :person AND zone IS NULL")
_INHERIT = text(
    """
    UPDATE person AS kept
       SET locale = CASE WHEN gone.locale_chosen AND NOT kept.locale_chosen THEN gone.locale
                         ELSE coalesce(kept.locale, gone.locale) END,
           locale_chosen = kept.locale_chosen OR gone.locale_chosen,
           zone = CASE WHEN gone.zone_chosen AND NOT kept.zone_chosen THEN gone.zone
                       ELSE coalesce(kept.zone, gone.zone) END,
           zone_chosen = kept.zone_chosen OR gone.zone_chosen,
           zone_asked_at = coalesce(kept.zone_asked_at, gone.zone_asked_at)
      FROM person AS gone WHERE kept.id = :keep AND gone.id = :gone
    """
)
_ASK = text(
    """
    UPDATE person SET zone_asked_at = now()
     WHERE id = :person AND zone IS NULL AND zone_asked_at IS NULL RETURNING id
    """
)


@dataclass(frozen=True, kw_only=True)
class Reader:
    """How somebody reads us."""

    locale: str
    """A shipped one."""
    zone: str | None = None


async def learn(
    tx: Transaction, person_id: UUID, *, locale: str | None, zone: str | None, default: str
) -> Reader:
    """Keep what a surface knows of a person, unless they chose otherwise, and say what holds.

    :param default: the locale of the installation, for whom nobody knows of
    """
    said = {"person": person_id, "locale": _tag(locale), "zone": _zone(zone)}
    known = (await tx.execute(_LEARN, said)).one_or_none()
    if known is None:
        return Reader(locale=default)
    return Reader(locale=nearest(known.locale, default), zone=known.zone)


async def reader(
    tx: Transaction, surface: str, external_id: str, *, locale: str | None, default: str
) -> Reader:
    """How the owner of an account reads us, who may not be a person here yet; keeps nothing.

    :param locale: what the surface says now
    """
    row = (await tx.execute(_OF, {"surface": surface, "external": external_id})).one_or_none()
    if row is None:
        return Reader(locale=nearest(locale, default))
    wishes = (row.locale,) if row.locale_chosen else (_tag(locale), row.locale)
    return Reader(locale=nearest(*wishes, default), zone=row.zone)


async def settings_of(tx: Transaction, person_id: UUID) -> Mapping[str, Any]:
    """What is known: locale, locale_chosen, zone, zone_chosen."""
    row = (await tx.execute(_BY_ID, {"person": person_id})).mappings().one_or_none()
    return dict(row) if row is not None else dict(_UNKNOWN)


async def choose_locale(tx: Transaction, person_id: UUID, locale: str | None) -> None:
    """Read us in `locale` from now on; None: again in what surfaces say.

    :raises Refused: we don't speak it
    """
    if locale is not None and locale not in shipped():
        raise Refused(
            _("I don't speak {locale}", locale=locale[:LOCALE_LENGTH_MAX]),
            kept=_("nothing was changed"),
            do=_("choose one of: {locales}", locales=", ".join(shipped())),
        )
    await tx.execute(_CHOOSE_LOCALE, {"person": person_id, "locale": locale})


async def choose_zone(tx: Transaction, person_id: UUID, zone: str | None) -> None:
    """Show this person times in `zone`, an IANA name; None: again in what surfaces say.

    :raises Refused: there is no such zone
    """
    if zone is not None and zone not in zones():
        raise Refused(
            _("there is no time zone {zone}", zone=zone[:LOCALE_LENGTH_MAX]),
            kept=_("nothing was changed"),
            do=_("give a name such as Europe/Berlin"),
        )
    await tx.execute(_CHOOSE_ZONE, {"person": person_id, "zone": zone})


async def offer_zone(tx: Transaction, person_id: UUID, zone: str) -> None:
    """Take the zone of a person's browser while none is known; a name of no zone is nothing."""
    if zone in zones():
        await tx.execute(_OFFER_ZONE, {"person": person_id, "zone": zone})


async def inherit(tx: Transaction, *, keep: UUID, gone: UUID) -> None:
    """Let a person read us as another one did who becomes them, where they chose nothing."""
    await tx.execute(_INHERIT, {"keep": keep, "gone": gone})


async def ask_zone(tx: Transaction, person_id: UUID) -> bool:
    """Whether to ask this person for their zone now; true once, and never of whose is known."""
    return (await tx.execute(_ASK, {"person": person_id})).one_or_none() is not None


def _tag(locale: str | None) -> str | None:
    return locale[:LOCALE_LENGTH_MAX] if locale else None


def _zone(name: str | None) -> str | None:
    return name if name in zones() else None


async def zone_of(tx: Transaction, person_id: UUID) -> str:
    """IANA name of the zone in which a person's times are read."""
    return str((await settings_of(tx, person_id))["zone"] or UTC_ZONE)
