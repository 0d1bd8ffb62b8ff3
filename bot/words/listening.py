"""How a surface listens, in words; pure."""

from collections.abc import Mapping

_MODES: Mapping[str, str] = {
    "socket": "over a connection of ours (Socket Mode)",
    "http": "by deliveries over HTTP",
    "gateway": "over a connection of ours (gateway)",
}


def way_in(mode: str, delay_seconds: float) -> str:
    """How what is said gets to us, and how late at most; "" for an unknown mode."""
    if mode == "poll":
        return f"polls every {delay_seconds:g} s"
    if mode == "webhook":
        return f"by webhooks; polls every {delay_seconds:g} s for lost ones"
    return _MODES.get(mode, "")
