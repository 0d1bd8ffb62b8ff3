"""Quick actions: lines of a note that GitLab runs and takes out.

As `Gitlab::QuickActions::Extractor` does it: only names that it knows count, letter case aside, at
the beginning of a line of a paragraph; a name has to end there or be followed by a space; carriage
returns are dropped before. What it does not know stays in the note. What is left, without its end,
is the note; nothing left means that no note is made.
"""

from __future__ import annotations

import re

from markdown_it import MarkdownIt

_NAMES = (
    r"approve|assign|assign_reviewer|award|blocked_by|blocks|board_move|clone|close|confidential|"
    r"convert_to_ticket|copy_metadata|cc|create_merge_request|done|draft|due|duplicate|epic|"
    r"estimate|estimate_time|health_status|iteration|label|labels|link|lock|merge|milestone|move|"
    r"page|parent|promote_to|promote_to_incident|publish|react|ready|reassign|reassign_reviewer|"
    r"rebase|relabel|relate|remove_child|remove_due_date|remove_email|remove_epic|remove_estimate|"
    r"remove_iteration|remove_milestone|remove_parent|remove_time_spent|remove_zoom|reopen|"
    r"request_changes|request_review|set_parent|severity|spend|spend_time|spent|submit_review|"
    r"subscribe|tag|target_branch|timeline|title|todo|unapprove|unassign|unassign_reviewer|unlabel|"
    r"unlink|unlock|unsubscribe|weight|wip|zoom"
)
_COMMANDS = re.compile(
    rf"(?P<code>`.+?`)|^/(?P<name>{_NAMES})(?: (?P<argument>[^\n]*))?(?:\s*\n|$)",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)


def extracted(body: str) -> tuple[str, list[tuple[str, str]]]:
    """What is left of a note, and the actions in it with their arguments."""
    body = body.replace("\r", "")
    lines = body.split("\n")
    actions: list[tuple[str, str]] = []

    def take(found: re.Match[str]) -> str:
        if found["code"]:
            return found[0]
        actions.append((found["name"].lower(), (found["argument"] or "").strip()))
        return ""

    for token in reversed(MarkdownIt("commonmark").parse(body)):
        if token.type == "paragraph_open" and token.level == 0 and token.map is not None:
            begin, end = token.map
            paragraph = _COMMANDS.sub(take, "\n".join(lines[begin:end]))
            lines[begin:end] = [paragraph] if paragraph else []
    return "\n".join(lines).rstrip(), actions
