"""Our commands on Discord, `/ona` and `/ona-channel`, and “Send to ona” in the menu of a message.

Interactions are deferred at once, because Discord waits three seconds for them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import discord
import structlog
from discord import app_commands

from adapters.chat.discord import answering, history, markup
from adapters.chat.discord.reading import Reader, author_of, place_of
from adapters.chat.incoming import FOLLOW, MENTION_ONLY, Author, Hear, Said
from adapters.chat.own_words import Say
from adapters.chat.prefixes import PRIVATE, is_private

log = structlog.get_logger(__name__)

COMMAND = "ona"
CHANNEL_COMMAND = "ona-channel"
SEND_TO_US = "Send to ona"
SENT = "Sent."
"""What the menu, and what is private, is answered; who makes a listener may translate it."""
ASK = "Ask ona, or say a command such as stop"
WHAT = "What to do"
ABOUT = "What it is about, if that is not clear"
ALONE = "Only you see it, and are answered by direct message"
LISTENING = "How ona listens in this channel"
EACH_TIME = "Whether people mention it each time"
OF_COMMANDS = (ASK, WHAT, ABOUT, ALONE, LISTENING, EACH_TIME)
"""What Discord says of our commands, in each reader's language that we have."""
DESCRIPTION_LENGTH_MAX = 100
PROMPT_LENGTH_MAX = 2_000
CHOICES_MAX = 25
"""That Discord shows below what is typed."""
CHOICE_LENGTH_MAX = 100
OFFER_SECONDS = 2.0
"""Discord waits three."""

Projects = Callable[[Author], Awaitable[Sequence[str]]]
"""Names of the projects that somebody may see."""


async def no_projects(_: Author) -> Sequence[str]:
    """Where none are offered."""
    return ()


class Commands:
    """What one bot is told by commands and menus."""

    def __init__(
        self, reader: Reader, hear: Hear, *, projects: Projects, mention: str, say: Say
    ) -> None:
        """Nobody knows them before they are added to a tree.

        :param hear: returns when it was heard
        :param mention: what people call us
        """
        self._reader = reader
        self._hear = hear
        self._projects = projects
        self._mention = mention
        self._say = say

    def add_to(self, tree: app_commands.CommandTree) -> None:
        """Let the tree have them; whoever syncs it makes them known to Discord."""

        @tree.command(name=COMMAND, description=ASK)
        @app_commands.describe(text=WHAT, project=ABOUT, private=ALONE)
        async def ask(
            interaction: discord.Interaction, text: str, project: str = "", private: bool = False
        ) -> None:
            await self._ask(interaction, self._command(text, private=private), project.strip())

        @ask.autocomplete("project")
        async def offered(
            interaction: discord.Interaction, current: str
        ) -> list[app_commands.Choice[str]]:
            names = await self._names(author_of(interaction.user, interaction.guild))
            return [app_commands.Choice(name=one, value=one) for one in fitting(names, current)]

        @tree.command(name=CHANNEL_COMMAND, description=LISTENING)
        @app_commands.describe(mention_only=EACH_TIME)
        @app_commands.guild_only()
        async def listen(interaction: discord.Interaction, mention_only: bool) -> None:
            await self._listen(interaction, mention_only=mention_only)

        @tree.context_menu(name=SEND_TO_US)
        async def send(interaction: discord.Interaction, message: discord.Message) -> None:
            await self._send(interaction, message)

    def _command(self, text: str, *, private: bool) -> str:
        """What is asked for, the option `private` in its words."""
        text = self._reader.without_us(text)
        return f"{PRIVATE}: {text}" if private and not is_private(text, self._mention) else text

    async def _ask(self, interaction: discord.Interaction, text: str, project: str) -> None:
        """In a thread it is said there; in a channel it opens one, with what was asked on top.

        What is private nobody else sees.
        """
        private = is_private(text, self._mention)
        await interaction.response.defer(ephemeral=private, thinking=True)
        shown = await interaction.edit_original_response(
            content=self._sent(interaction)
            if private
            else shown_prompt(interaction.user.display_name, text),
            allowed_mentions=discord.AllowedMentions.none(),
        )
        if interaction.channel is None:
            return
        place = place_of(interaction.channel, interaction.guild, shown.id)
        said = self._reader.by_interaction(
            interaction, place, text, ref=str(shown.id), project=project
        )
        await self._hear(said)

    async def _listen(self, interaction: discord.Interaction, *, mention_only: bool) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        if interaction.channel is not None:
            place = place_of(interaction.channel, interaction.guild, None)
            says = MENTION_ONLY if mention_only else FOLLOW
            await self._answer(interaction, self._reader.by_interaction(interaction, place, says))

    async def _send(self, interaction: discord.Interaction, message: discord.Message) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        said = self._reader.sent(interaction, message)
        await self._answer(interaction, await history.with_material(self._reader, message, said))

    async def _answer(self, interaction: discord.Interaction, said: Said) -> None:
        """Hear it, and tell its sender alone what became of it."""
        with answering.collecting(str(interaction.user.id)) as told:
            await self._hear(said)
        words = told[0] if told else self._sent(interaction)
        await interaction.edit_original_response(
            content=markup.escape(words, code=False)[:PROMPT_LENGTH_MAX],
            allowed_mentions=discord.AllowedMentions.none(),
        )

    def _sent(self, interaction: discord.Interaction) -> str:
        return self._say(SENT, str(interaction.locale))

    async def _names(self, author: Author) -> Sequence[str]:
        """Names of projects, for members only; none where they can't be found out in time."""
        if author.standing != "member":
            return ()
        try:
            async with asyncio.timeout(OFFER_SECONDS):
                return await self._projects(author)
        except Exception as error:
            # Whoever asks can type the name.
            log.info("projects_not_offered", why=str(error))
            return ()


class Described(app_commands.Translator):
    """Says what our commands do in the languages of Discord's readers."""

    def __init__(self, say: Say) -> None:
        """`say` says `OF_COMMANDS` in a language."""
        self._say = say

    async def translate(
        self,
        string: app_commands.locale_str,
        locale: discord.Locale,
        context: app_commands.TranslationContextTypes,
    ) -> str | None:
        """Names stay: they are what people type."""
        if string.message not in OF_COMMANDS:
            return None
        said = self._say(string.message, str(locale))[:DESCRIPTION_LENGTH_MAX]
        return None if said == string.message else said


def fitting(names: Sequence[str], typed: str) -> list[str]:
    """The names that have in them what was typed so far, as many as Discord shows; pure."""
    found = [name for name in names if typed.casefold() in name.casefold()]
    return [name for name in found if len(name) <= CHOICE_LENGTH_MAX][:CHOICES_MAX]


def shown_prompt(name: str, text: str) -> str:
    """What somebody asked, for all to see, as far as it fits into a message; pure."""
    words = markup.escape(f"{name}: {text[:PROMPT_LENGTH_MAX]}", code=False)
    if len(words) <= PROMPT_LENGTH_MAX:
        return words
    # A backslash alone at the end would escape what follows.
    return words[: PROMPT_LENGTH_MAX - 1].rstrip("\\") + "…"
