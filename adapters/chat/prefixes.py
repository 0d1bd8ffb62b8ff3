"""What may stand before what is asked: our name, `new:` and the like, options; pure.

Surfaces read it too: what shows a command to others may not show one that is private.
"""

import functools
import re

OPTIONS = ("repo", "project", "branch", "agent", "model", "size")
"""Options that may stand before what is asked, as `name=value`."""
PRIVATE = "private"
PREFIXES = ("new", "now", PRIVATE, "aside")
"""Words that may stand there with a colon."""

_PREFIX = re.compile(rf"^({'|'.join(PREFIXES)})\s*:\s*", re.IGNORECASE)
_OPTION = re.compile(rf"^({'|'.join(OPTIONS)})=(\S+)\s*", re.IGNORECASE)


def addressed(text: str, mention: str) -> str:
    """The message without `@mention` or `/mention` in front."""
    return _mentioning(mention).sub("", text, count=1).strip()


@functools.cache
def _mentioning(name: str) -> re.Pattern[str]:
    return re.compile(rf"^\s*[@/]{re.escape(name)}(?![\w-])[:,]?\s*", re.IGNORECASE)


def read(said: str) -> tuple[set[str], dict[str, str], str]:
    """The words with a colon that stand in front, the options, and what is asked.

    :param said: as `addressed` gives it
    """
    how: set[str] = set()
    options: dict[str, str] = {}
    while match := _PREFIX.match(said) or _OPTION.match(said):
        if match.re is _PREFIX:
            how.add(match[1].casefold())
        else:
            options[match[1].casefold()] = match[2]
        said = said[match.end() :]
    return how, options, said.strip()


def is_private(text: str, mention: str) -> bool:
    """Whether a command is for its author alone: what shows it to others may not."""
    return PRIVATE in read(addressed(text, mention))[0]
