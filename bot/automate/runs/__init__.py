"""Runs of automations, on one repository or a fleet of them.

    a cause ─▶ beginning: targets (pure) become rows ─▶ running ⇄ stepping (pure): what is next
                                                          └─▶ acting: one action, one transaction

steering    what people do to a run          tally        how far it is, counted (pure)
run_rows    what pages and posts read        actionable   whether it is worth a post (pure)
"""
