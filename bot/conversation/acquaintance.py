"""Who somebody on a surface is to us: their person, and in which language and zone they read us.

author ─▶ their identity, made at the first time ─▶ what the surface knows of them is kept
"""

from dataclasses import dataclass
from functools import partial

from adapters.chat.incoming import Author
from bot.govern import languages
from bot.govern.languages import Reader
from bot.govern.people import NAME_LENGTH_MAX, ensure_person
from bot.store.database import Database
from bot.words.catalogue import speaking
from bot.words.plain import settled
from bot.work.control import Actor


@dataclass(frozen=True, kw_only=True)
class Acquainted:
    """Somebody whom we know."""

    actor: Actor
    reader: Reader


class Acquaintances:
    """Knows people by their accounts."""

    def __init__(self, database: Database, *, language: str) -> None:
        """`language` is the locale for whom nobody knows of."""
        self._database = database
        self._language = language

    async def reader(self, author: Author, surface: str) -> Reader:
        """How an author reads us, whether they are a person here or not."""
        async with self._database.begin() as tx:
            return await languages.reader(
                tx,
                account_of(author, surface),
                author.id,
                locale=author.locale,
                default=self._language,
            )

    async def meet(self, author: Author, surface: str) -> Acquainted:
        """The person who an author is. :raises Refused: deactivated, said in their language."""
        name = " ".join(settled(author.name).split())[:NAME_LENGTH_MAX] or author.id
        account = account_of(author, surface)
        read = partial(languages.reader, locale=author.locale, default=self._language)
        learn = partial(languages.learn, locale=author.locale, default=self._language)
        async with self._database.begin() as tx:
            before = await read(tx, account, author.id)
            with speaking(before.locale):
                standing = await ensure_person(
                    tx, surface=account, external_id=author.id, name=name
                )
            reader = await learn(tx, standing.person_id, zone=author.zone)
        return Acquainted(actor=Actor(id=standing.person_id, name=standing.name), reader=reader)


def account_of(author: Author, surface: str) -> str:
    """The surface of the author's identity."""
    return f"{surface}:{author.account}"
