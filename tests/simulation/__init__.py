"""The product over days and weeks: a pool without machines, and the clock without waiting."""
