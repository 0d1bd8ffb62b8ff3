"""Surfaces whose readers take the replies out of the outbox themselves: nothing is sent.

The row is the post. Posting it says only that it may be shown now, in its order in the thread.
"""

from adapters.chat.port import AfterUncertain, Content, Deadline, Limits

TEXT_LENGTH_MAX = 60_000
"""Room for any output that an answer shows; only longer words of an agent are split."""
PULL_SURFACES = ("terminal", "web", "api")
"""Surfaces that need no account anywhere."""


class TerminalChat:
    """The chat of a pull surface: readers take the rows, and follow the events for what is live."""

    limits = Limits(
        text_length_max=TEXT_LENGTH_MAX,
        after_uncertain=AfterUncertain.POST_AGAIN,
        live="none",
    )
    dialect = None

    def installation(self, place: str) -> str:
        """There is only this one."""
        return ""

    def escape(self, text: str, *, code: bool) -> str:
        """Text stays text: the page and the terminal escape what they show."""
        return text

    async def post(self, place: str, content: Content, mark: str, deadline: Deadline) -> str:
        """Nothing to do; the mark is the ref."""
        return mark

    async def edit(self, place: str, ref: str, content: Content, deadline: Deadline) -> None:
        """Nothing to do: the row shows its newest wording."""

    async def find(self, place: str, mark: str, deadline: Deadline) -> str | None:
        """The row that asks is the post."""
        return mark
