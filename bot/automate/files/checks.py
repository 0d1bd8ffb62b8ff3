"""What a definition must fulfil besides its shape; pure."""

import re
from collections.abc import Iterator
from typing import Any

from bot.automate import patterns
from bot.automate.definition import (
    After,
    At,
    Cron,
    Definition,
    MessageTrigger,
    PostStep,
    Webhook,
)
from bot.automate.files.yaml_tree import Path
from bot.words import cron
from bot.words.catalogue import N_, Message
from bot.words.catalogue import gettext as _
from scheduler import rules
from scheduler.local import existence, said_at, zone_of

PLACE = re.compile(r"(?:slack|discord):\S+")
"""Where it reports, and what is watched."""
FILTER_PATH = re.compile(r"[^.\s]+(?:\.[^.\s]+)*")
_PLACE = N_("a place such as slack:#deploys or discord:#deploys")

Problem = tuple[Path, Message, Any]
"""Where, what is expected there, and what is there."""


def of_entry(entry: object, name: object) -> Iterator[Problem]:
    """What is wrong with a trigger or a step of the automation `name`; paths begin in it."""
    match entry:
        case Cron():
            yield from _of_cron(entry)
        case At() if entry.at.tzinfo is None:
            if existence(entry.at, zone_of(entry.zone)) == "never":
                gap = _("a time that comes: the clocks are set forward over this one")
                yield ("at",), gap, entry.at.isoformat(" ", "minutes")
        case Webhook():
            yield from _of_filter(entry)
        case MessageTrigger():
            yield from _of_message(entry)
        case After() if entry.after.automation == name:
            yield ("after", "automation"), _("another automation than itself"), name
        case PostStep() if entry.post.to and not PLACE.fullmatch(entry.post.to):
            yield ("post", "to"), _(_PLACE), entry.post.to


def of_whole(definition: Definition) -> Iterator[Problem]:
    """What is wrong beside its triggers and steps each."""
    for place, trigger in enumerate(definition.triggers):
        if trigger in definition.triggers[:place]:
            yield ("triggers", place), _("each trigger once"), _("the same as one before")
    for place, where in enumerate(definition.report_to):
        if not PLACE.fullmatch(where):
            yield ("report_to", place), _(_PLACE), where
    for place, step in enumerate(definition.steps):
        if isinstance(step, PostStep) and not (step.post.to or definition.report_to):
            nowhere = _("a place in `to` where `report_to` names none")
            said = step.post.model_dump(exclude_defaults=True)
            yield ("steps", place, "post"), nowhere, said


def _of_cron(trigger: Cron) -> Iterator[Problem]:
    expected = _("five fields of cron: minute, hour, day of the month, month, day of the week")
    try:
        rules.Cron(fields=trigger.cron)
    except rules.NeverComes:
        yield ("cron",), _("a day that comes: none of its months has that one"), trigger.cron
    except rules.OutOfBounds as error:
        yield ("cron",), cron.field(error.field), error.given
    except ValueError:
        yield ("cron",), expected, trigger.cron
    if trigger.starts is None or trigger.ends is None:
        return
    zone = zone_of(trigger.zone)
    if said_at(trigger.ends, zone) <= said_at(trigger.starts, zone):
        yield ("ends",), _("a moment after `starts`"), trigger.ends.isoformat(" ", "minutes")


def _of_filter(trigger: Webhook) -> Iterator[Problem]:
    for path, value in trigger.webhook.filter.items():
        where: Path = ("webhook", "filter", path)
        if not FILTER_PATH.fullmatch(path):
            yield where, _("keys with dots between them, such as data.state"), path
        values = value if isinstance(value, list) else [value]
        if not values or any(isinstance(one, dict | list) for one in values):
            yield where, _("a value, or a list of those that count"), value


def _of_message(trigger: MessageTrigger) -> Iterator[Problem]:
    options = trigger.message
    if not PLACE.fullmatch(options.channel):
        yield ("message", "channel"), _(_PLACE), options.channel
    try:
        patterns.compiled(options.matches)
    except ValueError as error:
        yield ("message", "matches"), _(str(error)), options.matches
