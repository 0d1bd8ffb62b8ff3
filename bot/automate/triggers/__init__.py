"""What starts a run: what happened becomes an event, and an event a run or the reason why not."""
