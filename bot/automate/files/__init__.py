"""Files of automations in repositories: read, checked, and what they propose.

    folders: which is due ─▶ reading: from the mirror of a host ─▶ parsing, checks (pure)
    ─▶ syncing (pure): what that changes ─▶ folders: rows, which count when people approve them

checking does the same without a server, sources with what somebody writes in a page.
"""
