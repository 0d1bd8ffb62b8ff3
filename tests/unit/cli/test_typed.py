"""What somebody in a terminal is told to say is what they can type there."""

import pytest

from bot.cli.typed import typed


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("say project=NAME, one of: a, b", "say --project NAME, one of: a, b"),
        ("`reminders` lists yours", "`ona reminders` lists yours"),
        ("`reminders answer r-7f3k`", "`ona reminders answer r-7f3k`"),
        ("`reminders edit r-7f3k tomorrow 9`", '`ona reminders edit r-7f3k --when "tomorrow 9"`'),
        ("`reminders edit r-7f3k changed off`", "`ona reminders edit r-7f3k --each-time`"),
        ("`reminders edit r-7f3k changed on`", "`ona reminders edit r-7f3k --only-changed`"),
        ("`reminders edit r-7f3k quiet 22-7`", "`ona reminders edit r-7f3k --quiet 22-7`"),
        ("`reminders snooze r-7f3k friday 9`", '`ona reminders snooze r-7f3k "friday 9"`'),
        ("`reminders snooze r-7f3k tomorrow`", "`ona reminders snooze r-7f3k tomorrow`"),
        ('`reminders edit r-7f3k say "be there"`', '`ona reminders edit r-7f3k --what "be there"`'),
        ("`remind me tomorrow 9 to …`", '`ona ask "remind me tomorrow 9 to …"`'),
        ("`runs show run-7f3k` and `runs`", "`ona runs show run-7f3k` and `ona runs`"),
        ("`automations resume nightly`", "`ona automations resume nightly`"),
        ("`automations run Tidy up`", '`ona automations run "Tidy up"`'),
        ("`ona templates` and `retry`", "`ona templates` and `retry`"),
        ("`2026-12-24 09:00`, a lone ` too", "`2026-12-24 09:00`, a lone ` too"),
        ("", ""),
    ],
)
def test_a_command_of_a_conversation_is_shown_as_one_of_the_command_line(said, shown):
    assert typed(said) == shown
