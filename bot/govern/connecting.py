"""One person, many accounts: each is theirs when they have shown that they hold both.

A code is given out where nobody else reads it and holds once, for CODE_SECONDS, where nobody else
reads it either. A forge is asked whose account it is. Nothing is ever concluded from a name.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from uuid import UUID

import structlog
from sqlalchemy import TextClause, text
from sqlmodel import SQLModel

from adapters.chat.port import ChatError, Deadline, Rejected
from adapters.forge.accounts import (
    SLOW_DOWN_SECONDS,
    Account,
    Accounts,
    Denied,
    Device,
    Waiting,
)
from bot.errors import NotFound, OnaError, Refused, TryAgain
from bot.govern import credentials, defaults, languages
from bot.govern.audit import Audited, Source, record
from bot.govern.people import (
    ensure_person,
    find_identity,
    service_refusal,
    standing_of,
    take_identity,
)
from bot.govern.person_tokens import PersonTokens
from bot.govern.rights import Rights, forget
from bot.store import models as _models  # noqa: F401 - its tables are looked at
from bot.store.database import Database
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _

log = structlog.get_logger(__name__)

CODE_SECONDS = 600.0
LINK_SECONDS = 600.0
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_GROUPS, _GROUP_LENGTH = 3, 4
"""60 bits: nobody guesses one in ten minutes."""
ASK_SECONDS = 10.0
DEVICES_MAX = 100
"""People who may be typing codes at the forges at once, a process."""

_KNOWN = text("SELECT surface FROM identity WHERE person_id = :person")

Then = Callable[[Account], Awaitable[None]]
Otherwise = Callable[[OnaError], Awaitable[None]]


def new_code() -> str:
    """A code that can be read out and typed."""
    letters = (secrets.choice(_LETTERS) for _ in range(_GROUPS * _GROUP_LENGTH))
    code = "".join(letters)
    return "-".join(code[at : at + _GROUP_LENGTH] for at in range(0, len(code), _GROUP_LENGTH))


class Connecting:
    """Brings the accounts of a person together."""

    def __init__(
        self,
        database: Database,
        accounts: Mapping[str, Accounts],
        tokens: PersonTokens | None = None,
    ) -> None:
        """`accounts` of the forges that can be asked, by surface.

        :param tokens: keeps what acts as people who connect; None: that is dropped
        """
        self._database = database
        self._tokens = tokens
        self.accounts = accounts
        self._polling: set[asyncio.Task[None]] = set()

    async def code_for(self, person_id: UUID) -> str:
        """A code that whoever says it elsewhere is this person."""
        code = new_code()
        async with self._database.begin() as tx:
            await credentials.add(tx, "connect", person_id, code, seconds=CODE_SECONDS)
        return code

    async def missing(self, person_id: UUID) -> list[str] | None:
        """The forges that can be asked and of which no account is this person's yet, by surface.

        None: no forge can be asked.
        """
        if not self.accounts:
            return None
        async with self._database.begin() as tx:
            known = {row.surface for row in await tx.execute(_KNOWN, {"person": person_id})}
        forges = sorted(self.accounts.items())
        return [name for name, at in forges if f"{name}:{at.host}" not in known]

    async def link_for(self, person_id: UUID) -> str:
        """The secret of a link that signs this person in, once, for LINK_SECONDS."""
        async with self._database.begin() as tx:
            return await credentials.issue(tx, "link", person_id, seconds=LINK_SECONDS)

    async def use_code(self, person_id: UUID, code: str) -> str:
        """Let this person be the one who was given the code; the name they have from now on.

        :raises Refused: it does not hold
        """
        async with self._database.begin() as tx:
            owner_id = await credentials.use(tx, "connect", code.upper())
            if owner_id is None:
                raise Refused(
                    _("this code was used already or is too old"),
                    kept=_("nothing was connected"),
                    do=_("say `connect` where you have the other account, and take the new one"),
                )
            await merge(tx, keep=owner_id, gone=person_id)
            return (await standing_of(tx, owner_id)).name

    async def void_code(self, code: str) -> None:
        """Let a code hold no more: others have read it, who could become its owner by it."""
        async with self._database.begin() as tx:
            await credentials.forget(tx, code.upper())

    async def attach(self, person_id: UUID, surface: str, account: Account) -> None:
        """Let an account on a forge be this person's; whoever had it becomes them."""
        if self._tokens is not None and account.token is not None and self._tokens.keeps(surface):
            await self._tokens.keep(person_id, surface, account.token)
        known = f"{surface}:{self.accounts[surface].host}"
        async with self._database.begin() as tx:
            owner_id = await find_identity(tx, known, account.id)
            if owner_id is None:
                await take_identity(tx, person_id, known, account.id, account.name)
                await forget(tx, person_id)
                by = Source.of(await standing_of(tx, person_id), surface)
                body = {"account": account.name, "id": account.id}
                await record(tx, Audited(kind="account.connected", by=by, place=known, body=body))
            else:
                await merge(tx, keep=person_id, gone=owner_id)

    async def sign_in(self, surface: str, account: Account, rights: Rights) -> UUID:
        """Whom an account on a forge signs in: whose it is, else who may read a project's code.

        :raises Refused: nobody
        """
        known = f"{surface}:{self.accounts[surface].host}"
        async with self._database.begin() as tx:
            owner_id = await find_identity(tx, known, account.id)
        if owner_id is None and not await rights.admits(surface, account.id):
            raise Refused(
                _("{name} may read no repository of the projects here", name=account.name),
                kept=_("you are not signed in"),
                do=_("ask who runs ona for a sign-in link"),
            )
        async with self._database.begin() as tx:
            standing = await ensure_person(
                tx, surface=known, external_id=account.id, name=account.name
            )
        return standing.person_id

    async def account_of(self, surface: str, code: str, back: str) -> Account:
        """Whose the code is that a browser brought. :raises Refused: :raises TryAgain:"""
        try:
            return await self.accounts[surface].account_of(code, back, Deadline.after(ASK_SECONDS))
        except Rejected as error:
            raise _refused(error) from error
        except ChatError as error:
            raise TryAgain(
                _("{surface} did not say whose account that is", surface=surface),
                do=_("begin again"),
            ) from error

    async def begin(self, surface: str, then: Then, otherwise: Otherwise | None = None) -> Device:
        """A code to type at a forge; `then` is called with whose account it was, if anybody's.

        :param otherwise: is called with why nothing came of it
        :raises NotFound: no such forge can be asked
        :raises TryAgain: it can't be asked now
        """
        if surface not in self.accounts:
            raise NotFound(
                _("{surface} can't be asked here", surface=surface),
                do=_("ask who runs ona to set its client id"),
            )
        if len(self._polling) >= DEVICES_MAX:
            raise TryAgain(_("too many people are connecting"), do=_("try again in a minute"))
        accounts = self.accounts[surface]
        try:
            device = await accounts.begin(Deadline.after(ASK_SECONDS))
        except ChatError as error:
            log.warning("no_device_code", surface=surface, why=str(error))
            raise TryAgain(
                _("{forge} gave no code", forge=accounts.host),
                kept=_("nothing was connected"),
                do=_("try again later"),
            ) from error
        polling = asyncio.create_task(self._poll(accounts, device, then, otherwise))
        self._polling.add(polling)
        polling.add_done_callback(self._polling.discard)
        return device

    async def aclose(self) -> None:
        """Give up on whoever is still typing."""
        for polling in list(self._polling):
            polling.cancel()
            with suppress(asyncio.CancelledError):
                await polling

    async def _poll(
        self, accounts: Accounts, device: Device, then: Then, otherwise: Otherwise | None
    ) -> None:
        try:
            try:
                async with asyncio.timeout(device.expires_seconds):
                    account = await self._typed(accounts, device)
                await then(account)
            except Exception as error:
                ended = _why_not(error, device)
                log.info("not_connected", forge=accounts.host, why=ended.happened)
                if otherwise is not None:
                    await otherwise(ended)
        except Exception:
            log.exception("connecting_failed", forge=accounts.host)

    async def _typed(self, accounts: Accounts, device: Device) -> Account:
        """Whose account it is, once the code was typed. :raises Rejected: nobody's"""
        pause = device.interval_seconds
        while True:
            await asyncio.sleep(pause)
            try:
                return await accounts.poll(device, Deadline.after(ASK_SECONDS))
            except Waiting as waiting:
                pause += SLOW_DOWN_SECONDS if waiting.slower else 0
            except Rejected:
                raise
            except ChatError as error:
                log.info("forge_not_asked", forge=accounts.host, why=str(error))


def _why_not(error: Exception, device: Device) -> OnaError:
    """Why nothing came of a code, in words for who was to type it. :raises Exception: a bug"""
    if isinstance(error, OnaError):
        return error
    kept, do = _("nothing was connected"), _("begin again")
    if isinstance(error, TimeoutError):
        minutes = f"{device.expires_seconds / 60:.0f}"
        late = _("the code was not typed within {minutes} minutes", minutes=minutes)
        return Refused(late, kept=kept, do=do)
    if isinstance(error, ChatError):
        return _refused(error)
    raise error


def _refused(error: ChatError) -> Refused:
    told = str(error)
    if isinstance(error, Denied):
        told = _("{host} says no: {why}", host=error.host, why=error.why or _("no reason given"))
    return Refused(told, kept=_("nothing was connected"), do=_("begin again"))


async def merge(tx: Transaction, *, keep: UUID, gone: UUID) -> None:
    """Let everything of one person be another's, who holds the accounts of both from now on.

    :raises Refused: one of them is deactivated, which nobody gets out of by another account, or a
        service account, which nobody is
    """
    if keep == gone:
        return
    for person_id in (keep, gone):
        standing = await standing_of(tx, person_id)
        if not standing.active:
            raise Refused(
                _("{name} is deactivated here", name=standing.name), do=_("ask who runs ona")
            )
        if standing.is_service:
            raise service_refusal(standing.name)
        await forget(tx, person_id)
    kept, other = await standing_of(tx, keep), await standing_of(tx, gone)
    await languages.inherit(tx, keep=keep, gone=gone)
    await defaults.inherit(tx, keep=keep, gone=gone)
    for statement in _MERGE:
        await tx.execute(statement, {"keep": keep, "gone": gone})
    body = {"gone": gone, "name": other.name}
    event = Audited(kind="person.connected", by=Source.of(kept, ""), place=other.name, body=body)
    await record(tx, event)


def _statements() -> list[TextClause]:
    """Every column that names a person, and the lists of people in questions."""
    # A halt of each of them becomes one of both.
    found = [
        text(
            "DELETE FROM halt WHERE person_id = :gone"
            " AND EXISTS (SELECT FROM halt WHERE person_id = :keep)"
        )
    ]
    for table in SQLModel.metadata.sorted_tables:
        for column in table.columns:
            if any(key.column.table.name == "person" for key in column.foreign_keys):
                found.append(
                    text(
                        f'UPDATE "{table.name}" SET {column.name} = :keep'
                        f" WHERE {column.name} = :gone"
                    )
                )
    found.append(
        text(
            """
            UPDATE question SET permitted = (
                SELECT jsonb_agg(CASE one WHEN CAST(:gone AS text) THEN CAST(:keep AS text)
                                          ELSE one END)
                  FROM jsonb_array_elements_text(permitted) AS one)
             WHERE permitted ? CAST(:gone AS text)
            """
        )
    )
    found.append(text("DELETE FROM person WHERE id = :gone"))
    return found


_MERGE = _statements()
