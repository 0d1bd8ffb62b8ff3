"""What triggers and states of automations are called; pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from bot.automate.definition import (
    After,
    At,
    CiFailed,
    Cron,
    Definition,
    IssueLabelled,
    MessageTrigger,
    PullRequestTrigger,
    Push,
    Trigger,
    Webhook,
    step_kind,
)
from bot.automate.differences import Difference
from bot.words.amounts import short as shortened
from bot.words.catalogue import N_, Message, moment, together
from bot.words.catalogue import gettext as _

PATH_LENGTH_MAX = 120
PARTS_SHOWN_MAX = 8
"""Of what a proposal changes."""
STATES: Mapping[str, str] = {
    "proposed": N_("waits for approval"),
    "active": N_("active"),
    "paused": N_("paused"),
}
WHY: Mapping[str, str] = {
    "person": N_("somebody paused it"),
    "failures": N_("it failed several times in a row"),
    "runs_as": N_("in whose name it worked is deactivated here"),
}
_PLAIN: Mapping[type, str] = {
    Push: N_("a push to the default branch"),
    Webhook: N_("a webhook"),
    CiFailed: N_("checks of a branch fail"),
}


def said(trigger: Trigger) -> Message:
    """When it fires, in a few words."""
    match trigger:
        case Cron():
            told = _cron(trigger)
        case At():
            zone = trigger.at.tzname() or trigger.zone
            told = _("once at {at} in {zone}", at=f"{trigger.at:%Y-%m-%d %H:%M}", zone=zone)
        case PullRequestTrigger():
            told = _("a pull request is {events}", events=", ".join(trigger.pull_request))
        case Push() if trigger.push.branches:
            told = _("a push to {branches}", branches=", ".join(trigger.push.branches))
        case IssueLabelled():
            told = _("an issue is labelled {labels}", labels=", ".join(trigger.issue_labelled))
        case MessageTrigger():
            told = _("a message in {channel}", channel=trigger.message.channel)
        case After():
            told = _("a run of {automation} ends", automation=trigger.after.automation)
        case _:
            told = _(_PLAIN[type(trigger)])
    return told


def in_full(trigger: Trigger) -> Message:
    """The same with all that it asks for."""
    return together(said(trigger), *_only(trigger), by="; ")


def _only(trigger: Trigger) -> list[Message]:
    """What has to be so besides."""
    found: list[Message] = []
    match trigger:
        case PullRequestTrigger():
            found = _only_pulls(trigger)
        case CiFailed() if trigger.ci_failed.branches:
            found = [_("on {branches}", branches=_any_of(trigger.ci_failed.branches))]
        case CiFailed():
            found = [_("on the default branch")]
        case Webhook():
            found = [_where(path, counts) for path, counts in trigger.webhook.filter.items()]
        case MessageTrigger():
            found = _only_messages(trigger)
        case After():
            found = [_("it has {outcomes}", outcomes=_any_of(trigger.after.outcomes))]
    return found


def _only_pulls(trigger: PullRequestTrigger) -> list[Message]:
    found = []
    if trigger.branches:
        found.append(_("into {branches}", branches=_any_of(trigger.branches)))
    if trigger.labels:
        found.append(_("with the label {labels}", labels=_any_of(trigger.labels)))
    if trigger.authors:
        found.append(_("opened by {authors}", authors=_any_of(trigger.authors)))
    found.append(_("drafts too") if trigger.drafts else _("no drafts"))
    return found


def _only_messages(trigger: MessageTrigger) -> list[Message]:
    message, found = trigger.message, []
    if message.contains:
        found.append(_("with the words {words}", words=_any_of(message.contains)))
    if message.matches:
        found.append(_("in which {pattern} is found", pattern=message.matches))
    return [*found, _("at most {count} an hour", count=message.per_hour_max)]


def _where(path: str, counts: JsonValue) -> Message:
    choices = counts if isinstance(counts, list) else [counts]
    values = _any_of([json.dumps(one, ensure_ascii=False) for one in choices])
    return _("where {path} is {values}", path=path, values=values)


def _any_of(choices: Sequence[str]) -> str:
    return " | ".join(choices)


def _cron(trigger: Cron) -> Message:
    """Its times, and the dates between which they count."""
    parts = [_("cron {fields} in {zone}", fields=trigger.cron, zone=trigger.zone)]
    if trigger.starts is not None:
        parts.append(_("from {at}", at=f"{trigger.starts:%Y-%m-%d %H:%M}"))
    if trigger.ends is not None:
        parts.append(_("until {at}", at=f"{trigger.ends:%Y-%m-%d %H:%M}"))
    return together(*parts)


def line(row: Mapping[str, Any]) -> Message:
    """An automation in a list in a conversation."""
    parts: list[str] = [
        f"{row['project']}/{row['name']}",
        _(STATES[row["state"]]),
    ]
    if row["next_at"] is not None and row["state"] == "active":
        parts.append(_("next at {at}", at=moment(row["next_at"])))
    if row["state"] == "paused" and row["why"] in WHY:
        parts.append(_(WHY[row["why"]]))
    if row["proposed_digest"] and row["state"] != "proposed":
        parts.append(_("a change waits for approval"))
    return together(*parts, by=", ")


def listed(rows: Sequence[Mapping[str, Any]]) -> Message:
    """A list of automations, a line each."""
    if not rows:
        return _(
            "There is no automation yet. A file in .ona/automations of a repository makes one."
        )
    return together(*(line(row) for row in rows), by="\n")


def proposed(short: str, path: str, definition: Definition) -> Message:
    """What places hear of a file whose automation nobody has approved yet."""
    triggers = [said(one) for one in definition.triggers] or [_("it runs when somebody says so")]
    steps = ", ".join(step_kind(step) for step in definition.steps)
    parts = [
        _(
            "{path} proposes the automation {name}.",
            path=shortened(path, PATH_LENGTH_MAX),
            name=definition.name,
        ),
        _("Triggers: {triggers}.", triggers=together(*triggers, by="; ")),
        _("Steps: {steps}.", steps=steps),
    ]
    if definition.runs_as:
        parts.append(_("In the name of {person}.", person=definition.runs_as))
    parts += [_("Nothing of it counts before it is approved."), _approved_by(short)]
    return together(*parts)


def changed(short: str, path: str, name: str, found: Sequence[Difference]) -> Message:
    """The same of a file that says something else than what was approved."""
    parts = [one.told for one in found[:PARTS_SHOWN_MAX]]
    if left := len(found) - len(parts):
        parts.append(_("{count} more", count=left))
    return together(
        _(
            "{path} proposes to change the automation {name}: {parts}.",
            path=shortened(path, PATH_LENGTH_MAX),
            name=name,
            parts=together(*parts, by="; "),
        ),
        _("It goes on as it is until that is approved."),
        _approved_by(short),
    )


def _approved_by(short: str) -> Message:
    return _(
        "Who administers the repository on its code host, or an operator, approves it on the page"
        " Automations or with `ona automations approve {short}`.",
        short=short,
    )
