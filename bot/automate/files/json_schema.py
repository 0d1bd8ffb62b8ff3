"""The JSON Schema of an automation's file, made of its models, so that editors know it; pure."""

from functools import cache
from typing import Any

from bot.automate.definition import SCHEMA, Definition

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_EMPTY = frozenset(
    {
        "WebhookOptions",
        "PushOptions",
        "CiFailedOptions",
        "PullRequestOptions",
        "ReportOptions",
        "PostOptions",
    }
)
"""Models that nothing may stand for: `push:` alone is meant."""


@cache
def json_schema() -> dict[str, Any]:
    """What a file may say."""
    made = Definition.model_json_schema()
    _fit(made)
    described = {"const": SCHEMA, "description": "What makes the file one of ona's."}
    return {
        "$schema": DIALECT,
        "title": "Automation of ona",
        **{key: value for key, value in made.items() if key != "title"},
        "properties": {"schema": described, **made["properties"]},
        "required": ["schema", *made["required"]],
    }


def _fit(part: Any) -> None:
    """Let null stand where all options have defaults, and a moment without an offset be one."""
    if isinstance(part, list):
        for one in part:
            _fit(one)
        return
    if not isinstance(part, dict):
        return
    if part.get("format") == "date-time":
        del part["format"]
    for key, value in part.items():
        name = str(value.get("$ref", "")).rpartition("/")[2] if isinstance(value, dict) else ""
        if name in _EMPTY and key != "$defs":
            more = {one: said for one, said in value.items() if one != "$ref"}
            part[key] = {"anyOf": [{"$ref": value["$ref"]}, {"type": "null"}], **more}
        else:
            _fit(value)
