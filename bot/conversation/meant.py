"""The project that a message means, of those that its author may see.

A project that they may not see is as if it were not there, and no error names it: else whoever
tries names and links in a channel learns which repositories there are. Of whom no account is known
on the forge of one is told to connect, whatever they named.
"""

from collections.abc import Sequence

from bot.conversation.choosing import Chosen, Row, Wish, choose
from bot.errors import NotFound, WhichProject
from bot.govern.access import Standing
from bot.govern.rights import Rights
from bot.store.transaction import Transaction

LOOKED_AT_MAX = 30
"""Projects that forges may have to be asked about, to say which there are."""


async def meant(
    rights: Rights, who: Standing, tx: Transaction, projects: Sequence[Row], wish: Wish
) -> Chosen:
    """Choose it.

    :raises NotFound: there is none, or none of that name
    :raises WhichProject: it could be several
    :raises NotPermitted: which there are can't be said before we know an account of theirs
    :raises NotAsked: a forge has to be asked first
    """
    if wish.home:
        return choose(projects, wish)
    left, hidden = list(projects), list[Row]()
    while True:
        try:
            chosen = choose(left, wish)
        except (NotFound, WhichProject):
            break
        if not chosen.pointed_at or await rights.seen(tx, who, [chosen.project]):
            return chosen
        left.remove(chosen.project)
        hidden.append(chosen.project)
    looked_at = left[:LOOKED_AT_MAX]
    seen = await rights.seen(tx, who, looked_at)
    await rights.check_known(tx, who, [*hidden, *looked_at])
    # Of those that were not looked at, nobody knows whether they could be meant.
    return choose(seen if len(looked_at) == len(left) else left, wish, told=seen)
