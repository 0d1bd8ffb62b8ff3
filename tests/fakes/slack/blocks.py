"""Whether blocks are what Slack accepts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.fakes.slack.mrkdwn import blocks_text

BLOCKS_MAX = 50
BLOCKS_TEXT_MAX = 13_200
"""Characters of all blocks together; not documented, found by those who met it."""
SECTION_TEXT_MAX = 3_000
HEADER_TEXT_MAX = 150
MARKDOWN_TEXT_MAX = 12_000
"""Of all markdown blocks of a message together."""
FIELDS_MAX = 10
FIELD_TEXT_MAX = 2_000
CONTEXT_ELEMENTS_MAX = 10
ACTIONS_ELEMENTS_MAX = 25
BUTTON_TEXT_MAX = 75
BUTTON_VALUE_MAX = 2_000
PLACEHOLDER_MAX = 150
OPTIONS_MAX = 100
OPTION_TEXT_MAX = 75
OPTION_VALUE_MAX = 150
ID_MAX = 255


def _has_text(value: Any, most: int, kinds: tuple[str, ...] = ("plain_text", "mrkdwn")) -> bool:
    if not isinstance(value, dict) or value.get("type") not in kinds:
        return False
    text = value.get("text")
    return isinstance(text, str) and 0 < len(text) <= most


def _section(block: dict[str, Any]) -> bool:
    fields = block.get("fields", [])
    if "text" not in block and not fields:
        return False
    text_fits = "text" not in block or _has_text(block["text"], SECTION_TEXT_MAX)
    fields_fit = all(_has_text(field, FIELD_TEXT_MAX) for field in fields)
    accessory = block.get("accessory")
    return (
        text_fits
        and fields_fit
        and len(fields) <= FIELDS_MAX
        and (accessory is None or _element(accessory))
    )


def _context(block: dict[str, Any]) -> bool:
    elements = block.get("elements", [])
    fits = all(
        each.get("type") == "image" or _has_text(each, SECTION_TEXT_MAX) for each in elements
    )
    return fits and 0 < len(elements) <= CONTEXT_ELEMENTS_MAX


def _actions(block: dict[str, Any]) -> bool:
    elements = block.get("elements", [])
    ids = [each.get("action_id") for each in elements if each.get("action_id")]
    fits = all(_element(each) for each in elements)
    return fits and 0 < len(elements) <= ACTIONS_ELEMENTS_MAX and len(ids) == len(set(ids))


def _element(each: dict[str, Any]) -> bool:
    if each.get("type") == "external_select":
        return (
            _has_text(each.get("placeholder"), PLACEHOLDER_MAX, ("plain_text",))
            and 0 < len(each.get("action_id", "")) <= ID_MAX
            and isinstance(each.get("min_query_length", 3), int)
        )
    if each.get("type") != "button":
        return isinstance(each.get("type"), str)
    return (
        _has_text(each.get("text"), BUTTON_TEXT_MAX, ("plain_text",))
        and len(each.get("value", "")) <= BUTTON_VALUE_MAX
        and len(each.get("action_id", "")) <= ID_MAX
        and each.get("style", "primary") in ("primary", "danger")
    )


def _dates_fit(block: dict[str, Any]) -> bool:
    """Whether its dates are dates, and not in code."""
    for part in block["elements"]:
        dates = [one for one in part.get("elements", ()) if one.get("type") == "date"]
        if dates and part.get("type") == "rich_text_preformatted":
            return False
        if not all(isinstance(one.get("timestamp"), int) and one.get("format") for one in dates):
            return False
    return True


RULES: dict[str, Callable[[dict[str, Any]], bool]] = {
    "section": _section,
    "context": _context,
    "actions": _actions,
    "divider": lambda block: True,
    "header": lambda block: _has_text(block.get("text"), HEADER_TEXT_MAX, ("plain_text",)),
    "markdown": lambda block: isinstance(block.get("text"), str) and block["text"] != "",
    "image": lambda block: "alt_text" in block and ("image_url" in block or "slack_file" in block),
    "rich_text": lambda block: isinstance(block.get("elements"), list) and _dates_fit(block),
    "input": lambda block: "label" in block and "element" in block,
    "file": lambda block: "external_id" in block,
    "context_actions": lambda block: isinstance(block.get("elements"), list),
}


def fault(blocks: Any, most: int = BLOCKS_MAX) -> str | None:
    """The error code that these blocks get, if any."""
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        return "invalid_blocks_format"
    ids = [block["block_id"] for block in blocks if "block_id" in block]
    if len(blocks) > most or len(ids) != len(set(ids)):
        return "invalid_blocks"
    if any(len(name) > ID_MAX for name in ids):
        return "invalid_blocks"
    if not all(block.get("type") in RULES and RULES[block["type"]](block) for block in blocks):
        return "invalid_blocks"
    markdown = [block["text"] for block in blocks if block["type"] == "markdown"]
    if sum(map(len, markdown)) > MARKDOWN_TEXT_MAX:
        return "invalid_blocks"
    return "msg_blocks_too_long" if len(blocks_text(blocks)) > BLOCKS_TEXT_MAX else None


def options(answer: dict[str, Any]) -> list[dict[str, Any]] | None:
    """What a menu shows of what it was answered; None: Slack shows that nothing could be loaded."""
    found = answer.get("options")
    if not isinstance(found, list) or len(found) > OPTIONS_MAX:
        return None
    fits = all(
        _has_text(one.get("text"), OPTION_TEXT_MAX, ("plain_text",))
        and 0 < len(one.get("value", "")) <= OPTION_VALUE_MAX
        for one in found
    )
    return found if fits else None


def with_ids(blocks: list[dict[str, Any]], new_id: Callable[[], str]) -> list[dict[str, Any]]:
    """Blocks as they come back: each with an id, each button with its action's."""
    done = []
    for block in blocks:
        whole = {"block_id": new_id()} | block
        for name in ("elements",):
            if name in whole and whole["type"] == "actions":
                whole[name] = [{"action_id": new_id()} | each for each in whole[name]]
        if isinstance(whole.get("accessory"), dict):
            whole["accessory"] = {"action_id": new_id()} | whole["accessory"]
        done.append(whole)
    return done
