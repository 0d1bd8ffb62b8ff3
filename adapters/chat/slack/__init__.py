"""Slack: what it hears over Socket Mode, and how a reply gets to its threads."""
