"""A pool over weeks, without machines: the product's decisions on synthetic and recorded claims."""
