"""Asking a forge's repositories: how often, and what a round says about listening; pure."""

from collections.abc import Collection, Mapping

from adapters.listening import Condition

POLL_SECONDS = 30.0
"""Between two polls where no webhook comes."""
CATCH_UP_SECONDS = 300.0
"""Between two polls where webhooks come: for those that got lost."""


def condition(names: Collection[str], trouble: Mapping[str, str]) -> tuple[Condition, str]:
    """Whether we hear what is said there, and what is wrong where we don't.

    :param names: of all repositories
    :param trouble: why one could not be asked, by its name
    """
    if not trouble:
        return Condition.LISTENING, ""
    name, why = next(iter(trouble.items()))
    more = f" (and {len(trouble) - 1} more)" if len(trouble) > 1 else ""
    said = f"{name}{more}: {why}"
    return (Condition.FAILING if len(trouble) == len(names) else Condition.LISTENING), said
