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
EXAMPLE = "remind me tomorrow 9 to …"
IN_TEN_MINUTES = "in 10 minutes"
TOMORROW = "tomorrow"
"""What the buttons of a reminder put it off to."""
