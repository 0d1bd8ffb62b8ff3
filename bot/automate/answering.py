"""What an agent is asked when a reminder is due that it shall answer; pure."""

from typing import Any


def asked_of_agent(row: Any) -> str:
    """The prompt of a reminder, of which a row of `bot.automate.firings` is given."""
    return (
        f"It is {row.now:%Y-%m-%d %H:%M} UTC. {row.creator} asked to have this answered at this"
        f" time ({row.said}, {row.zone}). Look at how things stand now and answer in a few"
        f" sentences; change nothing in the repository and open nothing.\n\n{row.what}"
    )
