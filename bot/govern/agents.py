"""The agents that projects and sessions can be given to; `bot.host` builds their adapters."""

from bot.errors import Refused
from bot.words.catalogue import gettext as _

AGENTS = ("shell",)
"""By the names that people write; the first is a project's when it names none."""


def check_agent(name: str) -> None:
    """:raises Refused: there is no agent of that name."""
    if name not in AGENTS:
        raise Refused(
            _("there is no agent {name}", name=name[:80]),
            do=_("known are: {names}", names=", ".join(AGENTS)),
        )
