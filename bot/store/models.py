"""All tables together: whoever wants the metadata of the database imports this.

Rows of machines, hosts and templates are in `vmpool.machine`. Nothing here decides anything: states
are in `bot.store.states`, the queue's statements in `bot/work/sql`.
"""

import bot.store.automation_tables
import bot.store.delivery_tables
import bot.store.govern_tables
import bot.store.grant_tables
import bot.store.people_tables
import bot.store.reply_tables
import bot.store.schedule_tables
import bot.store.session_tables
import bot.store.spending_tables
import bot.store.tombstone_tables
import bot.store.tool_tables
import bot.store.visit_tables  # noqa: F401
import vmpool.machine  # noqa: F401
