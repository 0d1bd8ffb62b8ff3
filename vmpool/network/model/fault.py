"""Whether a provider of models failed, by what came of a request to it; pure.

A failure is what the same request to another provider could mend: it is overloaded, takes no more
of us, or can't be reached. What is wrong with the request itself is none.
"""

from collections.abc import Mapping
from typing import Any, Literal

Fault = Literal["overloaded", "limited", "unpaid", "denied", "unknown", "broken", "unreachable"]
"""`limited`: by its rate; `unpaid`: by money or quota; `denied`: the key; `unknown`: it has no such
model; `broken`: an error of its own, or an answer that was cut."""

_BY_NAME: Mapping[str, Fault] = {
    "overloaded_error": "overloaded",
    "server_is_overloaded": "overloaded",
    "slow_down": "overloaded",
    "rate_limit_error": "limited",
    "rate_limit_exceeded": "limited",
    "insufficient_quota": "unpaid",
    "billing_error": "unpaid",
    "billing_hard_limit_reached": "unpaid",
    "billing_not_active": "unpaid",
    "authentication_error": "denied",
    "invalid_api_key": "denied",
    "permission_error": "denied",
    "model_not_found": "unknown",
    "api_error": "broken",
    "server_error": "broken",
    "timeout_error": "broken",
}
"""What providers call their errors, as type or code."""
_BY_STATUS: Mapping[int, Fault] = {
    401: "denied",
    402: "unpaid",
    403: "denied",
    404: "unknown",
    408: "broken",
    429: "limited",
    503: "overloaded",
    529: "overloaded",
}
_SERVER = 500
_NO_CREDIT = "credit balance is too low"
"""Anthropic calls this a request that is invalid."""


def fault_of(status: int, error: Mapping[str, Any], *, is_cut: bool) -> Fault | None:
    """The provider's failure; None: it answered, or whoever asked is at fault, or hung up.

    :param status: of its answer; 0: there was none
    :param error: what it says is wrong, from a body or out of a stream; empty: nothing
    :param is_cut: there was no answer, or it ended before its end
    """
    for name in (error.get("code"), error.get("type")):
        if isinstance(name, str) and name in _BY_NAME:
            return _BY_NAME[name]
    if _NO_CREDIT in str(error.get("message", "")):
        return "unpaid"
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= _SERVER:
        return "broken"
    if is_cut:
        return "broken" if status else "unreachable"
    return None
