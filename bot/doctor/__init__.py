"""`ona doctor`: each thing that is needed, found or not, what follows, what to do."""
