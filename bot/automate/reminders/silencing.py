"""Who gets a reminder that somebody else has set: what of it is theirs, and is so no more; pure."""

from collections.abc import Callable, Collection, Mapping, Sequence
from uuid import UUID

Target = Mapping[str, str]
"""A place of a reminder, see `bot.store.schedule_tables.Reminder.targets`."""


def threads_in(targets: object) -> list[UUID] | None:
    """The threads of its places; None: what the row has can't be read."""
    if not isinstance(targets, list):
        return None
    try:
        return [UUID(target["thread"]) for target in targets]
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def without_person(
    targets: Sequence[Target], called: Callable[[Target], Collection[str]]
) -> list[dict[str, str]] | None:
    """What is left when somebody gets it no more; None: they are none of those it is for.

    A place stays that is for others too, or for everybody who reads there.

    :param called: what they are called where a target is
    """
    left, is_theirs = list[dict[str, str]](), False
    for target in targets:
        names = called(target)
        notified = [one for one in target.get("notify", "").split(",") if one]
        others = [one for one in notified if one not in names]
        alone = target.get("alone") in names
        if not alone and others == notified:
            left.append(dict(target))
            continue
        is_theirs = True
        if not alone and (others or "everybody" in target):
            rest = {name: said for name, said in target.items() if name != "notify"}
            left.append({**rest, "notify": ",".join(others)} if others else rest)
    return left if is_theirs else None


def without_place(
    targets: Sequence[Target], is_here: Callable[[Target], bool]
) -> list[dict[str, str]] | None:
    """What is left when it is not posted in a place any more; None: it is none of its places."""
    left = [dict(target) for target in targets if not is_here(target)]
    return left if len(left) < len(targets) else None


def of_person(
    targets: Sequence[Target], called: Callable[[Target], Collection[str]]
) -> list[dict[str, str]]:
    """What of it somebody alone gets, as if it were for nobody else.

    :param called: what they are called where a target is
    """
    found: list[dict[str, str]] = []
    for target in targets:
        names = called(target)
        theirs = [one for one in target.get("notify", "").split(",") if one and one in names]
        if theirs or target.get("alone") in names:
            said = {
                name: one for name, one in target.items() if name not in {"notify", "everybody"}
            }
            found.append({**said, "notify": ",".join(theirs)} if theirs else said)
    return found
