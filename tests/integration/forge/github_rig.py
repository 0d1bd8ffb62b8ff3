"""Who listens to a GitHub, and what they have heard."""

from dataclasses import replace

from adapters.chat.incoming import Said


class Kept:
    """Cursors that outlive who uses them."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    async def get(self, name: str) -> str | None:
        return self.values.get(name)

    async def put(self, name: str, value: str) -> None:
        assert len(value) <= 1_000
        self.values[name] = value


class Ears:
    """Hears, and fails to when it is told to."""

    def __init__(self) -> None:
        self.heard: list = []
        self.deaf = 0
        """So many times, what is to be heard is not."""

    async def hear(self, heard) -> None:
        if self.deaf:
            self.deaf -= 1
            raise RuntimeError("the database is away")
        self.heard.append(heard)

    @property
    def said(self) -> list[Said]:
        return [one for one in self.heard if isinstance(one, Said)]

    @property
    def keys(self) -> list[str]:
        return list(dict.fromkeys(one.key for one in self.said))


async def begun(polling) -> None:
    """Polled for the first time: what is said from now on is new."""
    await polling.poll(Ears().hear)


def same(said: Said) -> Said:
    """Without what tells one delivery from another."""
    return replace(said, delivery="")


async def say_everything(github, pull, issue) -> list:
    """Each kind of message, with and without a request in it."""
    ann = github.ann
    inline = await ann.says_inline(pull, "/ona here")
    said = [
        await ann.says(pull, "Looks odd.\n\n/ona fix it\nplease"),
        await ann.says(issue, "@ona-for-acme: look"),
        inline,
        await github.bo.says_inline(pull, "/ona and there", to=inline),
        await ann.reviews(pull, "/ona review"),
    ]
    for text in ("plain", "> /ona quoted", "`/ona` code", "@ona-for-acmes not us", "@ona nobody"):
        await ann.says(pull, text)
    await ann.says_inline(pull, "plain")
    await ann.reviews(pull, "fine")
    return said


async def take_all(github, hooks, ears, count: int) -> None:
    """Let the webhooks so far be taken, when so many have come."""
    await github.until(lambda: len(github.hooks.deliveries) >= count)
    for delivery in list(github.hooks.deliveries):
        await hooks.take(delivery.headers, delivery.body, ears.hear)
