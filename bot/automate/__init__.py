"""What begins without anybody asking at that moment: reminders, and runs of automations.

    files       folders of repositories ─▶ proposals, which people approve in `automations`
    triggers    what happened ─▶ an event ─▶ a run begins, or the reason why not
    runs        a run ─▶ its targets ─▶ their steps ─▶ what it comes to
    reminders   a schedule ─▶ a firing ─▶ a post, or a prompt

Beside them is what they share: what an automation is (`definition`), and its rows. That knows none
of the four. Triggers may know the other three, which don't know each other.
"""
