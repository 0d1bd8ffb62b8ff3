"""Secrets of webhooks are kept so that nobody but Vault can read them."""

import json

import pytest

from adapters.vault.sealing import Sealing
from bot.automate.triggers.hook_secrets import (
    PREFIX,
    REMEMBERED_MAX,
    REMEMBERED_SECONDS,
    HookSecrets,
)
from bot.errors import OnaError, Unfit
from tests.integration.vault.conftest import NAMES, Place


def sealing(place: Place) -> Sealing:
    return Sealing(place.vault, key=NAMES.sealing_key, mount=NAMES.transit)


async def test_a_secret_is_sealed_and_opened_by_another_process(place: Place) -> None:
    made = await HookSecrets(sealing(place)).make()
    secret = made.secret.get_secret_value()
    assert secret.startswith(PREFIX)
    assert secret not in made.sealed
    assert json.loads(made.sealed)["vault"].startswith("vault:")
    opened = await HookSecrets(sealing(place)).open(made.sealed)
    assert opened.get_secret_value() == secret


async def test_what_vault_has_sealed_is_not_opened_without_it(place: Place) -> None:
    made = await HookSecrets(sealing(place)).make()
    for secrets in (HookSecrets(), HookSecrets(sealing(place))):
        sealed = made.sealed if not secrets.sealed else json.dumps({"vault": "vault:v1:xx"})
        with pytest.raises(OnaError):
            await secrets.open(sealed)
    with pytest.raises(Unfit):
        await HookSecrets().open("")


class Counting:
    """A sealing that counts how often it is asked."""

    def __init__(self, inner: Sealing) -> None:
        self.inner, self.opened = inner, 0

    async def seal(self, said, deadline):
        return await self.inner.seal(said, deadline)

    async def open(self, sealed, deadline):
        self.opened += 1
        return await self.inner.open(sealed, deadline)


async def test_a_flood_does_not_ask_vault_each_time(place: Place) -> None:
    now, counting = [0.0], Counting(sealing(place))
    secrets = HookSecrets(counting, clock=lambda: now[0])
    made = await secrets.make()
    for _delivery in range(5):
        await secrets.open(made.sealed)
    assert counting.opened == 1
    now[0] = REMEMBERED_SECONDS + 1
    await secrets.open(made.sealed)
    assert counting.opened == 2


async def test_no_more_secrets_are_remembered_than_the_limit() -> None:
    secrets = HookSecrets()
    for number in range(REMEMBERED_MAX + 5):
        await secrets.open(json.dumps({"plain": str(number)}))
    assert len(secrets._opened) == REMEMBERED_MAX
