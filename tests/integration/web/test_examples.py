"""The commands on the pages of docs/ run, in their order, against a real `ona`."""

import pytest

from tests.integration.web.test_cli import ona  # noqa: F401  (a fixture)
from tests.support import examples

PAGES = {"reminders.md": 4}
"""How many commands each has at least."""


@pytest.mark.parametrize("page", PAGES)
async def test_the_commands_of_a_page_do_what_they_say(site, ona, tmp_path, page):  # noqa: F811
    for path, content in examples.files(page).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content, encoding="utf-8")
    ids, commands = examples.Ids(), examples.commands(page)
    assert len(commands) >= PAGES[page]
    for words in commands:
        ran = await ona(*map(ids.put, words))
        assert ran.code == 0, f"ona {' '.join(words)}: {ran.out}{ran.err}"
        ids.heard(ran.out)


def test_an_id_of_a_page_stands_for_the_last_one_that_was_made():
    ids = examples.Ids()
    ids.heard("r-aaaa active: every day\nr-bbbb active: every friday, of s-cccc")
    assert ids.put("reminders edit r-7f3k --session s-1234 a-none") == (
        "reminders edit r-bbbb --session s-cccc a-none"
    )
