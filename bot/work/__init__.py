"""Sessions at work: the queue, the worker, the turn, what survives a machine."""
