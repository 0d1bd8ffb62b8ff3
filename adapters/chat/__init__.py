"""Chat: the surfaces on which people talk, and how a reply gets there."""
