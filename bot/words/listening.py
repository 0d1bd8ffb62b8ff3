"""How a surface listens and how it does, in words; pure."""

from collections.abc import Mapping
from datetime import UTC, datetime

NAMES: Mapping[str, str] = {
    "slack": "Slack",
    "discord": "Discord",
    "github": "GitHub",
    "gitlab": "GitLab",
}
STATES: Mapping[str, str] = {
    "listening": "Listening",
    "failing": "Failing",
    "connecting": "Connecting",
    "waiting": "Waiting for its turn",
    "off": "Off",
    "silent": "Not heard of",
}
_MODES: Mapping[str, str] = {
    "socket": "over a connection of ours (Socket Mode)",
    "http": "by deliveries over HTTP",
    "gateway": "over a connection of ours (gateway)",
}


def name_of(surface: str) -> str:
    """What people call a surface; one that has no name of its own by its word."""
    return NAMES.get(surface) or surface.capitalize()


def way_in(mode: str, delay_seconds: float) -> str:
    """How what is said gets to us, and how late at most; "" for an unknown mode."""
    if mode == "poll":
        return f"polls every {delay_seconds:g} s"
    if mode == "webhook":
        return f"by webhooks; polls every {delay_seconds:g} s for lost ones"
    return _MODES.get(mode, "")


def since(at: datetime | None) -> str:
    """`since 2026-01-31 12:30 UTC`; "" when nobody knows."""
    return "" if at is None else f"since {at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
