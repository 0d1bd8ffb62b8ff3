"""A review of what a session did is one prompt of it, however much it says and where."""

import pytest

from adapters.chat.incoming import Author, Said, Spot
from bot.conversation.acquaintance import Acquaintances
from bot.conversation.hearing import Chats
from tests.integration.conftest import Town
from tests.integration.forge.github_rig import begun, same, take_all

LINES = (
    {"path": "src/pay.py", "line": 3, "body": "Rounds the wrong way."},
    {"path": "src/pay.py", "line": 9, "body": "/ona and this\nname"},
    {"path": "README.md", "line": None, "body": "Say why."},
)
SAID = (
    "Review of the pull request, which asks for changes:\n\nAlmost.\n\n"
    "`src/pay.py`, line 3: Rounds the wrong way.\n\n`README.md`: Say why."
)


@pytest.fixture
async def ours(shop):
    return await shop.pull("ona/s-1")


async def test_a_review_is_one_message_with_all_that_it_says(
    github, hooks, polling, ears, ours
) -> None:
    await begun(polling)
    review = await github.ann.reviews(ours, "Almost.", event="REQUEST_CHANGES", comments=LINES)
    await take_all(github, hooks, ears, 1)
    await polling.poll(ears.hear)
    heard = [one for one in ears.said if one.key.startswith("reviewed/")]
    assert {one.text for one in heard} == {SAID}
    assert len({same(one) for one in heard}) == 1
    (said, *_) = heard
    assert (said.key, said.ref) == (f"reviewed/{review.id}", f"review/{review.id}")
    assert (said.spot.place, said.spot.branch) == (ours.place, "ona/s-1")
    assert (said.to_us, said.begins, said.author.name) == (True, False, "ann")


async def test_what_is_no_review_of_ours_or_says_nothing_is_not_heard(
    *, github, hooks, polling, ears, shop, ours, pull
) -> None:
    await begun(polling)
    await github.ann.reviews(pull, "Of another branch", comments=LINES[:1])
    fork = await shop.pull_from_fork(github.eve)
    await github.ann.reviews(fork, "From elsewhere")
    await github.ann.reviews(ours, "LGTM", event="APPROVE")
    asked = await github.ann.reviews(ours, "/ona fix it")
    await take_all(github, hooks, ears, 4)
    await polling.poll(ears.hear)
    assert set(ears.keys) == {asked.ref}


def _review(text: str, branch: str, key: str) -> Said:
    spot = Spot(surface="github", channel="acme/shop", place="acme/shop#7", branch=branch)
    author = Author(account="github.test", id="1", name="ann")
    return Said(
        spot=spot,
        author=author,
        delivery=key,
        key=key,
        ref="",
        text=text,
        to_us=True,
        begins=False,
    )


async def test_it_joins_the_session_of_its_branch_and_opens_none(town: Town) -> None:
    chats = Chats(town.database, town.inbox, {}, mention="ona")
    await Acquaintances(town.database, language="en").meet(_review("", "", "k").author, "github")
    await chats.hear(_review("Too slow.", "ona/s-none", "reviewed/1"))
    assert await town.rows("SELECT 1 FROM session") == []
    await town.say("mend it")
    branch = await town.value("SELECT branch FROM session")
    await chats.hear(_review("Too slow.", branch, "reviewed/2"))
    await chats.hear(_review("Too slow.", branch, "reviewed/2"))
    texts = await town.rows(
        "SELECT string_agg(delivery.text, '|') FROM prompt"
        " JOIN delivery ON delivery.prompt_id = prompt.id GROUP BY prompt.position ORDER BY 1"
    )
    assert texts == [("Too slow.",), ("mend it",)]
    assert await town.value("SELECT count(*) FROM session") == 1
    places = await town.rows("SELECT place FROM thread WHERE surface = 'github'")
    assert places == [("acme/shop#7",)]
