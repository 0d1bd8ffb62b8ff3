"""The way out of a machine: its network slot, and later the gateway that listens in it."""
