"""The words of reminders that are the same in every language, because they are said to us; pure."""

WHOM = {
    "me": "me",
    "us": "here",
    "here": "here",
    "this thread": "here",
    "channel": "channel",
    "this channel": "channel",
    "the channel": "channel",
    "mich": "me",
    "uns": "here",
    "hier": "here",
    "den kanal": "channel",
    "diesen kanal": "channel",
}
"""Whom a reminder is for, as it may be said."""
MOMENT = "{at}"
"""Stands for a time that is chosen later, as `adapters.chat.port.MOMENT` does."""
IF_CHANGED = (
    r"(?:only if (?:something|anything) (?:has )?changed"
    r"|nur,? wenn sich (?:etwas|was) geändert hat)"
)
"""That something is said only if it is not what was said last, as a pattern."""
CHANGED = {"changed on": True, "changed off": False}
"""The same of a reminder that is there: whether it holds."""
EXAMPLE = "remind me tomorrow 9 to …"
IN_TEN_MINUTES = "in 10 minutes"
TOMORROW = "tomorrow"
"""What the buttons of a reminder put it off to."""
