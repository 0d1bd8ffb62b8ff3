"""In whose name an automation may work: who approves it, or whom they may name.

Operators name anybody. Others name themselves, or a service account for work on the automation's
own project alone: a list of others would lend them what the account may do there.
"""

from sqlalchemy import text

from bot.automate.definition import Context, Definition
from bot.errors import NotAllowed, Refused
from bot.govern.access import Standing
from bot.govern.people import find_person
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _

_IS_SERVICE = text("SELECT is_service FROM person WHERE id = :person")


async def check_name(tx: Transaction, by: Standing, definition: Definition) -> Standing:
    """In whose name it works if `by` approves it.

    :raises NotFound: nobody is called so
    :raises Refused: they are deactivated, or only an operator may name them
    """
    if not definition.runs_as:
        return by
    found = await find_person(tx, definition.runs_as)
    if not found.active:
        raise Refused(
            _("{name} is deactivated here", name=found.name),
            kept=_("nothing was changed"),
            do=_("let it run in another name: `runs_as`"),
        )
    is_service = bool(await tx.scalar(_IS_SERVICE, {"person": found.person_id}))
    if may_name(by, found, is_service=is_service, context=definition.context):
        return found
    raise NotAllowed(
        _("only an operator may let this work in the name of {name}", name=found.name),
        kept=_("nothing was changed"),
        do=_("ask an operator to approve it, or leave `runs_as` out"),
    )


def may_name(by: Standing, named: Standing, *, is_service: bool, context: Context) -> bool:
    """Whether somebody may let an automation work in another name."""
    if by.operator or by.person_id == named.person_id:
        return True
    elsewhere = bool(context.projects or context.repositories or context.search is not None)
    return is_service and not elsewhere
