"""What people are told to say, as it is typed in a terminal; pure.

The service tells everybody what is said in a conversation, such as `reminders resume r-7f3k`.
"""

import re

_CODE = re.compile(r"`([^`\n]+)`")
_COMMANDS = frozenset({"automations", "reminders", "runs", "sessions"})
"""Of conversations, that the command line has too."""
_EDIT = re.compile(r"(reminders edit \S+) (?:(quiet|say) )?(.+)")
_CHANGED = {"changed on": "--only-changed", "changed off": "--each-time"}
_NAMED = re.compile(r"(automations \S+|reminders snooze \S+) (.*\s.*)")
_ONLY_SAID = "remind "
"""This has no command of its own: it is said."""


def typed(words: str) -> str:
    """`words` with each command in them as a terminal takes it.

    >>> typed("`reminders resume r-7f3k` lets it go on.")
    '`ona reminders resume r-7f3k` lets it go on.'
    """
    return _CODE.sub(_command, words.replace("project=NAME", "--project NAME"))


def _command(found: re.Match[str]) -> str:
    said = found[1]
    if said.startswith(_ONLY_SAID):
        return f'`ona ask "{said}"`'
    if said.partition(" ")[0] not in _COMMANDS:
        return found[0]
    if edit := _EDIT.fullmatch(said):
        said = f"{edit[1]} {_option(edit[2], edit[3])}"
    elif named := _NAMED.fullmatch(said):
        said = f'{named[1]} "{named[2]}"'
    return f"`ona {said}`"


def _option(part: str | None, said: str) -> str:
    """What is edited, as an option."""
    if part == "quiet":
        return f"--quiet {said}"
    if part == "say":
        bare = said.strip('"')
        return f'--what "{bare}"'
    return _CHANGED.get(said, f'--when "{said}"')
