"""The repositories that an automation's context names, as code hosts know them.

Where no host can be asked, a name counts as an address that a project may have.
"""

from collections.abc import Mapping, Sequence

from adapters.chat.port import ChatError, Deadline, Rejected
from adapters.forge.port import ForgePort, FoundRepository, Searches
from bot.automate.definition import Search
from bot.automate.runs.targets import Repository
from bot.errors import Refused, TryAgain
from bot.govern import repositories
from bot.words.catalogue import gettext as _

SEARCH_SECONDS = 60.0


class KnownRepositories:
    """See `bot.automate.runs.finding.Repositories`."""

    def __init__(
        self, forges: Mapping[str, ForgePort], searches: Mapping[str, Searches] | None = None
    ) -> None:
        """Both by surface."""
        self._forges = forges
        self._searches = searches or {}

    def address(self, url: str) -> str:
        """Host and path, in lower case; empty: it has none."""
        return repositories.address(url)

    async def named(self, names: Sequence[str]) -> Sequence[Repository]:
        """Those of a list, in its order."""
        return [self._named(name) for name in names]

    def _named(self, name: str) -> Repository:
        urls = repositories.named(self._forges, name) or [name]
        if len(urls) > 1:
            raise Refused(
                _("{name} is a repository on several code hosts", name=name[:200]),
                do=_("name it by its address"),
            )
        return Repository(name=name, url=urls[0], address=self.address(urls[0]))

    async def found(self, search: Search, limit: int) -> Sequence[Repository]:
        """Those that a search finds; archived and empty ones say why nothing is done there."""
        host = self._searches.get(search.forge)
        if host is None:
            raise Refused(
                _("no {forge} is connected here to be searched", forge=search.forge),
                do=_("list the repositories instead"),
            )
        try:
            found = await host.search(search.query, Deadline.after(SEARCH_SECONDS), limit=limit)
        except Rejected as error:
            raise Refused(
                _(
                    "{forge} does not understand this search: {why}",
                    forge=search.forge,
                    why=str(error),
                ),
                do=_("write it in the words of its own search"),
            ) from error
        except ChatError as error:
            raise TryAgain(
                _("{forge} can't be searched now: {why}", forge=search.forge, why=str(error)),
                kept=_("nothing was begun"),
                do=_("try again in a minute"),
            ) from error
        return [
            Repository(name=one.name, url=one.url, address=self.address(one.url), why=_why(one))
            for one in found
        ]


def _why(found: FoundRepository) -> str:
    if found.archived:
        return "archived"
    return "empty" if found.empty else ""
