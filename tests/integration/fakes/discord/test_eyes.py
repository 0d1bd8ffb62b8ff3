"""What people see and hear in the fake Discord."""

import discord
import pytest

from tests.fakes.discord import Permission, shown


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("**bold** move", "bold"),
        ("an *italic* and", "italic"),
        ("an _italic_ word", "italic"),
        ("__under__", "underline"),
        ("~~gone~~", "strike"),
        ("||psst||", "spoiler"),
        ("***both***", "bold italic"),
    ],
)
def test_pairs_of_signs_are_markup_until_they_are_escaped(text, kind):
    assert kind in dict(shown(text).spans)
    escaped = discord.utils.escape_markdown(text)
    assert shown(escaped).text == text
    assert shown(escaped).plain


@pytest.mark.parametrize(
    ("text", "kind"),
    [("# big", "header"), ("-# small", "small"), ("> said", "quote"), ("- one", "list")],
)
def test_lines_begin_with_markup_until_it_is_escaped(text, kind):
    assert dict(shown(f"first\n{text}").lines).keys() == {kind}
    assert shown(f"\\{text}").plain
    assert shown(f"\\{text}").text == text


def test_nothing_is_markup_in_code():
    block = shown("```py\n**not** <@1> \\*\n```")
    assert block.blocks == ("**not** <@1> \\*",)
    assert not block.spans
    assert not block.pointed
    assert shown("a `*b*` and ``c ` d``").codes == ("*b*", "c ` d")


def test_what_points_somewhere_is_found_until_it_is_escaped():
    text = "<@1> <@&2> <#3> <:a_b:4> <t:1618953630:R> </ona:5> @everyone"
    kinds = [kind for kind, _ in shown(text).pointed]
    assert sorted(kinds) == ["call", "channel", "command", "emoji", "role", "time", "user"]
    assert shown(text.translate({60: "\\<", 58: "\\:", 64: "@\u200b"})).plain
    assert shown("[good](https://evil.example)").links == (("good", "https://evil.example"),)
    assert shown("\\[good](nowhere)").plain


def test_words_with_underscores_and_lone_signs_show_as_they_are():
    for text in ("snake_case_name", "2 * 3 * 4", "a # b", "x > y", "~home", "a|b"):
        assert shown(text).plain, text


async def test_who_is_pinged_depends_on_what_is_allowed(town):
    client = await town.client()
    channel = client.get_channel(town.general.id)
    role = town.fake.role(town.guild, "team", town.bo, mentionable=True)
    text = f"{town.ann.mention} <@&{role.id}> @everyone"
    await channel.send(text, allowed_mentions=discord.AllowedMentions.none())
    assert (town.ann.notified, town.bo.notified) == ([], [])
    await channel.send(text, allowed_mentions=discord.AllowedMentions(users=True, roles=False))
    assert (len(town.ann.notified), len(town.bo.notified)) == (1, 0)
    await channel.send(text)
    assert (len(town.ann.notified), len(town.bo.notified)) == (2, 1)
    away = town.fake.person("cy", town.guild)
    away.user.online = False
    await channel.send("@here @everyone")
    assert away.notified == []
    town.guild.roles[1].permissions |= Permission.MENTION_EVERYONE
    await channel.send("@here")
    assert (len(away.notified), len(town.bo.notified)) == (0, 2)
    await channel.send("\\@everyone")
    assert len(away.notified) == 1
    await channel.send(town.ann.mention, silent=True)
    assert len(town.ann.notified) == 4
