"""The agents that projects and sessions can be given to; `bot.agents` builds their adapters."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from bot.config import Settings
from bot.errors import Refused
from bot.govern.offers import Offer, offers_of
from bot.words.catalogue import gettext as _

SHELL = "shell"
"""Runs every prompt as a script; it is always there."""


@dataclass(frozen=True, kw_only=True)
class Agents:
    """The agents of an installation, by the names that people write."""

    names: Collection[str] = (SHELL,)
    default: str = SHELL
    """Of what names none."""
    ready: Collection[str] | None = None
    """Those of them that machines hold; None: all."""
    offers: Sequence[Offer] = ()
    """Of which people choose what their own new sessions use; (): what they chose counts not."""

    def chosen(self, *asked: str | None) -> str:
        """The first agent that is asked for, else the default. :raises Refused:"""
        name = next((name for name in asked if name), self.default)
        self.check(name)
        return name

    def check(self, name: str) -> None:
        """:raises Refused: there is no agent of that name, or machines don't hold it."""
        if name not in self.names:
            raise Refused(
                _("there is no agent {name}", name=name[:80]),
                do=_("known are: {names}", names=", ".join(self.names)),
            )
        if self.ready is not None and name not in self.ready:
            ready = ", ".join(one for one in self.names if one in self.ready)
            raise Refused(
                _("the agent {name} is not set up here", name=name),
                do=_(
                    "choose one of: {names}; or ask who runs ona to set a provider of its models,"
                    " or agents.installed",
                    names=ready,
                ),
            )

    def check_model(self, agent: str, model: str | None) -> None:
        """:raises Refused: a model is asked for, and the agent has none"""
        if model and agent == SHELL:
            raise Refused(
                _("the agent {name} uses no model", name=agent),
                do=_("leave `model=` out, or name an agent with it: `agent=… model=…`"),
            )


def agents_of(settings: Settings) -> Agents:
    """Those of an installation."""
    ready = {SHELL, settings.default_agent, *settings.agents_installed, *settings.agents.own}
    return Agents(names=settings.agent_names, default=settings.default_agent, ready=ready)


def agents_for_people(settings: Settings) -> Agents:
    """The same for what people ask themselves: what they chose for their new sessions counts."""
    return replace(agents_of(settings), offers=offers_of(settings))
