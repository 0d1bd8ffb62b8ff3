"""A fake Discord that speaks the real protocol, for the real discord.py.

    async with FakeDiscord(scale=0.01) as fake:      # limits last a hundredth of what they do
        app, ann = fake.app(), fake.person("ann")
        guild = fake.guild("town", ann)
        fake.install(app, guild)
        general = fake.channel(guild, "general")
        with pointed_at(fake):                       # tests.fakes.discord.pointed
            ...                                      # a client logs in with app.token
            said = ann.says(general, f"<@{app.id}> hello")
            await fake.until(lambda: ann.texts(general)[1:] == ["hello"])

Everything that Discord does not publish (limits of routes, how long sessions are kept, how
often old messages may be edited) is what others saw, and named where it stands.
"""

from tests.fakes.discord.app import App
from tests.fakes.discord.bad import Bad, BadEvent
from tests.fakes.discord.clock import Clock
from tests.fakes.discord.interactions import Interaction
from tests.fakes.discord.markdown import Shown, shown
from tests.fakes.discord.people import Person
from tests.fakes.discord.refused import Refused
from tests.fakes.discord.server import FakeDiscord
from tests.fakes.discord.world import Channel, Guild, Message, Permission

__all__ = [
    "App",
    "Bad",
    "BadEvent",
    "Channel",
    "Clock",
    "FakeDiscord",
    "Guild",
    "Interaction",
    "Message",
    "Permission",
    "Person",
    "Refused",
    "Shown",
    "shown",
]
