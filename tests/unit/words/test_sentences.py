"""From the clauses of an error to sentences."""

import pytest

from bot.errors import Refused
from bot.words.sentences import sentence, told


@pytest.mark.parametrize(
    ("clause", "said"),
    [
        ("the queue is full", "The queue is full."),
        ("is it there?", "Is it there?"),
        ("say what to do, or `help`", "Say what to do, or `help`"),
        ("ona does not answer", "ona does not answer."),
        ("onafter all", "Onafter all."),
        ("docs/settings.md lists them", "docs/settings.md lists them."),
        ("slack.bot_token is missing", "slack.bot_token is missing."),
        ("https://x.test/a can't be read", "https://x.test/a can't be read."),
        ("git@x.test:a/b can't be read", "git@x.test:a/b can't be read."),
        ("wait.", "Wait."),
        ("  ", ""),
    ],
)
def test_a_clause_becomes_a_sentence_and_names_keep_their_letters(clause, said):
    assert sentence(clause) == said


def test_an_error_is_told_with_what_was_kept_and_what_to_do():
    error = Refused("ona is stopping", kept="nothing was accepted", do="deliver it again")
    assert told(error) == "ona is stopping. Nothing was accepted. Deliver it again."
