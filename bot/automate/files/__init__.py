"""Files of automations in repositories: read, checked, and what they propose."""
