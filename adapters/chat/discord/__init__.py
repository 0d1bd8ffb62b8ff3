"""Discord: what it hears over its gateway, and how a reply gets to its threads."""
