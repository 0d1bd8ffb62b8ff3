"""The fake Discord as discord.py sees it: commands, buttons, forms."""

import discord
import pytest
from discord import app_commands

from tests.fakes.discord import App


async def commanded(town):
    """A client with `/ona`, its autocompletion, and a menu command."""
    client = await town.client()

    @app_commands.command(name="ona", description="Ask")
    async def ona(it: discord.Interaction, text: str, repo: str = "") -> None:
        await it.response.defer(thinking=True)
        await it.followup.send(f"{repo}: {text}")

    @ona.autocomplete("repo")
    async def repos(it: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
        return [app_commands.Choice(name=typed + "!", value=typed)]

    async def ask(it: discord.Interaction, message: discord.Message) -> None:
        await it.response.send_message(f"about {message.content}", ephemeral=True)

    client.tree.add_command(ona)
    client.tree.add_command(app_commands.ContextMenu(name="Ask ona", callback=ask))
    await client.tree.sync()
    return client


async def test_a_slash_command_is_deferred_and_answered(town):
    await commanded(town)
    it = town.ann.slash(town.app, "ona", town.general, text="fix", repo="a/b")
    await town.fake.until(lambda: it.original and it.original.text)
    assert it.deferred
    assert town.bo.texts(town.general) == ["a/b: fix"]
    typing = town.ann.types(town.app, "ona", town.general, "repo", "a")
    await town.fake.until(lambda: typing.choices)
    assert typing.choices == [{"name": "a!", "value": "a"}]


async def test_an_ephemeral_answer_is_seen_by_one_person(town):
    await commanded(town)
    said = town.ann.says(town.general, "this")
    it = town.bo.uses(town.app, "Ask ona", said)
    await town.fake.until(lambda: it.answered)
    assert town.bo.texts(town.general) == ["this", "about this"]
    assert town.ann.texts(town.general) == ["this"]


async def test_buttons_change_their_message_and_forms_come_back(town):
    client = await town.client()

    class Form(discord.ui.Modal, title="Why"):
        why = discord.ui.TextInput(label="Why", custom_id="why")

        async def on_submit(self, it: discord.Interaction) -> None:
            await it.response.send_message(str(self.why))

    class Buttons(discord.ui.View):
        @discord.ui.button(label="Stop")
        async def stop_it(self, it: discord.Interaction, button: discord.ui.Button) -> None:
            await it.response.edit_message(content="stopped", view=None)

        @discord.ui.button(label="Why")
        async def ask(self, it: discord.Interaction, button: discord.ui.Button) -> None:
            await it.response.send_modal(Form())

    await client.get_channel(town.general.id).send("running", view=Buttons())
    (message,) = town.ann.sees(town.general)
    asked = town.ann.clicks(message, "Why")
    await town.fake.until(lambda: asked.modal and asked.answered)
    town.ann.submits(asked, why="because")
    await town.fake.until(lambda: len(town.ann.sees(town.general)) == 2)
    town.ann.clicks(message, "Stop")
    await town.fake.until(lambda: message.text == "stopped")
    assert (message.edits, message.components) == (1, [])


async def held(town) -> tuple[App, discord.Interaction]:
    """An interaction that nobody has answered."""
    client = await commanded(town)
    client.tree.remove_command("ona")
    town.ann.slash(town.app, "ona", town.general, text="x")
    return client, (await town.heard(client, "interaction"))[-1]


async def test_an_answer_comes_in_time_and_once(town):
    client, it = await held(town)
    await it.response.send_message("first")
    it._cs_response = discord.InteractionResponse(it)
    with pytest.raises(discord.HTTPException) as refused:
        await it.response.send_message("second")
    assert refused.value.code == 40060
    await it.followup.send("more")
    await it.edit_original_response(content="better")
    town.fake.clock.advance(901)
    with pytest.raises(discord.HTTPException) as refused:
        await it.followup.send("too late")
    assert (refused.value.status, refused.value.code) == (401, 50027)
    assert town.ann.texts(town.general) == ["better", "more"]
    town.ann.slash(town.app, "ona", town.general, text="y")
    late = (await town.heard(client, "interaction", 2))[-1]
    town.fake.clock.advance(4)
    with pytest.raises(discord.NotFound) as refused:
        await late.response.defer()
    assert refused.value.code == 10062


async def test_commands_also_work_in_direct_messages(town):
    await commanded(town)
    place = town.bo.direct(town.app)
    it = town.bo.slash(town.app, "ona", place, text="hi")
    await town.fake.until(lambda: it.original and it.original.text)
    assert town.bo.texts(place) == [": hi"]
