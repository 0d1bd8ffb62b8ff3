"""The server with all its tools, as the gateway of a host has it."""

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.forge.ci_by_grant import GitHubReader, GitLabReader, Reader
from bot.store.database import Database
from bot.work.routes import CodeHost
from bot.work.running import Running
from bot.work.tools import asking, checks, children, memory, reading, reminding, updates, wishes
from bot.work.tools.calls import Calls, Desk
from bot.work.tools.serving import MCP, Serving
from bot.work.tools.tool import Tool
from bot.work.tools.updates import Pictures
from vmpool.network.gateway.tools_route import ToolsRoute

__all__ = ["MCP", "open_route", "tools_of"]


def open_route(
    database: Database,
    running: Running,
    *,
    begin: children.Begin,
    remind: reminding.Remind,
    hosts: Sequence[CodeHost],
    headers: checks.Headers,
    question_seconds: float,
    wait_seconds: float = asking.WAIT_SECONDS,
) -> ToolsRoute:
    """The route by which all machines of a host reach it.

    :param begin: begins a child session
    :param remind: sets a reminder
    :param headers: what the running turn's grant adds to requests of a code host
    :param question_seconds: after which nobody can answer a question any more
    :param wait_seconds: for which one call waits for an answer
    """
    desk = Desk(database)
    found = tools_of(
        desk,
        begin=begin,
        remind=remind,
        hosts=hosts,
        headers=headers,
        question_seconds=question_seconds,
        wait_seconds=wait_seconds,
    )
    serving = Serving(Calls(desk, running, found), Pictures(database))
    return ToolsRoute(serve_request=serving.serve)


def tools_of(
    desk: Desk,
    *,
    begin: children.Begin,
    remind: reminding.Remind,
    hosts: Sequence[CodeHost],
    headers: checks.Headers,
    question_seconds: float,
    wait_seconds: float = asking.WAIT_SECONDS,
) -> list[Tool[Any]]:
    """Every tool, in the order in which agents are told of them."""
    groups = (
        updates.Updates(desk),
        asking.Asking(desk, question_seconds=question_seconds, wait_seconds=wait_seconds),
        reading.Reading(desk),
        wishes.Wishes(desk),
        checks.Checks(desk, hosts, _readers(hosts), headers),
        children.Children(desk, begin),
        reminding.Reminding(desk, remind),
        memory.Memory(desk),
    )
    return [tool for group in groups for tool in group.tools()]


def _readers(hosts: Sequence[CodeHost]) -> Mapping[str, Reader]:
    kinds: Mapping[str, type[GitHubReader | GitLabReader]] = {
        "github": GitHubReader,
        "gitlab": GitLabReader,
    }
    return {host.surface: kinds[host.surface](host.api_base) for host in hosts}
