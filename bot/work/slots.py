"""Whose turns a worker may begin in the slots that it has left; pure.

slots   ├──────── anybody's ────────┼── people's ──┤
        a turn begins at the left; automations leave the last ones free, whoever has the others
"""

import enum
from dataclasses import dataclass


class Offer(enum.StrEnum):
    """Whose turn may begin next."""

    ANYBODY = "anybody"
    PEOPLE = "people"
    """The slots that are left are kept for them."""
    NOBODY = "nobody"
    """Every slot is taken."""


@dataclass(frozen=True, kw_only=True)
class Slots:
    """The turns that a worker runs at once."""

    turns_max: int
    for_people: int = 0
    """How many of them automations leave free; fewer than `turns_max`."""

    def offer(self, busy: int) -> Offer:
        """Whose turn may begin while `busy` of them run."""
        if busy >= self.turns_max:
            return Offer.NOBODY
        return Offer.PEOPLE if busy >= self.turns_max - self.for_people else Offer.ANYBODY
