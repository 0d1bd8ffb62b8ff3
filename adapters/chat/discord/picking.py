"""A form in which somebody chooses a moment for a button that wants one.

Discord has no date picker: the form has a line for words. Its id is that of the button, so nothing
is kept between the two.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import discord

from adapters.chat.discord.port import PICK
from adapters.chat.port import MOMENT

WORDS = "ona.words"
WORDS_LENGTH_MAX = 200
TITLE_LENGTH_MAX = 45
EXAMPLE = "friday 16:00 \u00b7 2026-12-24 09:00"
FORM_SECONDS = 900.0
"""As long as an interaction may be answered."""


def wants(interaction: discord.Interaction) -> bool:
    """Whether a pressed button wants a moment, or a form with one was sent."""
    return _custom_id(interaction).startswith(PICK)


def form(interaction: discord.Interaction) -> discord.ui.Modal:
    """The form of a pressed button, called as the button is."""
    custom_id = _custom_id(interaction)
    title = _label(interaction, custom_id)[:TITLE_LENGTH_MAX]
    made = discord.ui.Modal(title=title, custom_id=custom_id, timeout=FORM_SECONDS)
    line: discord.ui.TextInput[discord.ui.Modal] = discord.ui.TextInput(
        label=title, custom_id=WORDS, placeholder=EXAMPLE, max_length=WORDS_LENGTH_MAX
    )
    return made.add_item(line)


def chosen(interaction: discord.Interaction) -> str:
    """What the button says with the words of a sent form; empty: there are none."""
    data: Mapping[str, Any] = interaction.data or {}
    fields = {one.get("custom_id"): one.get("value") for one in _within(data.get("components"))}
    said = " ".join(str(fields.get(WORDS) or "").split())
    says = _custom_id(interaction).removeprefix(PICK)
    return says.replace(MOMENT, said) if said else ""


def _custom_id(interaction: discord.Interaction) -> str:
    data: Mapping[str, Any] = interaction.data or {}
    return str(data.get("custom_id") or "")


def _label(interaction: discord.Interaction, custom_id: str) -> str:
    rows = interaction.message.components if interaction.message else []
    for row in rows:
        for one in getattr(row, "children", ()):
            if getattr(one, "custom_id", None) == custom_id and one.label:
                return str(one.label)
    return "ona"


def _within(components: Any) -> Iterator[Mapping[str, Any]]:
    """Every field of a form, however deep."""
    for one in components or ():
        yield one
        yield from _within(one.get("components"))
        yield from _within([one["component"]] if one.get("component") else ())
