"""What was expected where a value does not fit its model; pure."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from pydantic_core import ErrorDetails

from bot.words.catalogue import N_, Message
from bot.words.catalogue import gettext as _

_TEXT = N_("text (in quotes, if it looks like a number)")
_NUMBER = N_("a whole number")
_AMOUNT = N_("a number")
_TRUTH = N_("true or false")
_LIST = N_("a list: a line with `- ` for each entry")
_KEYS = N_("keys with their values")
_MOMENT = N_("a moment such as 2026-12-24T09:00")
_EXPECTED: Mapping[str, str] = {
    "string_type": _TEXT,
    "int_type": _NUMBER,
    "int_parsing": _NUMBER,
    "int_from_float": _NUMBER,
    "decimal_type": _AMOUNT,
    "decimal_parsing": _AMOUNT,
    "bool_type": _TRUTH,
    "bool_parsing": _TRUTH,
    "tuple_type": _LIST,
    "list_type": _LIST,
    "dict_type": _KEYS,
    "model_type": _KEYS,
    "model_attributes_type": _KEYS,
    "datetime_type": _MOMENT,
    "datetime_parsing": _MOMENT,
    "datetime_from_date_parsing": _MOMENT,
    "datetime_object_invalid": _MOMENT,
    "greater_than": N_("more than {gt}"),
    "greater_than_equal": N_("at least {ge}"),
    "less_than": N_("less than {lt}"),
    "less_than_equal": N_("at most {le}"),
    "string_too_short": N_("characters: at least {min_length}"),
    "string_too_long": N_("characters: at most {max_length}"),
    "too_short": N_("entries: at least {min_length}"),
    "too_long": N_("entries: at most {max_length}"),
}
"""By the type of pydantic's error; in braces is what its context says."""
_QUOTED = re.compile(r"'([^']*)'")


def expected_of(error: ErrorDetails) -> tuple[Message, str]:
    """What was expected, and what was probably meant."""
    kind: str = error["type"]
    context: Mapping[str, Any] = error.get("ctx", {})
    if kind == "literal_error":
        known = _QUOTED.findall(str(context["expected"]))
        near = get_close_matches(str(error["input"]).casefold(), known, n=1, cutoff=0.5)
        listed = ", ".join(f"`{one}`" for one in known)
        return _("one of {words}", words=listed), near[0] if near else ""
    if kind == "value_error":
        return _(str(context["error"])), ""
    if kind not in _EXPECTED:
        return _("something else ({problem})", problem=error["msg"]), ""
    values = {name: str(value) for name, value in context.items() if name in _EXPECTED[kind]}
    return _(_EXPECTED[kind], **values), ""
