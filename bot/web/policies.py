"""Policies for somebody who asks over the web, by page or API."""

from typing import Any

from bot.govern import policy
from bot.govern.access import Act
from bot.web import adding
from bot.web.services import Services
from bot.web.visitor import Visitor
from vmpool.network.policy import Policy

NONE = {"version": 0, "name": "", "source": "", "set_at": None, "set_by": None}
"""What is shown of a project without a policy of its own."""


async def versions(
    visitor: Visitor, services: Services, project: str, version: int | None = None
) -> list[dict[str, Any]]:
    """The versions of a project's policy, the newest first; or one of them.

    :raises TellPerson: there is none of that number, or they may not see the project
    """
    found = await adding.find_project(visitor, services, project, Act.SEE)
    async with services.database.begin() as tx:
        rows = await policy.versions(tx, found["id"], version)
    return [{**row, "project": project} for row in rows]


async def tested(visitor: Visitor, services: Services, project: str, said: str) -> dict[str, Any]:
    """What counts for a project says of a URL, `HOST` or `HOST:PORT`. :raises TellPerson:"""
    found = await adding.find_project(visitor, services, project, Act.SEE)
    async with services.database.begin() as tx:
        counts = await policy.effective(tx, found["id"], services.policy)
    decision = policy.explain(counts.policy, said)
    rule = decision.rule
    return {
        "allowed": decision.allowed,
        "reason": decision.reason,
        "line": None if rule is None else str(rule),
        "source": None if rule is None else rule.source,
        "version": counts.version,
    }


async def put(visitor: Visitor, services: Services, project: str, source: str, *, file: str) -> int:
    """Set a project's policy; its version. :raises TellPerson:"""
    visitor.require(Act.POLICY)
    found = await adding.find_project(visitor, services, project, Act.SEE)
    async with services.database.begin() as tx:
        return await policy.set_policy(tx, found["id"], source, name=file, by=visitor.source)


def lines(of: Policy) -> list[dict[str, Any]]:
    """The lines of a policy, each with where it stands."""
    return [
        {
            "line": str(rule),
            "allow": rule.allow,
            "service": rule in of.services,
            "source": rule.source,
        }
        for rule in of.lines()
    ]
