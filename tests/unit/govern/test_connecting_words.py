"""Why a forge connects no account, in the language of who asked."""

import pytest

from adapters.forge.accounts import Denied
from bot.errors import Refused
from bot.govern.connecting import Connecting
from bot.words.catalogue import speaking


class Denying:
    """A forge that says no, as its answer is read."""

    def __init__(self, why: str) -> None:
        self._why = why

    async def account_of(self, code, back, deadline):
        raise Denied("forge.test", self._why)


@pytest.mark.parametrize(
    ("why", "told"),
    [
        ("access_denied", "forge.test sagt nein: access_denied"),
        ("", "forge.test sagt nein: kein Grund genannt"),
    ],
)
async def test_it_is_said_in_their_language(why, told):
    connecting = Connecting(None, {"forge": Denying(why)})
    with speaking("de"), pytest.raises(Refused) as refused:
        await connecting.account_of("forge", "code", "https://ona.test/back")
    assert str(refused.value.happened) == told
