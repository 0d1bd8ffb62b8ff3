"""Accounts in whose name automations work and which are nobody: they never sign in or ask.

What one may do is what its account on the forge may do, as for everybody else. Nobody can show that
they hold that account by signing in with it here, so an operator says which one it is.
"""

from sqlalchemy import text

from adapters.forge.port import ForgePort
from bot.errors import NothingToDo, Refused
from bot.govern.access import Standing
from bot.govern.people import NAME_LENGTH_MAX, find_identity, take_identity
from bot.govern.rights import forget
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _

ACCOUNT_LENGTH_MAX = 20
"""Digits of the id that a forge gave an account."""
_DROP = text("DELETE FROM identity WHERE person_id = :person AND surface = :surface RETURNING name")


def check(who: Standing) -> None:
    """:raises Refused: it is a person, who connects accounts by themselves"""
    if not who.is_service:
        raise Refused(
            _("{name} is a person, who connects accounts by themselves", name=who.name),
            kept=_("nothing was changed"),
            do=_("they say `connect` to me in a direct message"),
        )


async def connect(
    tx: Transaction, who: Standing, surface: str, forge: ForgePort, *, account: str, login: str
) -> None:
    """Let an account on a forge be a service account's, instead of the one that it had there.

    :param account: the id that the forge gave it, which stays when its login changes
    :raises Refused: it is somebody's already, or can't be one
    """
    check(who)
    login = " ".join(login.split())
    digits = account.isascii() and account.isdecimal() and len(account) <= ACCOUNT_LENGTH_MAX
    if not digits or not login.isprintable() or not 0 < len(login) <= NAME_LENGTH_MAX:
        raise Refused(
            _("an account has the number that its forge gave it, and a login"),
            kept=_("nothing was changed"),
            do=_("look the number up: `gh api users/LOGIN --jq .id`"),
        )
    known = f"{surface}:{forge.host}"
    owner_id = await find_identity(tx, known, account)
    if owner_id is not None and owner_id != who.person_id:
        raise Refused(
            _("that account is somebody's already"),
            kept=_("nothing was changed"),
            do=_("make one for this service account alone"),
        )
    await tx.execute(_DROP, {"person": who.person_id, "surface": known})
    await take_identity(tx, who.person_id, known, account, login)
    await forget(tx, who.person_id)


async def disconnect(tx: Transaction, who: Standing, surface: str, forge: ForgePort) -> str:
    """Take its account on a forge away; the login that it had. :raises NothingToDo: it has none"""
    check(who)
    known = {"person": who.person_id, "surface": f"{surface}:{forge.host}"}
    login = await tx.scalar(_DROP, known)
    if login is None:
        raise NothingToDo(_("{name} has no account there", name=who.name))
    await forget(tx, who.person_id)
    return str(login)
