"""People and the names under which surfaces know them."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg import IntegrityError
from sqlalchemy import text

from bot.errors import NotFound, Refused
from bot.govern.access import Standing
from bot.store.ids import new_id
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _

LOCAL = "local"
"""The surface of the machine itself: whoever has an identity here is an operator."""
NAME_LENGTH_MAX = 80

_STANDING = """
    SELECT person.id AS person_id, person.name, person.deactivated_at IS NULL AS active,
           person.is_service,
           EXISTS (SELECT 1 FROM identity
                    WHERE identity.person_id = person.id AND identity.surface = 'local') AS operator
      FROM person
"""
_BY_ID = text(f"{_STANDING} WHERE person.id = :person")
_BY_IDENTITY = text(
    f"""
    {_STANDING} WHERE person.id = (SELECT person_id FROM identity
                                    WHERE surface = :surface AND external_id = :external)
    """
)
_BY_NAME = text(f"{_STANDING} WHERE lower(person.name) = lower(:name) ORDER BY person.id")
_LIST = text(
    f"""
    SELECT person.*, created.created_at, created.locale, created.zone,
           ARRAY(SELECT surface || ':' || name FROM identity
                  WHERE identity.person_id = person.person_id ORDER BY 1) AS identities
      FROM ({_STANDING}) AS person JOIN person AS created ON created.id = person.person_id
     ORDER BY person.name, person.person_id LIMIT :limit
    """
)
_ACCOUNTS = text(
    "SELECT surface, name FROM identity WHERE person_id = :person ORDER BY surface, name"
)
_ADD_PERSON = text("INSERT INTO person (id, name, is_service) VALUES (:id, :name, :is_service)")
_ADD_IDENTITY = text(
    """
    INSERT INTO identity (id, person_id, surface, external_id, name)
    VALUES (:id, :person, :surface, :external, :name)
    """
)
_DEACTIVATE = text(
    "UPDATE person SET deactivated_at = coalesce(deactivated_at, now()) WHERE id = :person"
)
_ACTIVATE = text("UPDATE person SET deactivated_at = NULL WHERE id = :person")
_REVOKE_ALL = text(
    "UPDATE credential SET revoked_at = now() WHERE person_id = :person AND revoked_at IS NULL"
)


async def ensure_person(tx: Transaction, *, surface: str, external_id: str, name: str) -> Standing:
    """The person whom `surface` knows as `external_id`; made at the first time; idempotent.

    :raises Refused: the person is deactivated, or it is a service account's, which is nobody
    """
    known = {"surface": surface, "external": external_id}
    row = (await tx.execute(_BY_IDENTITY, known)).mappings().one_or_none()
    if row is None:
        try:
            async with tx.begin_nested():
                person_id = await _insert(tx, name)
                identity = {"id": new_id(), "person": person_id, "name": name, **known}
                await tx.execute(_ADD_IDENTITY, identity)
        except IntegrityError:
            # Two first messages at once: the other one has made the person.
            pass
        row = (await tx.execute(_BY_IDENTITY, known)).mappings().one()
    standing = Standing(**row)
    if not standing.active:
        raise Refused(_("{name} is deactivated here", name=standing.name), do=_("ask who runs ona"))
    if standing.is_service:
        raise service_refusal(standing.name)
    return standing


def service_refusal(name: str) -> Refused:
    """What is said when a service account is to sign in, or to ask for something."""
    return Refused(
        _("{name} is a service account: automations work in its name alone", name=name),
        kept=_("nothing was done"),
        do=_("use an account of your own"),
    )


async def find_identity(tx: Transaction, surface: str, external_id: str) -> UUID | None:
    """Whose an account is."""
    known = {"surface": surface, "external": external_id}
    row = (await tx.execute(_BY_IDENTITY, known)).one_or_none()
    return None if row is None else row.person_id


async def take_identity(
    tx: Transaction, person_id: UUID, surface: str, external_id: str, name: str
) -> None:
    """Let an account that is nobody's yet be a person's."""
    values = {"surface": surface, "external": external_id, "name": name[:NAME_LENGTH_MAX]}
    await tx.execute(_ADD_IDENTITY, {"id": new_id(), "person": person_id, **values})


async def add_person(tx: Transaction, name: str, *, is_service: bool = False) -> Standing:
    """Make a person without an identity on a surface; they sign in with a link.

    :param is_service: nobody is behind it, and it never signs in
    :raises Refused: the name is empty, too long or taken
    """
    name = " ".join(name.split())
    if not name or len(name) > NAME_LENGTH_MAX or not name.isprintable():
        raise Refused(
            _("a person's name has 1 to {most} printable characters", most=NAME_LENGTH_MAX),
            do=_("give another name"),
        )
    if (await tx.execute(_BY_NAME, {"name": name})).first() is not None:
        raise Refused(_("there is a person {name} already", name=name), do=_("give another name"))
    return await standing_of(tx, await _insert(tx, name, is_service=is_service))


async def standing_of(tx: Transaction, person_id: UUID) -> Standing:
    """What is known of the person. :raises NotFound:."""
    row = (await tx.execute(_BY_ID, {"person": person_id})).mappings().one_or_none()
    if row is None:
        raise NotFound(_("there is no such person"), do=_("`ona people` lists those there are"))
    return Standing(**row)


async def find_person(tx: Transaction, said: str) -> Standing:
    """The person with this id or name. :raises NotFound: none, or several of that name."""
    try:
        return await standing_of(tx, UUID(said))
    except ValueError:
        pass
    rows = (await tx.execute(_BY_NAME, {"name": said})).mappings().all()
    if len(rows) != 1:
        happened = (
            _("there is more than one person called {name}", name=said)
            if rows
            else _("there is no person called {name}", name=said)
        )
        raise NotFound(happened, do=_("`ona people` lists them with ids"))
    return Standing(**rows[0])


async def accounts_of(tx: Transaction, person_id: UUID) -> Sequence[Mapping[str, Any]]:
    """The accounts by which surfaces know a person: surface, name."""
    return [dict(row) for row in (await tx.execute(_ACCOUNTS, {"person": person_id})).mappings()]


async def list_people(tx: Transaction, *, limit: int = 500) -> Sequence[Mapping[str, Any]]:
    """Everybody by name: person_id, name, active, is_service, operator, created_at, locale, zone,
    identities.
    """
    return [dict(row) for row in (await tx.execute(_LIST, {"limit": limit})).mappings()]


async def deactivate(tx: Transaction, person_id: UUID) -> None:
    """Take every right and every credential from a person; idempotent."""
    await tx.execute(_DEACTIVATE, {"person": person_id})
    await tx.execute(_REVOKE_ALL, {"person": person_id})


async def activate(tx: Transaction, person_id: UUID) -> None:
    """Let a deactivated person sign in again, with a new link; idempotent."""
    await tx.execute(_ACTIVATE, {"person": person_id})


async def _insert(tx: Transaction, name: str, *, is_service: bool = False) -> UUID:
    person_id = new_id()
    values = {"id": person_id, "name": name, "is_service": is_service}
    await tx.execute(_ADD_PERSON, values)
    return person_id


def check_other(who: Standing, by: Standing) -> None:
    """:raises Refused: somebody would lock themselves out."""
    if who.person_id == by.person_id:
        raise Refused(_("nobody can deactivate themselves"), do=_("ask another operator"))
