"""What acts as people on forges: kept sealed, refreshed once, given up when it is taken back."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import aiohttp
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from adapters.chat.port import Deadline
from adapters.forge.accounts import Account, Accounts, UserToken, github
from adapters.vault.client import Vault
from adapters.vault.logins import by_token_file
from adapters.vault.sealing import Sealing
from bot.govern.connecting import Connecting, merge
from bot.govern.people import deactivate, ensure_person
from bot.govern.person_tokens import PersonTokens
from bot.store.database import Database
from tests.fakes.oauth import FakeOAuth, oauth
from tests.integration.vault.conftest import NAMES, Place, soon


@dataclass
class Desk:
    database: Database
    forge: FakeOAuth
    accounts: Accounts
    tokens: PersonTokens
    ann: UUID

    async def connects(self, number: int = 1) -> Account:
        """Ann types the code of a forge and lets us have a token."""
        device = await self.accounts.begin(soon())
        self.forge.types(device.code, number)
        return await self.accounts.poll(device, soon())

    async def rows(self) -> list[str]:
        async with self.database.begin() as tx:
            return list((await tx.execute(text("SELECT sealed FROM person_token"))).scalars())


@pytest.fixture
async def desk(place: Place, database_url: str) -> AsyncIterator[Desk]:
    database = Database(database_url)
    async with database.begin() as tx:
        ann = (await ensure_person(tx, surface="slack", external_id="U1", name="Ann")).person_id
    async with oauth() as forge, aiohttp.ClientSession() as session:
        at = github(forge.url, forge.url)
        accounts = Accounts(at, session, client_id="app", client_secret="s3cret")
        sealing = Sealing(place.vault, key=NAMES.sealing_key, mount=NAMES.transit)
        tokens = PersonTokens(database, sealing, {"github": accounts})
        yield Desk(database, forge, accounts, tokens, ann)
    await database.close()


async def test_who_connects_lets_us_act_for_them_and_only_vault_can_read_it(desk: Desk) -> None:
    account = await desk.connects()
    assert account.token is not None
    assert await desk.tokens.of(desk.ann, "github") is None
    connecting = Connecting(desk.database, {"github": desk.accounts}, desk.tokens)
    await connecting.attach(desk.ann, "github", account)
    found = await desk.tokens.of(desk.ann, "github")
    assert found == account.token.access
    (sealed,) = await desk.rows()
    assert sealed.startswith("vault:")
    assert found.get_secret_value() not in sealed
    assert "token" not in repr(account)


async def test_the_newest_counts_and_the_others_are_gone(desk: Desk) -> None:
    for value in ("one", "two"):
        assert await desk.tokens.keep(desk.ann, "github", UserToken(access=SecretStr(value)))
    assert await desk.tokens.of(desk.ann, "github") == SecretStr("two")
    assert len(await desk.rows()) == 1


async def test_one_that_ends_soon_is_refreshed_once_however_many_ask(desk: Desk) -> None:
    desk.forge.token_seconds = 60
    account = await desk.connects()
    assert account.token is not None
    await desk.tokens.keep(desk.ann, "github", account.token)
    desk.forge.token_seconds = 28_800
    asked = [desk.tokens.of(desk.ann, "github") for _ in range(4)]
    found = {one for one in await asyncio.gather(*asked) if one is not None}
    (fresh,) = found
    assert fresh != account.token.access
    assert await desk.tokens.of(desk.ann, "github") == fresh


async def test_who_read_it_before_it_was_refreshed_neither_uses_nor_forgets_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.forge.token_seconds = 60
    account = await desk.connects()
    assert account.token is not None
    await desk.tokens.keep(desk.ann, "github", account.token)
    desk.forge.token_seconds = 28_800
    read, refreshed, opened = asyncio.Event(), asyncio.Event(), Sealing.open

    async def late(self: Sealing, sealed: str, deadline: Deadline) -> str:
        read.set()
        await refreshed.wait()
        return await opened(self, sealed, deadline)

    monkeypatch.setattr(Sealing, "open", late)
    slow = asyncio.create_task(desk.tokens.of(desk.ann, "github"))
    await read.wait()
    monkeypatch.setattr(Sealing, "open", opened)
    fresh = await desk.tokens.of(desk.ann, "github")
    assert fresh is not None
    refreshed.set()
    assert await slow is None
    assert await desk.tokens.of(desk.ann, "github") == fresh


async def test_one_that_was_taken_back_is_forgotten(desk: Desk) -> None:
    desk.forge.token_seconds = 60
    account = await desk.connects()
    assert account.token is not None
    await desk.tokens.keep(desk.ann, "github", account.token)
    desk.forge.refreshes.clear()
    assert await desk.tokens.of(desk.ann, "github") is None
    assert await desk.rows() == []


async def test_nobody_acts_for_who_is_deactivated(desk: Desk) -> None:
    await desk.tokens.keep(desk.ann, "github", UserToken(access=SecretStr("x")))
    async with desk.database.begin() as tx:
        await deactivate(tx, desk.ann)
    assert await desk.tokens.of(desk.ann, "github") is None


async def test_who_becomes_another_person_brings_theirs_along(desk: Desk) -> None:
    async with desk.database.begin() as tx:
        bo = (await ensure_person(tx, surface="discord", external_id="7", name="Bo")).person_id
    for person, value in ((desk.ann, "anns"), (bo, "bos")):
        await desk.tokens.keep(person, "github", UserToken(access=SecretStr(value)))
    async with desk.database.begin() as tx:
        await merge(tx, keep=desk.ann, gone=bo)
    assert await desk.tokens.of(desk.ann, "github") == SecretStr("bos")


async def test_while_vault_is_away_nothing_is_kept_and_nothing_breaks(
    desk: Desk, place: Place
) -> None:
    token = UserToken(access=SecretStr("x"))
    await desk.tokens.keep(desk.ann, "github", token)
    vault = Vault("http://127.0.0.1:9", by_token_file(place.token_file))
    sealing = Sealing(vault, key=NAMES.sealing_key, mount=NAMES.transit)
    tokens = PersonTokens(desk.database, sealing, {"github": desk.accounts})
    assert not await tokens.keep(desk.ann, "github", token)
    assert await tokens.of(desk.ann, "github") is None
    await vault.close()
