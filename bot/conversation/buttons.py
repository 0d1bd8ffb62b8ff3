"""Buttons of ours: what they say stays the same in every language, their labels don't; pure."""

from dataclasses import replace

from adapters.chat.port import LABEL_LENGTH_MAX, Button
from bot.words.amounts import short
from bot.words.catalogue import gettext as _


def labelled(button: Button) -> Button:
    """A button whose label is a message, in the language of now."""
    return replace(button, label=short(_(button.label), LABEL_LENGTH_MAX))
