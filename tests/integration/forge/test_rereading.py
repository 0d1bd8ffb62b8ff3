"""What waits is read again: at no cost where nothing changed, and nothing is concluded too soon."""

import pytest

from adapters.chat.incoming import Author, Reworded, Waiting, Withdrawn
from adapters.chat.port import Deadline, Gone
from adapters.forge.github.rereading import GitHubRereads
from adapters.forge.gitlab.rereading import GitLabRereads
from adapters.forge.rereading import LOOKS_MAX, Rereading
from tests.fakes.github.bad import Bad
from tests.integration.forge.gitlab_rig import open_shop

ANN = Author(account="h", id="1", name="ann")


def soon() -> Deadline:
    return Deadline.after(10)


def waiting(message) -> Waiting:
    return Waiting(key=message.ref, place=message.place, author=ANN)


@pytest.fixture
def rereads(app, reader) -> GitHubRereads:
    return GitHubRereads(app, reader)


async def test_a_comment_that_stands_is_read_for_free_and_a_deleted_one_is_withdrawn(
    github, pull, rereads
):
    says = [
        await github.ann.says(pull, "/ona one"),
        await github.ann.says_inline(pull, "/ona two"),
    ]
    for message in says:
        assert await rereads.reread(waiting(message), soon()) == []
    spent = github.limits.spent.total()
    for message in says:
        assert await rereads.reread(waiting(message), soon()) == []
    assert github.limits.spent.total() == spent
    for message in says:
        await github.ann.deletes(message)
        (heard,) = await rereads.reread(waiting(message), soon())
        assert isinstance(heard, Withdrawn)
        assert (heard.key, heard.author) == (message.ref, ANN)


async def test_an_edited_review_is_reworded_and_one_edited_away_is_withdrawn(github, pull, rereads):
    review = await github.ann.reviews(pull, "/ona one")
    await github.ann.edits(review, "/ona two")
    (heard,) = await rereads.reread(waiting(review), soon())
    assert isinstance(heard, Reworded)
    assert heard.text == "two"
    assert await rereads.reread(waiting(review), soon()) == []
    await github.ann.edits(review, "never mind")
    (heard,) = await rereads.reread(waiting(review), soon())
    assert isinstance(heard, Withdrawn)


async def test_of_a_repository_that_is_not_seen_nothing_is_concluded(github, shop, pull, rereads):
    message = await github.ann.says(pull, "/ona one")
    assert await rereads.reread(waiting(message), soon()) == []
    github.behave("GET", shop.name, *[Bad(status=404)] * 2)
    with pytest.raises(Gone):
        await rereads.reread(waiting(message), soon())


async def test_a_deleted_note_is_withdrawn_and_one_of_a_project_that_is_not_seen_is_not():
    async with open_shop() as shop:
        rereads = GitLabRereads(shop.client)
        note = shop.ann.says(shop.request, "/ona one")
        one = Waiting(key=f"note/{note.id}", place=shop.request.place, author=ANN)
        assert await rereads.reread(one, soon()) == []
        level = shop.project.members.pop(shop.us)
        with pytest.raises(Gone):
            await rereads.reread(one, soon())
        shop.project.members[shop.us] = level
        shop.ann.deletes(note)
        (heard,) = await rereads.reread(one, soon())
        assert isinstance(heard, Withdrawn)
        assert heard.key == one.key


async def test_a_round_reads_a_bounded_number_and_one_that_fails_holds_up_no_other():
    class Broken:
        def __init__(self):
            self.read = []

        def forget_but(self, waiting):
            pass

        async def reread(self, waiting, deadline):
            self.read.append(waiting.key)
            raise Gone("it is away")

    async def many(most):
        return [Waiting(key=str(n), place="p", author=ANN) for n in range(most)]

    broken = Broken()
    await Rereading(broken, many).once(None)
    assert len(broken.read) == LOOKS_MAX
