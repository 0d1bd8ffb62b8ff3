"""A forge that knows who may do what, and can be silent; for what only asks it that."""

from adapters.chat.port import Unavailable
from adapters.forge.port import Permission
from tests.fakes.chat import FakeChat


class KnowingForge(FakeChat):
    """Repositories at https://forge.test, and what accounts may do with them."""

    host = "forge.test"
    web = "https://forge.test"

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1")
        self.levels: dict[tuple[str, str], Permission] = {}
        self.asked: list[tuple[str, str]] = []
        self.silent = False
        self.signs: list[tuple[str, object]] = []
        self.posts: list[tuple[str, str, str]] = []

    def repository(self, url):
        head = f"https://{self.host}/"
        return url.removeprefix(head).removesuffix(".git") if url.startswith(head) else None

    async def permission(self, repository, account, deadline):
        self.asked.append((repository, account))
        if self.silent:
            raise Unavailable("the forge is away")
        return self.levels.get((repository, account), Permission.NONE)

    async def react(self, place, ref, sign, deadline):
        self.signs.append((ref, sign))

    async def post(self, place, content, mark, deadline):
        self.posts.append((place, content.notify, content.text))
        return mark
